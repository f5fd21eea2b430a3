//! Why there is no answer.
pub mod known_text;

use self::known_text::KnownText;
use super::params::{ListFault, MAX_LIST_VALUES, MAX_PARAMETER_ROWS};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Why there is no answer. No text in it names a path of this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum QueryError {
    /// The request cannot be a statement (`invalid_request`).
    #[error("{message}")]
    InvalidRequest {
        /// What is wrong.
        message: String,
    },
    /// SQLite refuses it (`sql_error`).
    #[error("SQL Error: {message}")]
    Sql {
        /// What SQLite says.
        message: String,
        /// What may help.
        hint: Option<String>,
    },
    /// No client may do this (`statement_not_allowed`).
    #[error("this statement is not allowed: {what}")]
    NotAllowed {
        /// What it tried.
        what: String,
    },
    /// Foreign keys were to be turned off (`statement_not_allowed`).
    #[error("this statement is not allowed: PRAGMA foreign_keys = OFF")]
    ForeignKeysOff,
    /// It changes something and may not (`read_only`).
    #[error("the statement writes to the database, but the request is read-only")]
    ReadOnly,
    /// A rule of the schema forbids it (`constraint_violation`).
    #[error("SQL Error: {message}")]
    Constraint {
        /// Which one.
        message: String,
    },
    /// A foreign key that is checked at the end of the transaction does not hold
    /// (`constraint_violation`).
    #[error("SQL Error: FOREIGN KEY constraint failed")]
    DeferredForeignKey,
    /// It changes more rows than the request allows (`invalid_request`).
    #[error("the request would change {affected} rows, and allows {most}; nothing was kept")]
    TooManyAffected {
        /// How many it would change.
        affected: u64,
        /// How many it may.
        most: u64,
    },
    /// The parameters do not fit (`parameter_mismatch`).
    #[error("{message}")]
    ParameterMismatch {
        /// What does not fit.
        message: String,
    },
    /// One row of `params_list` is to blame (the code of what it failed with, and its place).
    #[error("{error}")]
    InRow {
        /// Which row, from 0.
        index: usize,
        /// What it failed with.
        #[serde(with = "in_row")]
        error: Box<Self>,
    },
    /// The database's worker ended while it wrote (`worker_unhealthy`).
    #[error(
        "the database's worker ended during the write, so its outcome is unknown; check the data before you try again"
    )]
    Lost,
    /// The database's engine does not do this (`not_supported_by_engine`).
    #[error("the engine `{engine}` does not support {what}")]
    NotSupported {
        /// Which engine.
        engine: String,
        /// What was asked of it.
        #[serde(with = "known_text")]
        what: KnownText,
    },
    /// The database's worker does not answer yet (`database_not_ready`).
    #[error("the database's worker is starting")]
    Starting,
    /// It is longer than what may be asked (`payload_too_large`).
    #[error("{what} is larger than {limit}")]
    PayloadTooLarge {
        /// What is.
        #[serde(with = "known_text")]
        what: KnownText,
        /// The bound, in words.
        limit: String,
    },
    /// The result has too many rows or bytes (`result_too_large`).
    #[error("the result is larger than {limit}")]
    ResultTooLarge {
        /// The bound, in words.
        limit: String,
    },
    /// Rows are to be objects, and two columns have one name (`invalid_request`).
    #[error("two columns are named `{name}`; an object cannot have the same key twice")]
    DuplicateColumn {
        /// That name.
        name: String,
    },
    /// Requests and answers that are in memory leave no room for this one (`overloaded`).
    #[error("this caller has used up its share of memory for requests, statements and answers")]
    NoRoom,
    /// Its deadline passed; nothing of it was kept (`statement_timeout`).
    #[error("the statement timed out after {timeout_ms} ms; nothing was kept")]
    Timeout {
        /// The time it had.
        timeout_ms: u64,
    },
    /// The token of the request is no longer accepted (`unauthenticated`).
    #[error("the token was revoked or has expired")]
    TokenEnded,
    /// The database's time to live ended meanwhile (`database_expired`).
    #[error("the database expired while the request was running")]
    Expired,
    /// Another operation holds the file (`database_locked`).
    #[error("the database is locked by another operation")]
    Locked,
    /// The database has all the room that it may have (`quota_exceeded`).
    #[error("the database has reached its size limit")]
    QuotaExceeded,
    /// The statement's temporary files have all the room that they may have (`quota_exceeded`).
    #[error("the statement's temporary files exceed {limit}; nothing was kept")]
    TemporaryFilesFull {
        /// The bound, in words.
        limit: String,
    },
    /// The disk has no room (`disk_full`).
    #[error("the disk is full")]
    DiskFull,
    /// The file is missing (`data_missing`).
    #[error("the database's file is missing or empty")]
    DataMissing,
    /// Too much waits already (`overloaded`).
    #[error("too many requests wait for {what}; try again")]
    Overloaded {
        /// For what.
        #[serde(with = "known_text")]
        what: KnownText,
    },
    /// It was read for so long that writes would have been refused for it (`overloaded`).
    #[error("the export ended: while it read, so much was written that the WAL became too long")]
    YieldedToWrites,
    /// The database has no such table (`table_not_found`).
    #[error("there is no table `{table}`")]
    NoTable {
        /// The name that was asked for.
        table: String,
        /// What may help.
        hint: String,
    },
    /// Something has no form in the format that is wanted (`invalid_request`).
    #[error("{reason}")]
    NoForm {
        /// What, and why.
        reason: String,
    },
    /// An export was on its way to its client for as long as it may be (`timed_out`).
    #[error("the export was not taken in time")]
    NotTakenInTime,
    /// The database takes no requests until it is well again (`overloaded`, with the reason).
    #[error("the database is temporarily unavailable: {reason}")]
    Unavailable {
        /// Why, and until when.
        #[serde(with = "known_text")]
        reason: KnownText,
    },
    /// The disk failed while this was written: it may have been kept or not (`internal`).
    #[error(
        "the disk failed during the write, so its outcome is unknown; check the data before you try again"
    )]
    OutcomeUnknown,
    /// The file is damaged, or the disk failed (`internal`).
    #[error("the database could not be read or written: {reason}")]
    Broken {
        /// What was seen.
        reason: String,
    },
    /// The database's server refuses it (the code of what that means). Never said by another process,
    /// and the last arm: the numbers of those behind one that is left out would be others.
    #[error("{}", .0.error)]
    #[serde(skip)]
    Server(Box<ServerRefusal>),
}

