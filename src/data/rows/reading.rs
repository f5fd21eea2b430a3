//! Reads rows.
use super::build::{
    ColumnSet, Identity, NextPage, Page, PageForm, Sql, count, long_value, next_page, page,
};
use super::dialect::RowsQuery;
use super::error::RowsError;
use crate::data::{
    Access, BareColumns, BatchMode, BatchStatement, DataPlane, Format, Param, Params, QueryAnswer,
    QueryError, QueryOptions, QueryRequest, Shape, SharedGuard, Target,
};
use crate::engine::sql::schema::Schema;
use bytes::Bytes;
use std::time::Duration;

/// How rows are read, beside what the parameters say.
#[derive(Debug, Clone, Copy)]
pub struct RowsRead {
    /// What the answer is written in.
    pub format: Format,
    /// Whether the rows behind the conditions are counted.
    pub counts: bool,
    /// Whether an answer may end before its limit, because more can be asked for.
    pub may_end_early: bool,
    /// Whether members that are null are left out.
    pub strips_nulls: bool,
}

/// Rows that were read.
#[derive(Debug, Clone)]
pub struct RowsPage {
    /// In the format that was asked for; a list of objects in JSON.
    pub body: Bytes,
    /// Rows in it.
    pub row_count: u64,
    /// Where the next page begins.
    pub next: NextPage,
    /// How many there are in all, where that was asked.
    pub count: Option<u64>,
    /// How long the statements took.
    pub elapsed: Duration,
}

/// One row.
#[derive(Debug, Clone)]
pub struct OneRowAnswer {
    /// In the format that was asked for; an object in JSON.
    pub body: Bytes,
    /// The mark of what is in it.
    pub etag: String,
    /// How long the statement took.
    pub elapsed: Duration,
}

/// Reads rows of a table.
///
/// # Errors
/// When the parameters do not fit the table, or as for any statement.
pub async fn read_page(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    table: &str,
    query: &RowsQuery,
    read: RowsRead,
) -> Result<RowsPage, RowsError> {
    refuse_parameters_of_writes(query)?;
    let schema = plane
        .schema(guard, target, &QueryOptions::for_access(Access::ReadOnly))
        .await?;
    let config = plane.config();
    let most = config.largest_max_rows;
    let limit = query.level.limit.unwrap_or(config.default_max_rows);
    let form = PageForm {
        key: None,
        mark: None,
        limit: limit.min(most),
        is_paged: true,
    };
    let statement = page(&schema, table, query, form)?;
    let count = match read.counts {
        true => Some(count(&schema, table, query, statement.hidden)?),
        false => None,
    };
    let mut options = options(&statement, read);
    // Without a limit, rows that cannot be paged through are all there, or refused.
    let may_end = query.level.limit.is_some() || statement.order.is_some();
    options.max_rows = may_end.then_some(form.limit.max(1));
    options.max_bytes = Some(if read.may_end_early {
        config
            .default_max_bytes
            .saturating_mul(2)
            .min(config.largest_max_bytes)
    } else {
        config.largest_max_bytes
    });
    let order = statement.order;
    let answered = match count {
        None => {
            let answer = one(plane, guard, target, statement, options).await;
            answer.map(|answer| (answer, None))
        }
        Some(count) => counted(plane, guard, target, statement, count, options).await,
    };
    let (answer, count) = match answered {
        Ok(answered) => answered,
        Err(error) => {
            let of = (table, query);
            return Err(explained(plane, guard, target, &schema, of, None, error).await);
        }
    };
    let next = match order {
        Some(order) if answer.truncated && limit > 0 => next_page(order, &answer.hidden),
        _ => NextPage::None,
    };
    Ok(RowsPage {
        body: answer.body,
        row_count: answer.row_count,
        next,
        count,
        elapsed: answer.elapsed,
    })
}

/// Reads the row that a part of a path names.
///
/// # Errors
/// [`RowsError::NoRow`] when there is none; else as [`read_page`].
pub async fn read_one(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    (table, key): (&str, &str),
    query: &RowsQuery,
    read: RowsRead,
) -> Result<OneRowAnswer, RowsError> {
    refuse_parameters_of_writes(query)?;
    let schema = plane
        .schema(guard, target, &QueryOptions::for_access(Access::ReadOnly))
        .await?;
    for (name, is_sent) in [
        ("order", !query.level.order.is_empty()),
        ("limit", query.level.limit.is_some()),
        ("offset", query.level.offset.is_some()),
        ("cursor", query.cursor.is_some()),
    ] {
        if is_sent {
            return Err(RowsError::invalid(format!(
                "`{name}` is for many rows, and the path names one"
            )));
        }
    }
    let columns = match schema.find(table) {
        Some(table) => ColumnSet::of(table, &query.level.select),
        None => ColumnSet::All,
    };
    let form = PageForm {
        key: Some(key),
        mark: Some(&columns),
        limit: 1,
        is_paged: false,
    };
    let statement = page(&schema, table, query, form)?;
    let mut options = options(&statement, read);
    options.max_rows = Some(1);
    options.max_bytes = Some(plane.config().largest_max_bytes);
    let answer = one(plane, guard, target, statement, options).await;
    let answer = match answer {
        Err(error) => {
            return Err(explained(
                plane,
                guard,
                target,
                &schema,
                (table, query),
                Some(key),
                error,
            )
            .await);
        }
        Ok(answer) => answer,
    };
    let (1, Some(Param::Integer(hash))) = (answer.row_count, answer.hidden.last()) else {
        return Err(RowsError::NoRow {
            table: table.to_owned(),
            key: key.to_owned(),
        });
    };
    let body = match read.format {
        // An array of one row.
        Format::Json => answer.body.slice(1..answer.body.len() - 1),
        _ => answer.body,
    };
    Ok(OneRowAnswer {
        etag: columns.mark(*hash),
        body,
        elapsed: answer.elapsed,
    })
}

