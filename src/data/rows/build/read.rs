//! Statements that read.
use super::identity::{ColumnSet, Identity};
use super::order::{self, Term, cursor};
use super::outputs::{Output, OutputValue, Outputs};
use super::scope::Scope;
use super::spelling;
use super::text::Sql;
use crate::data::Param;
use crate::data::rows::RowsError;
use crate::data::rows::dialect::RowsQuery;
use crate::data::rows::dialect::ast::{Level, SelectItem};
use crate::engine::sql::schema::Schema;

/// Which rows are read beside what the parameters say.
#[derive(Debug, Clone, Copy)]
pub(in crate::data::rows) struct PageForm<'f> {
    /// The key of the one row that a path names.
    pub(in crate::data::rows) key: Option<&'f str>,
    /// Whether the mark of what is in a row is wanted, behind the columns of the answer.
    pub(in crate::data::rows) mark: Option<&'f ColumnSet>,
    /// Most rows, and whether one more is looked for.
    pub(in crate::data::rows) limit: u64,
    pub(in crate::data::rows) is_paged: bool,
}

/// A statement that reads, and what its columns are.
#[derive(Debug)]
pub(in crate::data::rows) struct Page {
    pub(in crate::data::rows) sql: Sql,
    /// So many columns are JSON already, in front of those that are hidden.
    pub(in crate::data::rows) json: u16,
    /// So many columns at the end are not answered.
    pub(in crate::data::rows) hidden: u16,
    /// What tells the order from others, where the hidden columns are those of a cursor.
    pub(in crate::data::rows) order: Option<u32>,
}

/// The rows of a request.
pub(in crate::data::rows) fn page(
    schema: &Schema,
    table: &str,
    query: &RowsQuery,
    form: PageForm<'_>,
) -> Result<Page, RowsError> {
    let scope = scope_of(schema, table, &query.level)?;
    let (level, dialect) = (&query.level, schema.dialect);
    let all = [SelectItem::All];
    let select = match level.select.as_slice() {
        [] => &all[..],
        select => select,
    };
    if query.cursor.is_some() && level.offset.is_some_and(|offset| offset > 0) {
        return Err(RowsError::with_hint(
            "`offset` and `cursor` are both sent",
            "send `offset` for the first page alone: a cursor tells where the next one begins",
        ));
    }
    let outputs = Outputs::of(scope, select)?;
    let is_grouped = outputs.is_grouped;
    let mut written = write_outputs(scope, outputs)?;
    let (mut more, mut sql) = (Vec::new(), written.sql);
    let (mut hidden, mut print) = (0, None);
    let terms = if is_grouped {
        if query.cursor.is_some() {
            return Err(RowsError::with_hint(
                "`cursor` pages through rows, not through groups",
                "use `limit` and `offset`",
            ));
        }
        group_terms(scope, level, &written.keys)?
    } else {
        let (terms, is_certain) = all_terms(scope, level, form.key.is_none())?;
        if !is_certain && query.cursor.is_some() {
            return Err(RowsError::with_hint(
                format!("`{}` has no key, by which `cursor` pages", scope.table.name),
                "use `limit` and `offset` with `order`",
            ));
        }
        if let Some(cursor) = query.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
            more.push(cursor::behind(
                cursor,
                (&scope.table.name, dialect),
                &terms,
            )?);
        }
        if is_certain && form.is_paged {
            for term in &terms {
                sql.words(", ").part(term.sql.clone());
            }
            hidden = terms.len();
            print = Some(cursor::fingerprint(&scope.table.name, &terms));
        }
        terms
    };
    if let Some(hash) = form.mark.and_then(|columns| columns.hash(scope)) {
        sql.words(", ").part(hash);
        hidden += 1;
    }
    sql.words(" FROM ").name(&scope.table.name);
    if let Some(key) = form.key {
        more.push(Identity::required(scope.table)?.condition(scope, key)?);
    }
    scope.write_where(&mut sql, level, more)?;
    if is_grouped {
        sql.group_by(&std::mem::take(&mut written.groups));
    }
    order::write(&mut sql, &terms, dialect);
    if form.key.is_none() {
        let one_more = form.is_paged && form.limit > 0;
        let limit = form.limit.saturating_add(one_more.into());
        sql.limit(Some(limit), level.offset, spelling::no_limit(dialect));
    }
    Ok(Page {
        sql: spelling::finished(sql, dialect),
        json: written.json,
        hidden: u16::try_from(hidden).unwrap_or(u16::MAX),
        order: print,
    })
}

