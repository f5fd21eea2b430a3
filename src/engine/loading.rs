//! What is asked and answered when a whole database is loaded from a file.
use crate::domain::database::Durability;
use crate::domain::load::LoadForm;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A file to make a database of. Every path is opened in a child process, never in the gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoadOrder {
    /// The file, compressed or not.
    pub source: PathBuf,
    /// What it is; where that was not said, its first bytes tell.
    pub form: Option<LoadForm>,
    /// Most bytes that it may unpack to.
    pub most_unpacked: u64,
    /// The folder in which the database is built.
    pub target: PathBuf,
    /// The folder of a database to begin with a copy of; none for an empty one.
    pub base: Option<PathBuf>,
    /// What an answered write to it will survive.
    pub durability: Durability,
    /// Most bytes of the database.
    pub size_bytes: u64,
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    pub form: LoadForm,
    /// Statements that were run; 0 for a file that is a database.
    pub statements: u64,
    /// Tables in the database now, without those of SQLite's own.
    pub tables: u64,
    /// Rows that were written; for a file that is a database, those of its tables are not counted.
    pub rows: u64,
    /// Bytes of the database.
    pub size_bytes: u64,
    /// Rows that point at no row, by their foreign keys.
    pub foreign_key_violations: u64,
    /// What was left out or is different, a sentence each; a few.
    pub notes: Vec<String>,
}
