//! The kinds of database the forge can serve: one folder each, one registry.
pub mod access_lock;
pub mod registry;
pub mod sql;
pub mod sqlite;

use crate::domain::database::Durability;
use std::path::Path;

/// The stack of every thread that runs clients' SQL. Half of it is more than any statement takes
/// (`tests/forge/sql_depths.rs`); what is not touched is not there.
pub const SQL_THREAD_STACK: usize = 8 << 20;

/// One kind of database, as the jobs that make and move its files see it.
///
/// Every call blocks, may be repeated, and may be cut off anywhere and run again.
pub trait Engine: Send + Sync {
    /// The word callers use: `sqlite`.
    fn name(&self) -> &'static str;

    /// Makes sure that `folder` holds a database that answers; an existing one is left as it is.
    ///
    /// # Errors
    /// When the disk refuses, or what lies there is no database.
    fn create_file(&self, folder: &Path, durability: Durability) -> Result<(), FileError>;

    /// Opens the database in `folder` and asks it one question.
    ///
    /// # Errors
    /// When it is missing, is no database, or does not answer.
    fn probe(&self, folder: &Path) -> Result<(), FileError>;

    /// Whether nobody has put anything into the database in `folder`.
    ///
    /// # Errors
    /// When it is missing, is no database, or does not answer.
    fn is_empty(&self, folder: &Path) -> Result<bool, FileError>;

    /// Brings everything that was written into the main file, so that it alone is the database.
    /// Called when nobody else has it open. A folder without a database is settled.
    ///
    /// # Errors
    /// When somebody has it open after all, or the disk refuses.
    fn settle(&self, folder: &Path) -> Result<(), FileError>;
}

/// Why the files of a database could not be made, asked or settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is no file, or no plain one, where the database should be.
    #[error("the database's file is missing or empty")]
    Missing,
    /// What lies there is no database.
    #[error("the file is no database: {reason}")]
    NotADatabase {
        /// What the engine said.
        reason: String,
    },
    /// Somebody has it open.
    #[error("the database is in use")]
    Busy,
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The process has no file descriptor left.
    #[error("no file descriptor is left")]
    NoFiles,
    /// The disk refused.
    #[error("could not {action}: {reason}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        reason: String,
    },
}

impl FileError {
    /// Whether the same call may work later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy | Self::DiskFull | Self::NoFiles | Self::Io { .. } => true,
            Self::Missing | Self::NotADatabase { .. } => false,
        }
    }
}
