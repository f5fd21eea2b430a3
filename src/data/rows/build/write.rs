//! Statements that write.
use super::identity::{ColumnSet, Identity};
use super::outputs::{Output, OutputValue, Outputs};
use super::read::{scope_of, write_outputs};
use super::scope::Scope;
use super::spelling;
use super::text::Sql;
use crate::data::rows::RowsError;
use crate::data::rows::dialect::RowsQuery;
use crate::data::rows::dialect::ast::{Level, SelectItem};
use crate::data::{BareColumns, Param};
use crate::engine::sql::schema::{Column, Schema, SqlDialect, Table, TableKind};

/// What is answered of rows that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data::rows) enum Returning {
    /// Nothing.
    Nothing,
    /// What `select` reads.
    Selected,
    /// The key.
    Key,
}

/// What becomes of a row whose key is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// It is an error.
    Refuse,
    /// The row that is there takes the new values.
    Merge,
    /// The row that is there stays.
    Ignore,
}

/// A statement that writes, and what its columns are.
#[derive(Debug)]
pub(in crate::data::rows) struct InsertPlan {
    /// Its values are those behind the values of the row.
    pub(in crate::data::rows) sql: Sql,
    pub(in crate::data::rows) columns: BareColumns,
}

/// The three ways to change rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Insert,
    Update,
    Delete,
}

impl Change {
    fn method(self) -> &'static str {
        match self {
            Self::Insert => "POST",
            Self::Update => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    fn event(self) -> &'static str {
        match self {
            Self::Insert => "INSTEAD OF INSERT",
            Self::Update => "INSTEAD OF UPDATE",
            Self::Delete => "INSTEAD OF DELETE",
        }
    }
}

/// Rows of these columns. The statement runs once for each, with its values in their order.
pub(in crate::data::rows) fn insert(
    schema: &Schema,
    table: &str,
    query: &RowsQuery,
    columns: &[String],
    conflict: Conflict,
    returning: Returning,
) -> Result<InsertPlan, RowsError> {
    let scope = scope_for_writes(schema, table, query, Change::Insert)?;
    refuse_what_chooses(query)?;
    let mut sql = Sql::of("INSERT INTO ");
    sql.name(&scope.table.name);
    let written = columns.iter().map(|name| writable(scope, name));
    let written = written.collect::<Result<Vec<&str>, _>>()?;
    if written.is_empty() {
        sql.words(" DEFAULT VALUES");
    } else {
        sql.words(" (");
        for (place, column) in written.iter().enumerate() {
            if written[..place].contains(column) {
                return Err(RowsError::invalid(format!("`{column}` is written twice")));
            }
            if place > 0 {
                sql.words(", ");
            }
            sql.name(column);
        }
        sql.words(") VALUES (");
        for place in 0..written.len() {
            sql.words(if place == 0 { "?" } else { ", ?" });
        }
        sql.words(")");
    }
    write_conflict(&mut sql, scope, query, &written, conflict)?;
    write_returning(sql, scope, &query.level, returning)
}

/// New rows are chosen by nothing.
fn refuse_what_chooses(query: &RowsQuery) -> Result<(), RowsError> {
    let level = &query.level;
    for (name, is_sent) in [
        ("a filter", !level.conditions.is_empty()),
        ("`limit`", level.limit.is_some()),
        ("`offset`", level.offset.is_some()),
        ("`order`", !level.order.is_empty()),
        ("`cursor`", query.cursor.is_some()),
        ("`all`", query.all),
    ] {
        if is_sent {
            return Err(RowsError::with_hint(
                format!("{name} chooses rows that are there, and POST inserts new ones"),
                "leave it out: values of new rows go into the body; PATCH changes rows",
            ));
        }
    }
    Ok(())
}

/// What is done where a row is there already.
fn write_conflict(
    sql: &mut Sql,
    scope: Scope<'_>,
    query: &RowsQuery,
    written: &[&str],
    conflict: Conflict,
) -> Result<(), RowsError> {
    if conflict == Conflict::Refuse {
        return match &query.on_conflict {
            None => Ok(()),
            Some(_) => Err(RowsError::with_hint(
                "`on_conflict` does nothing alone",
                "send `Prefer: resolution=merge-duplicates` or `resolution=ignore-duplicates`",
            )),
        };
    }
    if written.is_empty() {
        return Ok(()); // `DEFAULT VALUES` takes no ON CONFLICT
    }
    let target = conflict_target(scope, query.on_conflict.as_deref())?;
    if target.is_empty() && conflict == Conflict::Ignore {
        sql.words(" ON CONFLICT DO NOTHING");
        return Ok(());
    }
    if target.is_empty() {
        return Err(RowsError::with_hint(
            format!(
                "`{}` has no primary key to tell duplicates by",
                scope.table.name
            ),
            "name the columns of a unique key: `on_conflict=column`",
        ));
    }
    sql.words(" ON CONFLICT (");
    for (place, column) in target.iter().enumerate() {
        if place > 0 {
            sql.words(", ");
        }
        sql.name(column);
    }
    if conflict == Conflict::Ignore {
        sql.words(") DO NOTHING");
        return Ok(());
    }
    sql.words(") DO UPDATE SET ");
    let mut set: Vec<&str> = written.to_vec();
    set.retain(|column| !target.contains(column));
    if set.is_empty() {
        // Nothing changes, and the row is answered all the same.
        set.push(target[0]);
    }
    for (place, column) in set.iter().enumerate() {
        if place > 0 {
            sql.words(", ");
        }
        sql.name(column).words(" = excluded.").name(column);
    }
    Ok(())
}