/// A refusal of a database's server: what it means, and how the server tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRefusal {
    /// What it means.
    pub error: QueryError,
    /// Five characters of the SQL standard: `42P01`.
    pub sqlstate: String,
    /// The character of the statement at which it failed, from 1, where the server tells it.
    pub position: Option<usize>,
}

/// What one row failed with, from another process: it is of no row in turn, however deep it says
/// that they lie in each other.
mod in_row {
    use super::QueryError;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
    use std::cell::Cell;

    thread_local! {
        static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    }

    #[expect(clippy::borrowed_box, reason = "it is what the field is")]
    pub(super) fn serialize<S: Serializer>(
        error: &Box<QueryError>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        error.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        said: D,
    ) -> Result<Box<QueryError>, D::Error> {
        if IS_INSIDE.replace(true) {
            return Err(de::Error::custom("a row's error is of another row"));
        }
        let read = QueryError::deserialize(said);
        IS_INSIDE.set(false);
        read.map(Box::new)
    }
}

/// What SQLite says of a value that is longer than its limit.
pub(crate) const VALUE_TOO_LONG: &str = "string or blob too big";

/// What helps with one that is in a table.
pub(crate) const HINT_OF_LONG_VALUES: &str = "SQL handles values of at most 64 MiB; GET /v1/databases/{db}/tables/{t}/rows/{key}/{column} \
     answers the bytes of one that is longer, and PUT writes them";

impl QueryError {
    /// Whether a value is longer than SQL may handle.
    #[must_use]
    pub fn is_of_a_long_value(&self) -> bool {
        match self {
            Self::Sql { message, hint } => {
                let hint = hint.as_deref();
                message == VALUE_TOO_LONG && hint.is_none_or(|hint| hint == HINT_OF_LONG_VALUES)
            }
            Self::InRow { error, .. } => error.is_of_a_long_value(),
            _ => false,
        }
    }

