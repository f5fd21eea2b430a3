//! Tables and rows as the original routes know them: small questions, asked as any client's SQL.
//!
//! Identifiers are quoted and values bound; nothing here is a way around access lock, limits or
//! scopes.
use super::{DataPlane, SharedGuard};
use crate::engine::sql::{
    Access, BatchError, BatchMode, BatchStatement, Param, Params, QueryAnswer, QueryError,
    QueryOptions, QueryRequest, Shape, Target,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A table to be made.
#[derive(Debug, Clone, Deserialize)]
pub struct NewTable {
    /// Its name.
    pub table_name: String,
    /// Its columns, at least one.
    pub columns: Vec<NewColumn>,
}

/// A column of a new table.
#[derive(Debug, Clone, Deserialize)]
pub struct NewColumn {
    /// Its name.
    pub name: String,
    /// Its declared type: words, and a size in parentheses.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is the primary key, or a part of it.
    #[serde(default)]
    pub primary_key: bool,
    /// Whether it refuses NULL.
    #[serde(default)]
    pub not_null: bool,
    /// Whether no two rows may have the same.
    #[serde(default)]
    pub unique: bool,
    /// What it has when nothing is given.
    #[serde(default)]
    pub default: Option<Param>,
}

/// Rows to be inserted: a value for each column that is named.
pub type NewRows = Vec<BTreeMap<String, Param>>;

/// A table as the list tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFacts {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub row_count: u64,
}

/// The tables and indexes of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaFacts {
    /// Its tables, by name.
    pub tables: Vec<TableFacts>,
    /// The names of its indexes, those that SQLite made itself left out.
    pub indexes: Vec<String>,
}

/// Makes a table.
///
/// # Errors
/// When the description is no table, or as for any statement.
pub async fn create_table(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    table: &NewTable,
) -> Result<(), QueryError> {
    let sql = create_table_sql(table)?;
    let request = original(sql, Params::None, Access::ReadWrite);
    plane.query(guard, target, request).await.map(|_| ())
}

/// Inserts rows, all or none; the number of rows that were inserted.
///
/// # Errors
/// When a row is empty, or as for any statement.
pub async fn insert_rows(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    table: &str,
    rows: NewRows,
) -> Result<u64, BatchError> {
    plane.require_legacy_api(target)?;
    let most = plane.config().max_batch_statements;
    if rows.len() > most {
        return Err(BatchError {
            statement: most,
            error: QueryError::PayloadTooLarge {
                what: "the number of rows",
                limit: most.to_string(),
            },
        });
    }
    let mut statements = Vec::with_capacity(rows.len());
    let mut last: Option<Arc<str>> = None;
    for row in rows {
        let text = insert_sql(table, row.keys());
        // Rows of one form share one text, and so one prepared statement.
        let sql = match last.take().filter(|it| **it == *text) {
            Some(same) => same,
            None => text.into(),
        };
        last = Some(Arc::clone(&sql));
        let values: Vec<Param> = row.into_values().collect();
        let params = match values.len() {
            0 => Params::None,
            _ => Params::Positional(values.into()),
        };
        statements.push(BatchStatement { sql, params });
    }
    let options = QueryOptions {
        shape: Shape::Original,
        ..QueryOptions::for_access(Access::ReadWrite)
    };
    let mode = BatchMode::Immediate;
    let answers = plane
        .batch(guard, target, statements, mode, options)
        .await?;
    Ok(answers.iter().map(|it| it.rows_affected).sum())
}

