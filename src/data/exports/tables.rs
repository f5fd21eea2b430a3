//! What an export of a table is made of: the statement that reads it, and in SQL what makes it.
use super::form::{ExportForm, RowParts};
use crate::engine::sql::schema::{Column, Schema, Table, TableKind, quoted};
use crate::engine::sql::{Format, InsertTarget, QueryError, Statement};
use bytes::Bytes;
use std::fmt::Write as _;
use std::sync::Arc;

/// The parts of an export of the table of this name.
///
/// # Errors
/// When there is none.
pub(super) fn table_parts(
    schema: &Schema,
    name: &str,
    form: ExportForm,
) -> Result<RowParts, QueryError> {
    let table = schema
        .find(name)
        .ok_or_else(|| no_such_table(schema, name))?;
    if let Some(trouble) = &table.trouble {
        return Err(QueryError::Sql {
            message: format!("the columns of {} cannot be told: {trouble}", table.name),
            hint: None,
        });
    }
    let is_sql = form.format == Format::Sql;
    let visible = table.columns.iter().filter(|column| !column.is_hidden);
    let wanted: Vec<&Column> = visible
        .filter(|column| !is_sql || column.generated.is_none())
        .collect();
    let mut names: Vec<String> = wanted.iter().map(|column| column.name.clone()).collect();
    // The number of a row is what a full-text index is joined by.
    if is_sql && has_rows_by_number_alone(table) {
        names.insert(0, "rowid".to_owned());
    }
    let selected: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let sql = format!("SELECT {} FROM {}", selected.join(","), quoted(&table.name));
    let is_all = names.len() == table.columns.len();
    let inserts = is_sql.then(|| {
        Arc::new(InsertTarget {
            table: table.name.clone(),
            columns: Some(if is_all { Vec::new() } else { names }),
        })
    });
    let (before, after) = match is_sql && form.has_schema {
        true => around(table),
        false => Default::default(),
    };
    Ok(RowParts {
        before,
        statement: Statement {
            sql: sql.into(),
            inserts,
            ..Statement::default()
        },
        after,
    })
}

fn no_such_table(schema: &Schema, name: &str) -> QueryError {
    QueryError::NoTable {
        table: name.to_owned(),
        hint: schema.nearest(name).map_or_else(
            || "GET /v1/databases/{db}/schema lists the tables".to_owned(),
            |nearest| format!("did you mean `{nearest}`?"),
        ),
    }
}

fn has_rows_by_number_alone(table: &Table) -> bool {
    let sql = table.sql.to_ascii_lowercase();
    table.kind == TableKind::Virtual && sql.contains("using fts") && !shows_alone(table)
}

/// Whether it only shows rows that are elsewhere, and takes none.
fn shows_alone(table: &Table) -> bool {
    let sql = table.sql.to_ascii_lowercase();
    table.kind == TableKind::View
        || table.kind == TableKind::Virtual
            && ["using fts5vocab", "using fts4aux", "using fts3aux"]
                .iter()
                .any(|module| sql.contains(module))
}

/// What makes the table before its rows, and its indexes and triggers behind them. What shows rows
/// of others becomes a table of its name and columns, which takes them.
fn around(table: &Table) -> (Bytes, Bytes) {
    if table.kind == TableKind::Shadow {
        return Default::default();
    }
    if shows_alone(table) {
        let visible = table.columns.iter().filter(|column| !column.is_hidden);
        let columns = visible.map(|column| quoted(&column.name));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let before = format!(
            "BEGIN TRANSACTION;\nCREATE TABLE {} ({columns});\n",
            quoted(&table.name)
        );
        return (before.into(), Bytes::from_static(b"COMMIT;\n"));
    }
    // A line break ends a comment that may stand at the end.
    let before = format!(
        "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n{}\n;\n",
        table.sql
    );
    let mut after = String::new();
    let indexes = table.indexes.iter().filter_map(|index| index.sql.as_ref());
    let triggers = table.triggers.iter().map(|trigger| &trigger.sql);
    for sql in indexes.chain(triggers) {
        write!(after, "{sql}\n;\n").expect("a text takes more text");
    }
    after.push_str("COMMIT;\n");
    (before.into(), after.into())
}
