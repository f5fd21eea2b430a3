//! What keeps a folder from being where it should be.
use crate::domain::ids::DatabaseId;
use std::io;

/// Why a folder is not where it should be.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It is neither where it was nor where it should go.
    #[error("the folder of database {database} is missing")]
    Missing {
        /// Whose.
        database: DatabaseId,
    },
    /// It is in both places. Nothing was touched: a person has to look.
    #[error("database {database} has a folder among the living and one in the trash")]
    InTwoPlaces {
        /// Whose.
        database: DatabaseId,
    },
    /// A file or folder that is to go stays: whole or not, the rest is gone.
    #[error("could not remove `{file}`: {source}")]
    NotRemoved {
        /// Its path within the database's folder.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The disk refused.
    #[error("could not {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl FolderError {
    /// Whether the same call may work later by itself.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::NotRemoved { .. })
    }
}

pub(super) fn failed(action: &'static str) -> impl FnOnce(io::Error) -> FolderError {
    move |source| FolderError::Io { action, source }
}