/// The columns of the key by which duplicates are told.
fn conflict_target<'s>(
    scope: Scope<'s>,
    named: Option<&[String]>,
) -> Result<Vec<&'s str>, RowsError> {
    let table = scope.table;
    let Some(named) = named else {
        return Ok(table.primary_key.iter().map(String::as_str).collect());
    };
    let columns = named.iter().map(|name| match scope.find(name) {
        Some(column) => Ok(column.name.as_str()),
        None => Err(scope.no_column(name)),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let is_same = |key: &Vec<String>| {
        key.len() == columns.len() && key.iter().all(|name| columns.contains(&name.as_str()))
    };
    let is_key = is_same(&table.primary_key) || table.unique_keys.iter().any(is_same);
    if is_key || table.kind != TableKind::Table {
        return Ok(columns);
    }
    let keys = std::iter::once(&table.primary_key).chain(&table.unique_keys);
    let keys = keys.filter(|key| !key.is_empty()).map(|key| key.join(","));
    let keys = keys.collect::<Vec<_>>();
    Err(RowsError::Invalid {
        message: format!(
            "no primary key or unique key of `{}` has the columns {}",
            table.name,
            columns.join(",")
        ),
        hint: Some(match keys.is_empty() {
            true => "create a unique index first".to_owned(),
            false => format!("use on_conflict={}", keys.join(" or on_conflict=")),
        }),
    })
}

/// New values for the rows of a request.
pub(in crate::data::rows) fn update(
    schema: &Schema,
    table: &str,
    query: &RowsQuery,
    set: Vec<(String, Param)>,
    one: OneRow<'_>,
    returning: Returning,
) -> Result<InsertPlan, RowsError> {
    let scope = scope_for_writes(schema, table, query, Change::Update)?;
    let mut sql = Sql::of("UPDATE ");
    sql.name(&scope.table.name).words(" SET ");
    for (place, (name, value)) in set.into_iter().enumerate() {
        if place > 0 {
            sql.words(", ");
        }
        sql.name(writable(scope, &name)?).words(" = ").value(value);
    }
    write_rows(&mut sql, scope, query, one, Change::Update)?;
    write_returning(sql, scope, &query.level, returning)
}

/// Looks at a change of nothing like at any other.
pub(in crate::data::rows) fn no_change(
    schema: &Schema,
    table: &str,
    query: &RowsQuery,
    one: OneRow<'_>,
) -> Result<(), RowsError> {
    let scope = scope_for_writes(schema, table, query, Change::Update)?;
    write_rows(&mut Sql::default(), scope, query, one, Change::Update)
}

/// Removes the rows of a request.
pub(in crate::data::rows) fn delete(
    schema: &Schema,
    table: &str,
    query: &RowsQuery,
    one: OneRow<'_>,
    returning: Returning,
) -> Result<InsertPlan, RowsError> {
    let scope = scope_for_writes(schema, table, query, Change::Delete)?;
    let mut sql = Sql::of("DELETE FROM ");
    sql.name(&scope.table.name);
    write_rows(&mut sql, scope, query, one, Change::Delete)?;
    write_returning(sql, scope, &query.level, returning)
}

/// The one row that a path names, and what it must be.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::data::rows) struct OneRow<'r> {
    pub(in crate::data::rows) key: Option<&'r str>,
    /// What its columns must hold.
    pub(in crate::data::rows) marks: &'r [(ColumnSet, i64)],
}

