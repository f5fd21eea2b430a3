//! Loads: a whole database that comes from a file.
use serde::{Deserialize, Serialize};

/// What a load does to what is there. Stored: arms are only ever added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadMode {
    /// It is refused unless the database is empty.
    IntoEmpty,
    /// What is there goes to the trash.
    Replace,
    /// It is run on top of what is there: all of it, or nothing.
    Insert,
}

/// What a file is. Stored: arms are only ever added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadForm {
    /// SQL text, such as `sqlite3 .dump` writes.
    Sql,
    /// A database file.
    File,
}

/// What a load brought. Stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadSummary {
    pub form: LoadForm,
    /// Statements that were run; 0 for a database file.
    pub statements: u64,
    /// Tables in the database now.
    pub tables: u64,
    /// Rows that statements wrote.
    pub rows: u64,
    /// Bytes of the database.
    pub size_bytes: u64,
    /// Rows that point at no row, by their foreign keys.
    pub foreign_key_violations: u64,
    /// What was left out or is different, a sentence each; a few.
    pub notes: Vec<String>,
}
