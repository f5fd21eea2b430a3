//! Why a database did not become a file.
use crate::engine::DataFileError;
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
