//! What can come of a statement besides its answer.
use super::limits::{MOST_OBJECTS, MOST_SCHEMA_BYTES};
use super::sandbox::c_calls;
use super::sandbox::c_calls::NotOpened;
use super::sandbox::execution_limits::Interrupt;
use super::sandbox::memory;
use super::sandbox::vfs::Full;
use crate::engine::DataFileError;
use crate::engine::sql::StatementOutcome;
use crate::engine::sql::error::QueryError;
use rusqlite::ffi::{self, ErrorCode};
use std::time::Duration;

/// Why a statement has no answer. No text in it names a path of this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// SQLite refuses the statement: a wrong word, table, column, value.
    #[error("SQL Error: {message}")]
    Sql {
        /// What SQLite says.
        message: String,
        /// What may help.
        hint: Option<String>,
    },
    /// No client may do this.
    #[error("this statement is not allowed: {what}")]
    NotAllowed {
        /// What it tried.
        what: String,
    },
    /// Foreign keys were to be turned off.
    #[error("this statement is not allowed: PRAGMA foreign_keys = OFF")]
    ForeignKeysOff,
    /// A reader was asked to change something.
    #[error("the statement writes to the database, but the request is read-only")]
    NeedsWriter,
    /// A rule of the schema forbids it.
    #[error("SQL Error: {message}")]
    Constraint {
        /// Which one.
        message: String,
    },
    /// A foreign key that is checked at the end of the transaction does not hold.
    #[error("SQL Error: FOREIGN KEY constraint failed")]
    DeferredForeignKey,
    /// It changes more rows than its request allows.
    #[error("the request would change {affected} rows, and allows {most}")]
    TooManyAffected {
        /// How many it would change.
        affected: u64,
        /// How many it may.
        most: u64,
    },
    /// There is no statement, there are several, or it holds a NUL byte.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
    },
    /// The parameters do not fit the statement.
    #[error("{message}")]
    ParameterMismatch {
        /// What does not fit.
        message: String,
    },
    /// One row of parameters, of many, is to blame.
    #[error("{error}")]
    InRow {
        /// Which row, from 0.
        index: usize,
        /// What it failed with.
        error: Box<Self>,
    },
    /// The result has more rows or bytes than may be answered.
    #[error("the result is larger than {limit}")]
    ResultTooLarge {
        /// The bound, in words: `10000 rows`.
        limit: String,
    },
    /// More is in the schema than is told.
    #[error("the schema is larger than {}", schema_limit())]
    SchemaTooLarge,
    /// Rows are to be objects, and two columns have one name.
    #[error("two columns are named `{name}`; an object cannot have the same key twice")]
    DuplicateColumn {
        /// That name.
        name: String,
    },
    /// What its caller has in memory leaves no room for it, or for its answer.
    #[error("this caller has used up its share of memory for requests, statements and answers")]
    NoRoom,
    /// Its deadline passed.
    #[error("the statement ran into its deadline")]
    Timeout,
    /// The request was cancelled.
    #[error("the client went away")]
    Cancelled,
    /// It is longer than its slice; run elsewhere, it may end well.
    #[error("the statement is longer than its slice")]
    SliceOver,
    /// Another process holds the file.
    #[error("the database is locked by another operation")]
    Locked,
    /// The database has all the room that it may have.
    #[error("the database has reached its size limit")]
    QuotaExceeded,
    /// Temporary files have all the room that they may have.
    #[error("the statement's temporary files exceed {limit}")]
    TemporaryFilesFull {
        /// The bound, in words.
        limit: String,
    },
    /// The disk has no room.
    #[error("the disk is full")]
    DiskFull,
    /// The process has no file descriptor left.
    #[error("no file descriptor is left")]
    NoFiles,
    /// The file is missing or no plain file.
    #[error("the database's file is missing or empty")]
    DataMissing,
    /// The tables in which a virtual table keeps its rows do not fit each other.
    #[error("a virtual table does not fit its contents: {message}")]
    VirtualTable {
        /// What SQLite says.
        message: String,
    },
    /// The file is damaged.
    #[error("the database's file is damaged")]
    Damaged,
    /// The disk failed while data was made lasting: what is on it now is unknown.
    #[error("the disk failed while the data was written; what was kept is unknown")]
    OutcomeUnknown,
    /// The disk failed.
    #[error("the disk failed ({code})")]
    Io {
        /// SQLite's extended result code.
        code: i32,
    },
}

