//! Imports: rows that come from a file into one table.
use serde::{Deserialize, Serialize};

/// An import into one table. Stored: fields stay, arms are only ever added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableImport {
    /// The table.
    pub table: String,
    /// What the file is.
    pub form: RowsForm,
    /// Whether a table that is not there is made.
    pub creates: bool,
    /// What becomes of rows that are there.
    pub mode: WriteMode,
    /// The columns whose values make a row the same as one that is there; empty for the primary key.
    pub on_conflict: Vec<String>,
    /// Whether columns of a table that is made get types.
    pub finds_types: bool,
    /// The unquoted text that stands for NULL; the empty one where none is named.
    pub null: Option<String>,
    /// What separates fields; found out where it is not named.
    pub delimiter: Option<u8>,
    /// Whether the first line has the names of columns.
    pub has_header: bool,
    /// Whether a row that does not fit is left out.
    pub skips_errors: bool,
    /// As many rows may be left out.
    pub max_errors: u64,
    /// Whether all rows are kept together, or none.
    pub is_atomic: bool,
    /// Whether texts that a spreadsheet would take for a formula get a `'` in front.
    pub escapes_formulas: bool,
}

/// What a file of rows is. Stored: arms are only ever added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowsForm {
    /// Fields with a separator between them.
    Csv,
    /// The same, with tabs.
    Tsv,
    /// A JSON value on each line.
    Ndjson,
    /// A JSON list of objects.
    Json,
}

/// What an import does to rows that are there. Stored: arms are only ever added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteMode {
    /// They stay.
    Insert,
    /// A row with the same key is changed.
    Upsert,
    /// They are deleted.
    Replace,
}

/// What an import brought. Stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportSummary {
    /// Whether the table was made.
    pub created: bool,
    /// Rows in the file.
    pub rows: u64,
    /// Rows that were written: inserted, or changed by an upsert.
    pub written: u64,
    /// Rows that were left out.
    pub skipped: u64,
    /// Why, of the first ones.
    pub errors: Vec<RowError>,
    /// What a person may want to know: the separator that was found, columns that got no type.
    pub notes: Vec<String>,
}

/// Why a row did not fit. Stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowError {
    /// The line of the file on which it begins, from 1.
    pub line: u64,
    /// The column, where one is to blame.
    pub column: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// Most [`ImportSummary::errors`].
pub const SHOWN_ERRORS: usize = 10;

impl std::fmt::Display for RowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", column `{column}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl RowsForm {
    /// Whether rows are fields with a separator.
    #[must_use]
    pub fn has_fields(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv)
    }
}
