//! Makes tables.
//!
//! Types, defaults and constraints are SQL, as in the original. What is run begins as one
//! `CREATE TABLE` of the table's name with a list of columns, and none of these pieces can end the
//! list, begin another column or another statement.
use super::asking::original_options;
use super::piece::is_one_piece;
use crate::data::{
    Access, BatchMode, BatchStatement, DataPlane, Param, Params, QueryError, SharedGuard, Target,
    quoted,
};
use serde::Deserialize;

/// A table to be made.
#[derive(Debug, Clone, Deserialize)]
pub struct NewTable {
    /// Its name.
    pub table_name: String,
    /// Its columns, at least one.
    pub columns: Vec<NewColumn>,
    /// Its indexes.
    #[serde(default)]
    pub indexes: Option<Vec<NewIndex>>,
}

/// A column of a new table. A flag that is left out or null is false.
#[derive(Debug, Clone, Deserialize)]
pub struct NewColumn {
    /// Its name.
    pub name: String,
    /// Its type, in SQL; constraints may follow: `DECIMAL(10,2) CHECK(price > 0)`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is the primary key, or a part of it.
    #[serde(default)]
    pub primary_key: Option<bool>,
    /// Whether it refuses NULL.
    #[serde(default)]
    pub not_null: Option<bool>,
    /// Whether no two rows may have the same.
    #[serde(default)]
    pub unique: Option<bool>,
    /// What it has when nothing is given. Text is SQL: `'pending'`, `(datetime('now'))`.
    #[serde(default)]
    pub default: Option<Param>,
    /// Constraints, in SQL: `["NOT NULL", "CHECK(price > 0)"]`.
    #[serde(default)]
    pub constraints: Option<Vec<String>>,
}

/// An index of a new table.
#[derive(Debug, Clone, Deserialize)]
pub struct NewIndex {
    /// Its name.
    pub name: String,
    /// The names of its columns, at least one.
    pub columns: Vec<String>,
    /// Whether no two rows may have the same.
    #[serde(default)]
    pub unique: Option<bool>,
}

/// Makes a table with its indexes, all or nothing.
///
/// # Errors
/// When the description is no table, or as for any statement.
pub async fn create_table(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    table: &NewTable,
) -> Result<(), QueryError> {
    plane.require_legacy_api(target)?;
    let statements = statements(table)?;
    let statements = statements.into_iter().map(|sql| BatchStatement {
        sql: sql.into(),
        params: Params::None,
    });
    let statements = statements.collect();
    let options = original_options(Access::ReadWrite);
    let made = plane.batch(guard, target, statements, BatchMode::Immediate, options);
    made.await.map(|_| ()).map_err(|failed| failed.error)
}

fn statements(table: &NewTable) -> Result<Vec<String>, QueryError> {
    let mut statements = vec![create_table_sql(table)?];
    for index in table.indexes.iter().flatten() {
        statements.push(create_index_sql(&table.table_name, index)?);
    }
    Ok(statements)
}

fn create_table_sql(table: &NewTable) -> Result<String, QueryError> {
    if table.table_name.is_empty() || table.columns.iter().any(|column| column.name.is_empty()) {
        return invalid("a table and its columns have names");
    }
    if table.columns.is_empty() {
        return invalid("a table has at least one column");
    }
    let is_key = |column: &&NewColumn| column.primary_key == Some(true);
    let keys: Vec<String> = (table.columns.iter().filter(is_key))
        .map(|column| quoted(&column.name))
        .collect();
    let columns = table.columns.iter();
    let mut parts = columns
        .map(|column| column_sql(column, keys.len() == 1))
        .collect::<Result<Vec<_>, _>>()?;
    if keys.len() > 1 {
        parts.push(format!("PRIMARY KEY ({})", keys.join(", ")));
    }
    Ok(format!(
        "CREATE TABLE {} ({})",
        quoted(&table.table_name),
        parts.join(", ")
    ))
}

/// A column; `is_key_alone` if a primary key has no other columns.
fn column_sql(column: &NewColumn, is_key_alone: bool) -> Result<String, QueryError> {
    let name = &column.name;
    let mut sql = quoted(name);
    let mut add = |words: &str| {
        sql.push(' ');
        sql.push_str(words);
    };
    add(piece(&column.kind, "the type", name)?);
    if column.primary_key == Some(true) && is_key_alone {
        // Only here INTEGER PRIMARY KEY becomes the row's own number.
        add("PRIMARY KEY");
    }
    for constraint in column.constraints.iter().flatten() {
        add(piece(constraint, "a constraint", name)?);
    }
    if column.not_null == Some(true) {
        add("NOT NULL");
    }
    if column.unique == Some(true) {
        add("UNIQUE");
    }
    if let Some(default) = &column.default {
        add("DEFAULT");
        add(&default_sql(default, name)?);
    }
    Ok(sql)
}