impl SqlError {
    /// What a failed statement is to its caller, who gave it `timeout`.
    pub(crate) fn for_caller(self, timeout: Duration) -> QueryError {
        match self {
            Self::Sql { message, hint } => QueryError::Sql { message, hint },
            Self::NotAllowed { what } => QueryError::NotAllowed { what },
            Self::ForeignKeysOff => QueryError::ForeignKeysOff,
            Self::NeedsWriter => QueryError::ReadOnly,
            Self::Constraint { message } => QueryError::Constraint { message },
            Self::DeferredForeignKey => QueryError::DeferredForeignKey,
            Self::TooManyAffected { affected, most } => {
                QueryError::TooManyAffected { affected, most }
            }
            Self::Invalid { message } => QueryError::InvalidRequest { message },
            Self::ParameterMismatch { message } => QueryError::ParameterMismatch { message },
            Self::InRow { index, error } => QueryError::InRow {
                index,
                error: Box::new(error.for_caller(timeout)),
            },
            Self::ResultTooLarge { limit } => QueryError::ResultTooLarge { limit },
            Self::SchemaTooLarge => QueryError::PayloadTooLarge {
                what: "the schema of this database",
                limit: schema_limit(),
            },
            Self::DuplicateColumn { name } => QueryError::DuplicateColumn { name },
            Self::NoRoom => QueryError::NoRoom,
            Self::Timeout | Self::Cancelled | Self::SliceOver => QueryError::timeout(timeout),
            Self::Locked => QueryError::Locked,
            Self::QuotaExceeded => QueryError::QuotaExceeded,
            Self::TemporaryFilesFull { limit } => QueryError::TemporaryFilesFull { limit },
            Self::DiskFull => QueryError::DiskFull,
            Self::NoFiles => QueryError::Overloaded {
                what: "a file descriptor",
            },
            Self::DataMissing => QueryError::DataMissing,
            Self::OutcomeUnknown => QueryError::OutcomeUnknown,
            Self::Damaged | Self::VirtualTable { .. } | Self::Io { .. } => QueryError::Broken {
                reason: self.to_string(),
            },
        }
    }

    /// How a statement that fails so has ended.
    pub(super) fn outcome(&self) -> StatementOutcome {
        match self {
            Self::InRow { error, .. } => error.outcome(),
            Self::Timeout | Self::SliceOver => StatementOutcome::Timeout,
            Self::Cancelled => StatementOutcome::Cancelled,
            Self::DiskFull
            | Self::NoFiles
            | Self::DataMissing
            | Self::OutcomeUnknown
            | Self::Damaged
            | Self::Io { .. } => StatementOutcome::Failure,
            Self::Sql { .. }
            | Self::NotAllowed { .. }
            | Self::ForeignKeysOff
            | Self::NeedsWriter
            | Self::Constraint { .. }
            | Self::DeferredForeignKey
            | Self::TooManyAffected { .. }
            | Self::Invalid { .. }
            | Self::ParameterMismatch { .. }
            | Self::ResultTooLarge { .. }
            | Self::DuplicateColumn { .. }
            | Self::SchemaTooLarge
            | Self::NoRoom
            | Self::Locked
            | Self::QuotaExceeded
            | Self::TemporaryFilesFull { .. }
            | Self::VirtualTable { .. } => StatementOutcome::Error,
        }
    }

    /// Whether the connection it happened on must not be used again.
    pub(super) fn spoils_connection(&self) -> bool {
        match self {
            Self::Timeout
            | Self::Cancelled
            | Self::SliceOver
            | Self::QuotaExceeded
            | Self::TemporaryFilesFull { .. }
            | Self::DiskFull
            | Self::NoFiles
            | Self::NoRoom
            | Self::DataMissing
            | Self::Damaged
            | Self::OutcomeUnknown
            | Self::Io { .. } => true,
            Self::Sql { .. } => self.is_out_of_memory(),
            Self::InRow { error, .. } => error.spoils_connection(),
            Self::NotAllowed { .. }
            | Self::ForeignKeysOff
            | Self::NeedsWriter
            | Self::Constraint { .. }
            | Self::DeferredForeignKey
            | Self::TooManyAffected { .. }
            | Self::Invalid { .. }
            | Self::ParameterMismatch { .. }
            | Self::ResultTooLarge { .. }
            | Self::DuplicateColumn { .. }
            | Self::SchemaTooLarge
            | Self::VirtualTable { .. }
            | Self::Locked => false,
        }
    }

    /// What is wrong with the file that was to be opened.
    pub(super) fn from_file(error: &DataFileError) -> Self {
        match error {
            DataFileError::Missing => Self::DataMissing,
            DataFileError::NotADatabase { .. } | DataFileError::OtherVersion { .. } => {
                Self::Damaged
            }
            DataFileError::Busy => Self::Locked,
            DataFileError::DiskFull => Self::DiskFull,
            DataFileError::NoFiles => Self::NoFiles,
            DataFileError::Unavailable { .. } | DataFileError::Io { .. } => Self::Io {
                code: ffi::SQLITE_IOERR,
            },
        }
    }

