//! Inserts and selects rows.
use super::asking::{ask, original, original_options};
use super::piece::is_one_piece;
use crate::data::{
    Access, BatchError, BatchMode, BatchStatement, DataPlane, Excess, KeyedRows,
    MAX_PARAMETER_ROWS, MAX_RUNS, Param, Params, QueryAnswer, QueryError, Run, SharedGuard, Target,
    quoted,
};

/// Which rows are asked for, and in which order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct RowSelection {
    /// Columns, and the values they must have, compared as the column's type compares: `24` finds
    /// the integer 24.
    pub filters: Vec<(String, String)>,
    /// A condition in SQL.
    pub condition: Option<String>,
    /// The column that they are sorted by; the primary key where only an order is given.
    pub order_by: Option<String>,
    /// Which of them come first.
    pub order: Option<RowOrder>,
    /// Most rows.
    pub limit: Option<u64>,
    /// Rows to leave out first.
    pub offset: Option<u64>,
}

/// Which rows come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// Those with the least values.
    Ascending,
    /// Those with the greatest.
    Descending,
}

/// Inserts rows, all or none; the number of rows that were inserted.
///
/// # Errors
/// When there are too many, or as for any statement, with the place of the row.
pub async fn insert_rows(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    table: &str,
    rows: KeyedRows,
) -> Result<u64, BatchError> {
    plane.require_legacy_api(target)?;
    if let Some(excess) = rows.excess {
        return Err(too_many(excess).into());
    }
    let mut statements = Vec::with_capacity(rows.runs.len());
    // Of each run, where its first row is.
    let mut starts = Vec::with_capacity(rows.runs.len());
    let mut start = 0;
    for Run { columns, rows } in rows.runs {
        starts.push(start);
        start += rows.rows();
        statements.push(BatchStatement {
            sql: insert_sql(table, &columns).into(),
            params: Params::List(rows),
        });
    }
    let options = original_options(Access::ReadWrite);
    let mode = BatchMode::Immediate;
    let answers = plane.batch(guard, target, statements, mode, options).await;
    let answers = answers.map_err(|failure| {
        let (row, error) = failure.error.without_row();
        let start = starts.get(failure.statement).copied().unwrap_or(0);
        BatchError {
            statement: start + row.unwrap_or(0),
            error,
        }
    })?;
    Ok(answers.iter().map(|it| it.rows_affected).sum())
}

fn too_many(excess: Excess) -> QueryError {
    let (what, most) = match excess {
        Excess::Rows => ("the number of rows", MAX_PARAMETER_ROWS),
        Excess::Runs => (
            "the number of times that a row names other columns than the one before it",
            MAX_RUNS,
        ),
    };
    QueryError::PayloadTooLarge {
        what,
        limit: most.to_string(),
    }
}

/// Selects rows.
///
/// # Errors
/// When the condition is not one expression, or as for any statement.
pub async fn select_rows(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    table: &str,
    selection: &RowSelection,
) -> Result<QueryAnswer, QueryError> {
    plane.require_legacy_api(target)?;
    let mut sql = format!("SELECT * FROM {}", quoted(table));
    let mut values = Vec::new();
    let mut conditions = Vec::new();
    if let Some(condition) = &selection.condition {
        if !is_one_piece(condition) {
            return Err(QueryError::InvalidRequest {
                message: format!("`where` is not one SQL expression: `{condition}`"),
            });
        }
        conditions.push(format!("({condition})"));
    }
    for (column, value) in &selection.filters {
        conditions.push(format!("{} = ?", quoted(column)));
        values.push(Param::Text(value.clone()));
    }
    if !conditions.is_empty() {
        sql.push_str(" WHERE ");
        sql.push_str(&conditions.join(" AND "));
    }
    let order = order_of(plane, guard, target, table, selection).await?;
    if !order.is_empty() {
        sql.push_str(" ORDER BY ");
        sql.push_str(&order.join(", "));
    }
    let (limit, offset) = (selection.limit, selection.offset);
    if limit.is_some() || offset.is_some() {
        sql.push_str(" LIMIT ? OFFSET ?");
        // A negative LIMIT is none.
        values.push(Param::Integer(limit.map_or(-1, saturating)));
        values.push(Param::Integer(saturating(offset.unwrap_or(0))));
    }
    let request = original(sql, positional(values), Access::ReadOnly);
    plane.query(guard, target, request).await
}

/// The terms that rows are sorted by.
async fn order_of(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    table: &str,
    selection: &RowSelection,
) -> Result<Vec<String>, QueryError> {
    let columns = match (&selection.order_by, selection.order) {
        (Some(column), _) => vec![quoted(column)],
        (None, None) => return Ok(Vec::new()),
        (None, Some(_)) => {
            let key = "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk";
            let table = positional(vec![Param::Text(table.to_owned())]);
            let key: Vec<(String,)> = ask(plane, guard, target, key, table).await?;
            if key.is_empty() {
                vec!["rowid".to_owned()]
            } else {
                key.iter().map(|(name,)| quoted(name)).collect()
            }
        }
    };
    let direction = match selection.order {
        None | Some(RowOrder::Ascending) => "ASC",
        Some(RowOrder::Descending) => "DESC",
    };
    let terms = columns.iter().map(|column| format!("{column} {direction}"));
    Ok(terms.collect())
}

fn insert_sql(table: &str, columns: &[String]) -> String {
    let columns: Vec<String> = columns.iter().map(|it| quoted(it)).collect();
    if columns.is_empty() {
        return format!("INSERT INTO {} DEFAULT VALUES", quoted(table));
    }
    let places = vec!["?"; columns.len()].join(", ");
    format!(
        "INSERT INTO {} ({}) VALUES ({places})",
        quoted(table),
        columns.join(", ")
    )
}

fn positional(values: Vec<Param>) -> Params {
    if values.is_empty() {
        Params::None
    } else {
        Params::Positional(values.into())
    }
}

fn saturating(it: u64) -> i64 {
    i64::try_from(it).unwrap_or(i64::MAX)
}