/// Adds the conditions of the rows that are changed.
fn write_rows(
    sql: &mut Sql,
    scope: Scope<'_>,
    query: &RowsQuery,
    one: OneRow<'_>,
    change: Change,
) -> Result<(), RowsError> {
    let level = &query.level;
    if one.key.is_none() && level.conditions.is_empty() && !query.all {
        return Err(RowsError::Unfiltered {
            table: scope.table.name.clone(),
            method: change.method(),
        });
    }
    for (name, is_sent) in [
        ("on_conflict", query.on_conflict.is_some()),
        (
            "columns",
            query.columns.is_some() && change == Change::Delete,
        ),
        ("limit", level.limit.is_some()),
        ("offset", level.offset.is_some()),
        ("order", !level.order.is_empty()),
        ("cursor", query.cursor.is_some()),
    ] {
        if is_sent {
            return Err(RowsError::with_hint(
                format!(
                    "`{name}` does not choose rows that {} changes",
                    change.method()
                ),
                "filter by a key; `Prefer: max-affected=10` keeps a change small",
            ));
        }
    }
    for name in query.columns.iter().flatten() {
        writable(scope, name)?;
    }
    let mut more = Vec::new();
    if let Some(key) = one.key {
        more.push(Identity::required(scope.table)?.condition(scope, key)?);
    }
    if !one.marks.is_empty() {
        let mut marks = Sql::of("(");
        for (place, (columns, hash)) in one.marks.iter().enumerate() {
            if place > 0 {
                marks.words(" OR ");
            }
            match columns.hash(scope) {
                Some(known) => marks.part(known).words(" = ").value(Param::Integer(*hash)),
                None => marks.words(spelling::of(scope.schema.dialect).falsehood),
            };
        }
        marks.words(")");
        more.push(marks);
    }
    // What is embedded shows what was changed, and does not choose it.
    let chosen = Level {
        conditions: level.conditions.clone(),
        ..Level::default()
    };
    scope.write_where(sql, &chosen, more)
}

fn write_returning(
    mut sql: Sql,
    scope: Scope<'_>,
    level: &Level,
    returning: Returning,
) -> Result<InsertPlan, RowsError> {
    let (mut json, mut hidden) = (0, 0);
    match returning {
        Returning::Nothing => {}
        Returning::Key => {
            if let Some(identity) = Identity::of(scope.table) {
                sql.words(" RETURNING ");
                identity.write_columns(&mut sql, scope);
                hidden = identity.columns.len();
            }
        }
        Returning::Selected => {
            let all = [SelectItem::All];
            let select = match level.select.as_slice() {
                [] => &all[..],
                select => select,
            };
            let outputs = Outputs::of(scope, select)?;
            if outputs.is_grouped {
                return Err(RowsError::with_hint(
                    "rows that were changed cannot be gathered into groups",
                    "name columns in `select`",
                ));
            }
            let written = write_outputs(scope, plain(scope, outputs)?)?;
            let (_, columns) = written.sql.text.split_at("SELECT ".len());
            sql.words(" RETURNING ");
            sql.part(Sql {
                text: columns.to_owned(),
                values: written.sql.values,
            });
            json = written.json;
        }
    }
    // SQLite counts no row that triggers took in its place; it returns each of them.
    let counts_changes = scope.table.kind == TableKind::View;
    if counts_changes && returning != Returning::Selected {
        sql.words(" RETURNING 1");
        hidden = 1;
    }
    Ok(InsertPlan {
        sql: spelling::finished(sql, scope.schema.dialect),
        columns: BareColumns {
            json,
            hidden: u16::try_from(hidden).unwrap_or(u16::MAX),
            counts_changes,
            ..BareColumns::default()
        },
    })
}

/// RETURNING knows no `table.*`.
fn plain(scope: Scope<'_>, outputs: Outputs) -> Result<Outputs, RowsError> {
    if scope.alias.is_none() {
        return Ok(outputs);
    }
    let values: Vec<OutputValue> = outputs.written_out(scope)?;
    Ok(Outputs {
        items: values.into_iter().map(Output::One).collect(),
        is_grouped: false,
    })
}

/// A column that takes values.
fn writable<'s>(scope: Scope<'s>, name: &str) -> Result<&'s str, RowsError> {
    match scope.find(name) {
        Some(Column {
            generated: Some(_), ..
        }) => Err(RowsError::with_hint(
            format!(
                "`{name}` of `{}` is a generated column, which takes no values",
                scope.table.name
            ),
            "leave it out",
        )),
        Some(column) => Ok(&column.name),
        None => scope.row_number(name).ok_or_else(|| scope.no_column(name)),
    }
}

fn scope_for_writes<'s>(
    schema: &'s Schema,
    table: &str,
    query: &RowsQuery,
    change: Change,
) -> Result<Scope<'s>, RowsError> {
    let scope = scope_of(schema, table, &query.level)?;
    let Table {
        kind,
        triggers,
        name,
        ..
    } = scope.table;
    let has_trigger = || {
        let event = change.event();
        triggers
            .iter()
            .any(|trigger| trigger.event.starts_with(event))
    };
    // PostgreSQL writes through a view that is simple enough, and knows which is.
    let needs_trigger = schema.dialect == SqlDialect::Sqlite;
    let refused = match kind {
        TableKind::View if needs_trigger && !has_trigger() => Some((
            "a view",
            "write to the tables that it reads, or give it an INSTEAD OF trigger",
        )),
        TableKind::Shadow => Some((
            "a virtual table's own data",
            "write to the virtual table that it belongs to",
        )),
        _ => None,
    };
    match refused {
        None => Ok(scope),
        Some((what, hint)) => Err(RowsError::NotWritable {
            table: name.clone(),
            what,
            method: change.method(),
            hint,
        }),
    }
}