/// Selects rows whose columns equal the values given, compared as the column's type compares:
/// `24` finds the integer 24.
///
/// # Errors
/// As for any statement.
pub async fn select_rows(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    table: &str,
    filters: &[(String, String)],
    limit: Option<u64>,
    offset: Option<u64>,
) -> Result<QueryAnswer, QueryError> {
    let mut sql = format!("SELECT * FROM {}", quoted(table));
    let mut values = Vec::new();
    for (index, (column, value)) in filters.iter().enumerate() {
        sql.push_str(if index == 0 { " WHERE " } else { " AND " });
        sql.push_str(&quoted(column));
        sql.push_str(" = ?");
        values.push(Param::Text(value.clone()));
    }
    if limit.is_some() || offset.is_some() {
        sql.push_str(" LIMIT ? OFFSET ?");
        // A negative LIMIT is none.
        values.push(Param::Integer(limit.map_or(-1, saturating)));
        values.push(Param::Integer(saturating(offset.unwrap_or(0))));
    }
    let params = if values.is_empty() {
        Params::None
    } else {
        Params::Positional(values.into())
    };
    plane
        .query(guard, target, original(sql, params, Access::ReadOnly))
        .await
}

/// The tables of a database with their numbers of rows, and its indexes.
///
/// # Errors
/// As for any statement; counting very large tables may run into the deadline.
pub async fn schema(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
) -> Result<SchemaFacts, QueryError> {
    plane.require_legacy_api(target)?;
    let names = texts(plane, guard, target, "SELECT name FROM pragma_table_list WHERE type IN ('table', 'virtual') AND schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name").await?;
    let indexes = texts(plane, guard, target, "SELECT name FROM sqlite_schema WHERE type = 'index' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name").await?;
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        let sql = format!("SELECT count(*) FROM {}", quoted(&name));
        let rows: Vec<(u64,)> = ask(plane, guard, target, sql).await?;
        let row_count = rows.first().map_or(0, |it| it.0);
        tables.push(TableFacts { name, row_count });
    }
    Ok(SchemaFacts { tables, indexes })
}

async fn texts(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    sql: &str,
) -> Result<Vec<String>, QueryError> {
    let rows: Vec<(String,)> = ask(plane, guard, target, sql.to_owned()).await?;
    Ok(rows.into_iter().map(|it| it.0).collect())
}

/// Asks, and reads the answer as a client would.
async fn ask<Row: serde::de::DeserializeOwned>(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    sql: String,
) -> Result<Vec<Row>, QueryError> {
    #[derive(Deserialize)]
    struct Body<Row> {
        rows: Vec<Row>,
    }
    let mut request = original(sql, Params::None, Access::ReadOnly);
    request.options.shape = Shape::Rows;
    let answer = plane.query(guard, target, request).await?;
    let body: Body<Row> =
        serde_json::from_slice(&answer.body).map_err(|it| QueryError::Broken {
            reason: format!("the schema answered what it cannot: {it}"),
        })?;
    Ok(body.rows)
}

fn original(sql: String, params: Params, access: Access) -> QueryRequest {
    QueryRequest {
        sql,
        params,
        options: QueryOptions {
            shape: Shape::Original,
            ..QueryOptions::for_access(access)
        },
    }
}