/// How many rows there are behind the conditions of a request. `hidden` columns are added to the
/// number.
pub(in crate::data::rows) fn count(
    schema: &Schema,
    table: &str,
    query: &RowsQuery,
    hidden: u16,
) -> Result<Sql, RowsError> {
    let scope = scope_of(schema, table, &query.level)?;
    let level = &query.level;
    let is_grouped = Outputs::of(scope, &level.select)?.is_grouped;
    let mut sql = Sql::of("SELECT count(*)");
    // In one request with the rows, it has as many columns that are not answered.
    for _ in 0..hidden {
        sql.words(", NULL");
    }
    if is_grouped {
        let outputs = Outputs::of(scope, &level.select)?;
        let written = write_outputs(scope, outputs)?;
        sql.words(" FROM (").part(written.sql);
        sql.words(" FROM ").name(&scope.table.name);
        scope.write_where(&mut sql, level, Vec::new())?;
        sql.group_by(&written.groups);
        sql.words(spelling::of(schema.dialect).end_of_source);
        return Ok(spelling::finished(sql, schema.dialect));
    }
    sql.words(" FROM ").name(&scope.table.name);
    scope.write_where(&mut sql, level, Vec::new())?;
    Ok(spelling::finished(sql, schema.dialect))
}

/// The first value of the rows of a request that is longer than `limit` bytes: the name of its
/// column and the key of its row, as hidden columns, of which there are so many.
pub(in crate::data::rows) fn long_value(
    schema: &Schema,
    table: &str,
    query: &RowsQuery,
    key: Option<&str>,
    limit: usize,
) -> Result<(Sql, u16), RowsError> {
    let scope = scope_of(schema, table, &query.level)?;
    let limit = Param::Integer(i64::try_from(limit).unwrap_or(i64::MAX));
    let columns = scope
        .table
        .columns
        .iter()
        .filter(|column| !column.is_hidden);
    let (mut sql, mut is_long) = (Sql::of("SELECT CASE"), Sql::of("("));
    for (place, column) in columns.enumerate() {
        // The length of a value is known without reading it.
        let mut condition = Sql::of("octet_length(");
        scope.write_name(&mut condition, &column.name);
        condition.words(") > ").value(limit.clone());
        if place > 0 {
            is_long.words(" OR ");
        }
        is_long.part(condition.clone());
        sql.words(" WHEN ").part(condition).words(" THEN ");
        sql.value(Param::Text(column.name.clone()));
    }
    sql.words(" END");
    is_long.words(")");
    let identity = Identity::of(scope.table);
    let mut hidden = 1;
    if let Some(identity) = &identity {
        sql.words(", ");
        identity.write_columns(&mut sql, scope);
        hidden += identity.columns.len();
    }
    sql.words(" FROM ").name(&scope.table.name);
    let mut more = vec![is_long];
    if let (Some(key), Some(identity)) = (key, identity) {
        more.push(identity.condition(scope, key)?);
    }
    scope.write_where(&mut sql, &query.level, more)?;
    sql.limit(Some(1), None, spelling::no_limit(schema.dialect));
    let sql = spelling::finished(sql, schema.dialect);
    Ok((sql, u16::try_from(hidden).unwrap_or(u16::MAX)))
}

