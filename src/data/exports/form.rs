//! How rows are exported, and what an export is made of.
use crate::engine::sql::{Format, Statement};
use bytes::Bytes;

/// How rows are exported.
#[derive(Debug, Clone, Copy)]
pub struct ExportForm {
    /// What they are written in. JSON and NDJSON have an object for each row.
    pub format: Format,
    /// Whether texts of CSV that a spreadsheet would take for formulas are written as texts.
    pub escapes_formulas: bool,
    /// Whether rows, in NDJSON, become a Parquet file.
    pub is_parquet: bool,
    /// Whether SQL of a table makes the table, its indexes and triggers.
    pub has_schema: bool,
}

/// What an export of rows is made of.
pub(super) struct RowParts {
    pub(super) before: Bytes,
    pub(super) statement: Statement,
    pub(super) after: Bytes,
}