fn insert_sql<'k>(table: &str, columns: impl Iterator<Item = &'k String>) -> String {
    let columns: Vec<String> = columns.map(|it| quoted(it)).collect();
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

fn create_table_sql(table: &NewTable) -> Result<String, QueryError> {
    let invalid = |message: String| Err(QueryError::InvalidRequest { message });
    if table.table_name.is_empty() || table.columns.iter().any(|column| column.name.is_empty()) {
        return invalid("a table and its columns have names".to_owned());
    }
    if table.columns.is_empty() {
        return invalid("a table has at least one column".to_owned());
    }
    let keys: Vec<String> = (table.columns.iter())
        .filter(|it| it.primary_key)
        .map(|it| quoted(&it.name))
        .collect();
    let mut parts = Vec::new();
    for column in &table.columns {
        if !is_type(&column.kind) {
            return invalid(format!(
                "`{}` is no column type; write words and a size, such as VARCHAR(20)",
                column.kind
            ));
        }
        let mut part = format!("{} {}", quoted(&column.name), column.kind);
        if column.primary_key && keys.len() == 1 {
            // Only here INTEGER PRIMARY KEY becomes the row's own number.
            part.push_str(" PRIMARY KEY");
        }
        if column.not_null {
            part.push_str(" NOT NULL");
        }
        if column.unique {
            part.push_str(" UNIQUE");
        }
        if let Some(default) = &column.default {
            part.push_str(" DEFAULT ");
            part.push_str(&literal(default));
        }
        parts.push(part);
    }
    if keys.len() > 1 {
        parts.push(format!("PRIMARY KEY ({})", keys.join(", ")));
    }
    Ok(format!(
        "CREATE TABLE {} ({})",
        quoted(&table.table_name),
        parts.join(", ")
    ))
}

/// A type is words and numbers: it stands in the SQL as it is, so nothing else may be in it.
fn is_type(kind: &str) -> bool {
    let (words, size) = match kind.split_once('(') {
        Some((words, rest)) => (words, rest.strip_suffix(')')),
        None => (kind, Some("0")),
    };
    const KEYWORDS: &[&str] = &[
        "primary",
        "unique",
        "not",
        "null",
        "check",
        "default",
        "collate",
        "references",
        "constraint",
        "generated",
        "as",
    ];
    words.split_whitespace().all(|word| {
        word.chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
            && !KEYWORDS.contains(&word.to_ascii_lowercase().as_str())
    }) && size.is_some_and(|it| {
        it.chars()
            .all(|c| c.is_ascii_digit() || c == ',' || c == ' ')
    })
}

/// A value as SQL writes it; there are no parameters in a schema.
fn literal(value: &Param) -> String {
    match value {
        Param::Null => "NULL".to_owned(),
        Param::Integer(it) => it.to_string(),
        Param::Real(it) if it.is_finite() => format!("{it:?}"),
        Param::Real(it) => if *it > 0.0 { "9e999" } else { "-9e999" }.to_owned(),
        Param::Text(it) => match it.to_ascii_uppercase().as_str() {
            now @ ("CURRENT_TIMESTAMP" | "CURRENT_DATE" | "CURRENT_TIME") => now.to_owned(),
            _ => format!("'{}'", it.replace('\'', "''")),
        },
        Param::TextBytes(it) => format!("(CAST(x'{}' AS TEXT))", hex::encode(it)),
        Param::Blob(it) => format!("x'{}'", hex::encode(it)),
    }
}

/// A name as SQL quotes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn saturating(it: u64) -> i64 {
    i64::try_from(it).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::data::legacy_rows::*;

    fn table(json: &str) -> Result<String, QueryError> {
        create_table_sql(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_table_is_written_with_everything_that_its_columns_ask_for() {
        let sql = table(
            r#"{"table_name":"us\"ers","columns":[
                {"name":"id","type":"INTEGER","primary_key":true},
                {"name":"name","type":"VARCHAR(20)","not_null":true,"unique":true},
                {"name":"joined","type":"TEXT","default":"CURRENT_TIMESTAMP"},
                {"name":"note","type":"","default":"it's"}]}"#,
        );
        assert_eq!(
            sql.unwrap(),
            "CREATE TABLE \"us\"\"ers\" (\"id\" INTEGER PRIMARY KEY, \
             \"name\" VARCHAR(20) NOT NULL UNIQUE, \"joined\" TEXT DEFAULT CURRENT_TIMESTAMP, \
             \"note\"  DEFAULT 'it''s')"
        );
        let two_keys = table(
            r#"{"table_name":"t","columns":[
                {"name":"a","type":"INT","primary_key":true},
                {"name":"b","type":"INT","primary_key":true}]}"#,
        );
        let expected = "CREATE TABLE \"t\" (\"a\" INT, \"b\" INT, PRIMARY KEY (\"a\", \"b\"))";
        assert_eq!(two_keys.unwrap(), expected);
    }

    #[test]
    fn a_type_cannot_carry_sql() {
        for kind in [
            "INT); DROP TABLE t; --",
            "INT DEFAULT 1",
            "INT CHECK (1)",
            "TEXT 'x'",
            "VARCHAR(20",
            "VARCHAR(x)",
            "\"INT\"",
        ] {
            assert!(!is_type(kind), "{kind}");
        }
        for kind in ["", "TEXT", "DOUBLE PRECISION", "DECIMAL(10, 2)"] {
            assert!(is_type(kind), "{kind}");
        }
    }
}