/// The table of a request; its columns are called by its name where other tables are read as well.
pub(super) fn scope_of<'s>(
    schema: &'s Schema,
    table: &str,
    level: &Level,
) -> Result<Scope<'s>, RowsError> {
    let scope = Scope::new(schema, table)?;
    let embeds = (level.select.iter()).any(|item| matches!(item, SelectItem::Embed(_)));
    Ok(if embeds { scope.qualified() } else { scope })
}

/// Columns of an answer: values first, then JSON.
pub(super) struct WrittenOutputs {
    /// `SELECT …`.
    pub(super) sql: Sql,
    pub(super) json: u16,
    /// The names of the values, in the order of the columns, where no `*` is among them.
    pub(super) keys: Vec<String>,
    /// The places of what makes a group.
    pub(super) groups: Vec<usize>,
}

/// Adds the columns of an answer.
pub(super) fn write_outputs(
    scope: Scope<'_>,
    outputs: Outputs,
) -> Result<WrittenOutputs, RowsError> {
    let mut written = WrittenOutputs {
        sql: Sql::of("SELECT "),
        json: 0,
        keys: Vec::with_capacity(outputs.items.len()),
        groups: Vec::new(),
    };
    let is_json =
        |output: &Output| matches!(output, Output::One(OutputValue { is_json: true, .. }));
    let (json, values): (Vec<_>, Vec<_>) = outputs.items.into_iter().partition(is_json);
    if values.is_empty() && json.is_empty() {
        return Err(RowsError::with_hint(
            "`select` reads nothing of the table itself",
            "name a column, or `*`",
        ));
    }
    for output in values.into_iter().chain(json) {
        if !written.keys.is_empty() {
            written.sql.words(", ");
        }
        match output {
            Output::All => {
                if scope.alias.is_some() {
                    written.sql.name(&scope.table.name).words(".");
                }
                written.sql.words("*");
                written.keys.push("*".to_owned());
            }
            Output::One(value) => {
                written.json += u16::from(value.is_json);
                if !value.is_aggregate {
                    written.groups.push(written.keys.len() + 1);
                }
                written.sql.part(value.sql).words(" AS ").name(&value.key);
                written.keys.push(value.key);
            }
        }
    }
    Ok(written)
}

/// The terms of an order with the key behind them, and whether that makes it certain which row
/// comes behind which.
fn all_terms(
    scope: Scope<'_>,
    level: &Level,
    adds_key: bool,
) -> Result<(Vec<Term>, bool), RowsError> {
    let mut terms = scope.order_terms(level)?;
    if !adds_key {
        return Ok((terms, false));
    }
    let Some(key) = order::certain_key(scope.table) else {
        return Ok((terms, false));
    };
    // The key goes on in the direction of what stands before it, as an index does.
    let descending = terms.last().is_some_and(|term| term.descending);
    for column in key {
        let mut sql = Sql::default();
        scope.write_name(&mut sql, column);
        if terms.iter().all(|term| term.sql != sql) {
            terms.push(Term {
                sql,
                descending,
                nulls_first: descending,
                may_be_null: false,
            });
        }
    }
    Ok((terms, true))
}

/// The terms by which groups are sorted: parts of the answer.
fn group_terms(scope: Scope<'_>, level: &Level, keys: &[String]) -> Result<Vec<Term>, RowsError> {
    let terms = level.order.iter().map(|term| {
        let is_plain = term.embed.is_none() && term.field.path.is_empty();
        let mut keys = keys.iter();
        let place = keys.position(|key| is_plain && *key == term.field.column);
        let Some(place) = place else {
            let column = &term.field.column;
            if scope.find(column).is_none() {
                return Err(scope.no_column(column));
            }
            return Err(RowsError::with_hint(
                format!("groups cannot be sorted by `{column}`, which is not in `select`"),
                "sort by a name that the answer has",
            ));
        };
        let mut sql = Sql::default();
        sql.number(place + 1);
        Ok(Term {
            sql,
            descending: term.descending,
            nulls_first: term.puts_nulls_first(),
            may_be_null: true,
        })
    });
    terms.collect()
}
