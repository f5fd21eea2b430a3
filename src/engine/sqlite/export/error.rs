//! Why a database did not become a file.
use crate::engine::DataFileError;
use crate::engine::sqlite::files::sqlite_error;
use rusqlite::ErrorCode;
use std::io;

/// Why a database did not become a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    /// Its files could not be worked on.
    #[error(transparent)]
    Data(#[from] DataFileError),
    /// Something in it has no form in SQL.
    #[error("{0}")]
    NoForm(String),
    /// The file could not be written.
    #[error("could not write the export: {0}")]
    Io(#[from] io::Error),
}

impl ExportError {
    /// What SQLite said while it did `action`.
    pub(super) fn of_sqlite(action: &'static str, error: &rusqlite::Error) -> Self {
        if is_of_the_schema(error) {
            return Self::NoForm(format!(
                "SQLite cannot {action} as its schema is: {}",
                sqlite_words(error)
            ));
        }
        sqlite_error(action, error).into()
    }
}

/// Whether what is in the database is to blame, and neither its file nor this machine: a function, a
/// collation, a module or a table that something in it names, and that is not there.
pub(super) fn is_of_the_schema(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::Unknown
                | ErrorCode::InternalMalfunction
                | ErrorCode::PermissionDenied
                | ErrorCode::AuthorizationForStatementDenied
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::NotFound
        ),
        // A value is none of the kind that it is read as.
        None => matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..)
        ),
    }
}

/// SQLite's own words: rusqlite repeats the statement.
pub(super) fn sqlite_words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(said)) => said.clone(),
        other => other.to_string(),
    }
}
