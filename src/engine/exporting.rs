//! What is asked and answered when a whole database leaves as a file.
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A step from a database to a file. Done in a child process alone.
///
/// First a copy is made, as fast as the disk allows: only that touches the database. The file is
/// made of the copy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportOrder {
    /// Copy the database in `folder`, as it is committed now, into the empty folder `copy`. Writes
    /// go on meanwhile.
    Copy {
        /// The folder of the database.
        folder: PathBuf,
        /// Where the copy goes.
        copy: PathBuf,
    },
    /// Write what was copied to the new file `out`.
    Write {
        /// Where the copy is.
        copy: PathBuf,
        /// The file.
        out: PathBuf,
        /// What is written.
        kind: FileKind,
    },
}

/// What kind of file a database becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileKind {
    /// What is in it.
    pub format: FileFormat,
    /// How it is compressed.
    pub compression: Option<FileCompression>,
}

/// What is in the file of a whole database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// The engine's own kind of file: compact, and all that the database is.
    Native,
    /// SQL that makes the database.
    Sql,
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileCompression {
    /// Every machine can unpack it.
    Gzip,
    /// Faster, and smaller.
    Zstd,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportReport {
    /// Tables whose rows are not in the file.
    pub left_out: Vec<String>,
}
