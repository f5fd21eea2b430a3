//! What rows of a table look like in an answer, for the languages that have types.
use crate::data::{Affinity, Column, Schema, Table, TableKind};

/// What JSON has for a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    /// A number. One that is not finite is `{"$real": …}`.
    Number,
    /// A text.
    Text,
    /// `{"$base64": …}`.
    Blob,
    /// Anything that a database keeps.
    Any,
}

impl ValueKind {
    /// Of a column. Only a STRICT table holds every value to the declared type, and a column that
    /// numbers the rows; of others the affinity tells what they usually have.
    pub(super) fn of(column: &Column) -> Self {
        match column.affinity {
            Affinity::Integer | Affinity::Real => Self::Number,
            Affinity::Text => Self::Text,
            Affinity::Blob if column.declared_type.eq_ignore_ascii_case("BLOB") => Self::Blob,
            Affinity::Numeric | Affinity::Blob => Self::Any,
        }
    }
}

/// The tables whose rows users read and write: no shadow tables, and none of DB-Forge's own.
pub(super) fn tables(schema: &Schema) -> impl Iterator<Item = &Table> {
    let tables = schema.tables.iter();
    tables.filter(|table| {
        table.kind != TableKind::Shadow && !table.is_internal && table.trouble.is_none()
    })
}

/// The columns that `SELECT *` tells.
pub(super) fn columns(table: &Table) -> impl Iterator<Item = &Column> {
    table.columns.iter().filter(|column| !column.is_hidden)
}

/// Whether a row's value can be NULL. SQLite takes NULL in a primary key, unless it numbers the
/// rows or the table has no row numbers.
pub(super) fn may_be_null(table: &Table, column: &Column) -> bool {
    let numbers_rows = table.rowid.as_deref() == Some(column.name.as_str());
    let is_key = column.key_place.is_some() && (table.is_without_rowid || numbers_rows);
    !column.not_null && !is_key
}

/// Whether a new row can leave it out.
pub(super) fn may_be_left_out(table: &Table, column: &Column) -> bool {
    let numbers_rows = table.rowid.as_deref() == Some(column.name.as_str());
    numbers_rows || column.default.is_some() || may_be_null(table, column)
}