    pub(crate) fn timeout(timeout: Duration) -> Self {
        Self::Timeout {
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// What may help, where something is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Sql { hint, .. } => hint.as_deref(),
            Self::InRow { error, .. } => error.hint(),
            Self::Server(refusal) => refusal.error.hint(),
            Self::ResultTooLarge { .. } => {
                Some("use LIMIT, or ask for more with max_rows, max_bytes or ?stream=true")
            }
            Self::DuplicateColumn { .. } => {
                Some("name one of them with AS, or ask for \"shape\":\"rows\"")
            }
            Self::DeferredForeignKey => Some(
                "a deferred foreign key is broken at the end of the transaction: add the row that \
                 it refers to, or remove the row that refers to it",
            ),
            Self::ForeignKeysOff => Some(
                "foreign keys stay on in requests: dropping or emptying a table deletes what \
                 refers to it ON DELETE CASCADE; PRAGMA defer_foreign_keys = ON, in a batch, \
                 script or transaction, checks them at its end",
            ),
            Self::NoTable { hint, .. } => Some(hint),
            Self::NoForm { .. } => Some("export the whole database with ?format=sqlite"),
            Self::YieldedToWrites => {
                Some("export less at a time, or try again when less is written")
            }
            Self::TooManyAffected { .. } => {
                Some("filter for fewer rows, or raise `max-affected` in `Prefer`")
            }
            Self::Locked => {
                Some("a transaction or another process holds the write lock; try again")
            }
            Self::QuotaExceeded => Some("delete rows, or raise the database's limit"),
            Self::TemporaryFilesFull { .. } => {
                Some("change fewer rows at a time, or have DBFORGE_SQL_MAX_TEMP_BYTES raised")
            }
            Self::NoRoom => Some(
                "sort, join or select less at a time, read pending answers, or use ?format=ndjson; \
                 GET /v1/usage shows a token's share",
            ),
            Self::DataMissing => Some(
                "restore main.db into the database's folder, or delete the database; no file is \
                 created in its place. GET /v1/drift lists what is missing",
            ),
            _ => None,
        }
    }

    /// The same without the row of parameters that it is of.
    #[must_use]
    pub fn without_row(self) -> (Option<usize>, Self) {
        match self {
            Self::InRow { index, error } => (Some(index), *error),
            other => (None, other),
        }
    }

    /// Whether the same request may work later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        if let Self::Server(refusal) = self {
            return refusal.error.is_retryable();
        }
        matches!(
            self,
            Self::Locked
                | Self::Starting
                | Self::DiskFull
                | Self::Overloaded { .. }
                | Self::NoRoom
                | Self::YieldedToWrites
                | Self::Unavailable { .. }
        )
    }
}

impl From<&ListFault> for QueryError {
    fn from(fault: &ListFault) -> Self {
        match fault {
            ListFault::Misfit { index, message } => Self::InRow {
                index: *index,
                error: Box::new(Self::ParameterMismatch {
                    message: message.clone(),
                }),
            },
            ListFault::TooManyRows => Self::PayloadTooLarge {
                what: "the number of rows in `params_list`",
                limit: MAX_PARAMETER_ROWS.to_string(),
            },
            ListFault::TooManyValues => Self::PayloadTooLarge {
                what: "the number of values in `params_list`",
                limit: MAX_LIST_VALUES.to_string(),
            },
        }
    }
}

/// Why a batch kept nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("statement {statement}: {error}")]
pub struct BatchError {
    /// Which statement failed, from 0; the first, where it was the whole.
    pub statement: usize,
    /// Why.
    pub error: QueryError,
}

/// Why a script kept nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct ScriptError<E> {
    /// Which statement failed, and why.
    pub failure: E,
    /// Where that statement begins in the text, in bytes.
    pub offset: usize,
}

/// The failure of the statement at a place.
pub(crate) fn at(statement: usize) -> impl Fn(QueryError) -> BatchError {
    move |error| BatchError { statement, error }
}

impl From<QueryError> for BatchError {
    fn from(error: QueryError) -> Self {
        at(0)(error)
    }
}