fn create_index_sql(table: &str, index: &NewIndex) -> Result<String, QueryError> {
    if index.name.is_empty() || index.columns.is_empty() {
        return invalid("an index has a name and at least one column");
    }
    let unique = if index.unique == Some(true) {
        "UNIQUE "
    } else {
        ""
    };
    let columns: Vec<String> = index.columns.iter().map(|name| quoted(name)).collect();
    Ok(format!(
        "CREATE {unique}INDEX {} ON {} ({})",
        quoted(&index.name),
        quoted(table),
        columns.join(", ")
    ))
}

/// A default as SQL writes it; there are no parameters in a schema.
fn default_sql(value: &Param, column: &str) -> Result<String, QueryError> {
    Ok(match value {
        Param::Null => "NULL".to_owned(),
        Param::Integer(it) => it.to_string(),
        Param::Real(it) if it.is_finite() => format!("{it:?}"),
        Param::Real(it) => if *it > 0.0 { "9e999" } else { "-9e999" }.to_owned(),
        Param::Text(sql) if sql.trim().is_empty() => {
            return invalid(format!(
                "the default of `{column}` is empty; an empty text is '' in SQL"
            ));
        }
        Param::Text(sql) => piece(sql, "the default", column)?.to_owned(),
        Param::TextBytes(it) => format!("(CAST(x'{}' AS TEXT))", hex::encode(it)),
        Param::Blob(it) => format!("x'{}'", hex::encode(it)),
    })
}

/// A piece of SQL that a client sent.
///
/// # Errors
/// When it would not stay in its place.
fn piece<'a>(sql: &'a str, what: &str, column: &str) -> Result<&'a str, QueryError> {
    if is_one_piece(sql) {
        return Ok(sql);
    }
    invalid(format!(
        "{what} of `{column}` is not one piece of SQL: `{sql}`; quotes and parentheses must be \
         closed, a text is written 'it''s', and comments are not allowed"
    ))
}

fn invalid<T>(message: impl Into<String>) -> Result<T, QueryError> {
    let message = message.into();
    Err(QueryError::InvalidRequest { message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(json: &str) -> Result<Vec<String>, QueryError> {
        statements(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_table_is_written_with_everything_that_its_columns_ask_for() {
        let written = sql(r#"{"table_name":"us\"ers","columns":[
                {"name":"id","type":"INTEGER","primary_key":true,"constraints":["AUTOINCREMENT"]},
                {"name":"name","type":"VARCHAR(20)","not_null":true,"unique":true},
                {"name":"joined","type":"TEXT","default":"CURRENT_TIMESTAMP"},
                {"name":"price","type":"DECIMAL(10,2)","constraints":["NOT NULL","CHECK(price > 0)"]},
                {"name":"note","type":"","default":"'it''s'","not_null":null},
                {"name":"n","type":"INT","default":-1.5}],
                "indexes":[{"name":"by \"name","columns":["name","joined"],"unique":true},
                {"name":"i","columns":["n"]}]}"#);
        assert_eq!(
            written.unwrap(),
            [
                "CREATE TABLE \"us\"\"ers\" (\"id\" INTEGER PRIMARY KEY AUTOINCREMENT, \
                 \"name\" VARCHAR(20) NOT NULL UNIQUE, \"joined\" TEXT DEFAULT CURRENT_TIMESTAMP, \
                 \"price\" DECIMAL(10,2) NOT NULL CHECK(price > 0), \"note\"  DEFAULT 'it''s', \
                 \"n\" INT DEFAULT -1.5)",
                "CREATE UNIQUE INDEX \"by \"\"name\" ON \"us\"\"ers\" (\"name\", \"joined\")",
                "CREATE INDEX \"i\" ON \"us\"\"ers\" (\"n\")",
            ]
        );
        let two_keys = sql(r#"{"table_name":"t","columns":[
                {"name":"a","type":"INT","primary_key":true},
                {"name":"b","type":"INT","primary_key":true}]}"#);
        let expected = "CREATE TABLE \"t\" (\"a\" INT, \"b\" INT, PRIMARY KEY (\"a\", \"b\"))";
        assert_eq!(two_keys.unwrap(), [expected]);
    }

    #[test]
    fn pieces_that_do_not_stay_in_their_place_are_refused_by_name() {
        for (column, what) in [
            (r#""type":"INT); DROP TABLE t; --""#, "the type of `a`"),
            (
                r#""type":"INT","default":"1) AS SELECT 1 --""#,
                "the default of `a`",
            ),
            (r#""type":"INT","default":" ""#, "the default of `a`"),
            (
                r#""type":"INT","constraints":["NOT NULL, b INT"]"#,
                "a constraint of `a`",
            ),
        ] {
            let table = format!(r#"{{"table_name":"t","columns":[{{"name":"a",{column}}}]}}"#);
            let said = sql(&table).unwrap_err().to_string();
            assert!(said.starts_with(what), "{said}");
        }
    }
}
