//! What a gateway and its children say to each other.
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a child may use. It sets these bounds itself before it opens anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildLimits {
    /// Bytes of its address space.
    pub memory_bytes: u64,
    /// Seconds of processor time.
    pub cpu_seconds: u64,
    /// Bytes of the largest file it may write.
    pub file_bytes: u64,
    /// Files that it may have open.
    pub open_files: u64,
}

/// What a child is to do, and within which bounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChildOrder<T> {
    pub limits: ChildLimits,
    /// Where it works, and has its temporary files.
    pub folder: PathBuf,
    pub operation: T,
}

/// How far a child is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildProgress {
    /// Bytes of its file that are read or written.
    pub bytes: u64,
    /// Of how many.
    pub of_bytes: u64,
    /// Rows so far.
    pub rows: u64,
}

/// A line of a child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildReply<T> {
    Progress(ChildProgress),
    /// It is done; nothing follows.
    Done(T),
    /// It has failed; nothing follows.
    Failed(ChildFailure),
}

/// Why a child did not do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct ChildFailure {
    pub code: ChildFailureCode,
    /// What failed, and what to do, in a sentence or two.
    pub detail: String,
}

/// Sorts of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildFailureCode {
    /// The file is not what it should be: its owner has to change it.
    Refused,
    /// The database is not empty.
    NotEmpty,
    /// What was written would be larger than the database may be.
    QuotaExceeded,
    /// The disk is full.
    DiskFull,
    /// A file that should be there is missing.
    DataMissing,
    /// It needed more memory than it may have.
    OutOfMemory,
    /// A bug, or an unexpected answer of the system.
    Internal,
}

impl ChildFailure {
    #[must_use]
    pub fn new(code: ChildFailureCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { code, detail }
    }

    /// The file's own fault.
    #[must_use]
    pub fn refused(detail: impl Into<String>) -> Self {
        Self::new(ChildFailureCode::Refused, detail)
    }

    /// A fault of this program or its machine.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(ChildFailureCode::Internal, detail)
    }
}