fn refuse_parameters_of_writes(query: &RowsQuery) -> Result<(), RowsError> {
    for (name, is_sent) in [
        ("columns", query.columns.is_some()),
        ("on_conflict", query.on_conflict.is_some()),
        ("all", query.all),
    ] {
        if is_sent {
            return Err(RowsError::with_hint(
                format!("`{name}` is for rows that are written, and GET reads them"),
                format!("leave it out; for a column of that name: `\"{name}\"=eq.value`"),
            ));
        }
    }
    Ok(())
}

fn options(page: &Page, read: RowsRead) -> QueryOptions {
    QueryOptions {
        format: read.format,
        shape: Shape::Bare(BareColumns {
            json: page.json,
            hidden: page.hidden,
            is_paged: read.may_end_early && page.order.is_some(),
            strips_nulls: read.strips_nulls,
            counts_changes: false,
        }),
        ..QueryOptions::for_access(Access::ReadOnly)
    }
}

async fn one(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    page: Page,
    options: QueryOptions,
) -> Result<QueryAnswer, QueryError> {
    let request = QueryRequest {
        sql: page.sql.text,
        params: positional(page.sql.values),
        options,
    };
    plane.query(guard, target, request).await
}

/// Rows, and how many there are at the same moment.
async fn counted(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    page: Page,
    count: Sql,
    options: QueryOptions,
) -> Result<(QueryAnswer, Option<u64>), QueryError> {
    let statements = [(page.sql.text, page.sql.values), (count.text, count.values)];
    let statements = statements.map(|(sql, values)| BatchStatement {
        sql: sql.into(),
        params: positional(values),
    });
    let ran = plane.batch(
        guard,
        target,
        statements.into(),
        BatchMode::Deferred,
        options,
    );
    let answers = ran.await.map_err(|failed| failed.error)?;
    let [answer, counted] = <[QueryAnswer; 2]>::try_from(answers).map_err(|_| broken())?;
    let count = read_count(&counted.body, options.format).ok_or_else(broken)?;
    Ok((answer, Some(count)))
}

/// The number in an answer of one row and one column.
fn read_count(body: &[u8], format: Format) -> Option<u64> {
    let text = str::from_utf8(body).ok()?;
    let text = match format {
        Format::Csv => text.lines().nth(1)?,
        _ => text.rsplit_once(':')?.1,
    };
    let digits = text.trim_end_matches(|last: char| !last.is_ascii_digit());
    digits.parse().ok()
}

fn broken() -> QueryError {
    let reason = "the rows were answered as they cannot be".to_owned();
    QueryError::Broken { reason }
}

/// What failed, with the value that is too long for SQL where there is one.
pub(super) async fn explained(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    schema: &Schema,
    (table, query): (&str, &RowsQuery),
    key: Option<&str>,
    error: QueryError,
) -> RowsError {
    if !error.is_of_a_long_value() {
        return error.into();
    }
    let limit = DataPlane::largest_value_bytes();
    let Ok((sql, hidden)) = long_value(schema, table, query, key, limit) else {
        return error.into();
    };
    let options = QueryOptions {
        shape: Shape::Bare(BareColumns {
            hidden,
            ..BareColumns::default()
        }),
        ..QueryOptions::for_access(Access::ReadOnly)
    };
    let request = QueryRequest {
        sql: sql.text,
        params: positional(sql.values),
        options,
    };
    let Ok(found) = plane.query(guard, target, request).await else {
        return error.into();
    };
    match found.hidden.split_first() {
        Some((Param::Text(column), key)) => RowsError::LongValue {
            table: table.to_owned(),
            column: column.clone(),
            key: Identity::in_path(key),
            limit,
        },
        _ => error.into(),
    }
}

pub(super) fn positional(values: Vec<Param>) -> Params {
    if values.is_empty() {
        Params::None
    } else {
        Params::Positional(values.into())
    }
}