    /// What SQLite said, without knowing who asked or why it stopped.
    pub(super) fn from_sqlite(error: &rusqlite::Error, cut: Option<Interrupt>) -> Self {
        use rusqlite::Error;
        let (code, message) = match error {
            Error::SqliteFailure(code, message) => (code, message.clone()),
            Error::SqlInputError { error, msg, .. } => (error, Some(msg.clone())),
            Error::Empty => return Self::invalid("the statement is empty"),
            Error::MultipleStatement => {
                return Self::invalid(
                    "only one statement can be sent here; the routes `batch` and `script` take several",
                );
            }
            Error::NulError(_) => return Self::invalid("the statement holds a NUL byte"),
            other => return Self::sql(other.to_string()),
        };
        let message = message.unwrap_or_else(|| ffi::code_to_str(code.extended_code).to_owned());
        match code.code {
            ErrorCode::OperationInterrupted => Self::interrupted(cut),
            // By that limit a statement ends that nothing else ends.
            ErrorCode::TooBig if cut.is_some() => Self::interrupted(cut),
            ErrorCode::ConstraintViolation => Self::Constraint { message },
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => match cut {
                Some(Interrupt::Slice) => Self::SliceOver,
                Some(Interrupt::Cancelled) => Self::Cancelled,
                Some(Interrupt::Deadline) | None => Self::Locked,
            },
            ErrorCode::DiskFull => Self::DiskFull,
            ErrorCode::CannotOpen => match c_calls::why_it_was_not_opened() {
                NotOpened::NoFiles => Self::NoFiles,
                NotOpened::DiskFull => Self::DiskFull,
                NotOpened::Missing => Self::DataMissing,
                NotOpened::Refused => Self::Io {
                    code: code.extended_code,
                },
            },
            ErrorCode::DatabaseCorrupt if code.extended_code == ffi::SQLITE_CORRUPT_VTAB => {
                Self::VirtualTable { message }
            }
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Damaged,
            ErrorCode::SystemIoFailure => match code.extended_code {
                ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC | ffi::SQLITE_IOERR_CLOSE => {
                    Self::OutcomeUnknown
                }
                // A writer's shared memory, which is a file, had no room.
                ffi::SQLITE_IOERR_SHMSIZE => Self::DiskFull,
                code => Self::Io { code },
            },
            ErrorCode::OutOfMemory if memory::had_no_room() => Self::NoRoom,
            ErrorCode::OutOfMemory => Self::out_of_memory(),
            ErrorCode::AuthorizationForStatementDenied => Self::NotAllowed { what: message },
            ErrorCode::ReadOnly => Self::NeedsWriter,
            _ => Self::sql(message),
        }
    }

    /// The same with the row of parameters that it happened at, where that is to blame.
    pub(super) fn in_row(self, row: Option<usize>) -> Self {
        let is_about_values = matches!(
            self,
            Self::Sql { .. } | Self::Constraint { .. } | Self::ParameterMismatch { .. }
        );
        match row {
            Some(index) if is_about_values => Self::InRow {
                index,
                error: Box::new(self),
            },
            _ => self,
        }
    }

    /// It was interrupted, and this is why.
    pub(super) fn interrupted(cut: Option<Interrupt>) -> Self {
        match cut {
            Some(Interrupt::Cancelled) => Self::Cancelled,
            Some(Interrupt::Slice) => Self::SliceOver,
            Some(Interrupt::Deadline) | None => Self::Timeout,
        }
    }

    pub(super) fn sql(message: impl Into<String>) -> Self {
        Self::Sql {
            message: message.into(),
            hint: None,
        }
    }

    /// There was not enough memory for it.
    pub(super) fn out_of_memory() -> Self {
        Self::Sql {
            message: OUT_OF_MEMORY.to_owned(),
            hint: Some("sort or join less at a time".to_owned()),
        }
    }

    pub(super) fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Sql { message, .. } if message == OUT_OF_MEMORY)
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::Invalid {
            message: message.to_owned(),
        }
    }
}

/// How much of a schema is told, in words.
fn schema_limit() -> String {
    format!("{MOST_OBJECTS} objects or {MOST_SCHEMA_BYTES} bytes of SQL")
}

const OUT_OF_MEMORY: &str = "the statement needs more memory than one statement may have";

impl From<Full> for SqlError {
    fn from(full: Full) -> Self {
        match full {
            Full::Database(bytes) => Self::TemporaryFilesFull {
                limit: format!("the {bytes} bytes that one database may have"),
            },
            Full::Gateway(bytes) => Self::TemporaryFilesFull {
                limit: format!("what others leave of the {bytes} bytes that all may have"),
            },
            Full::Disk => Self::DiskFull,
        }
    }
}
