//! How the data of a database stands in its folder, and why it could not be worked on.
use crate::open_files;
use std::io;

/// How the file of a database stands in its folder. Only a file in its place is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataFile {
    /// A plain file with one name, in a plain folder.
    InPlace,
    /// There is none, or it is empty: it was made with a header.
    Missing,
    /// It, or its folder, is a link, which is not followed.
    Link,
    /// It has a second name, under which it may be another's.
    TwoNames,
}

impl DataFile {
    /// What is seen and what helps; nothing where it is in its place.
    #[must_use]
    pub fn trouble(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::InPlace => None,
            Self::Missing => Some((
                "is missing",
                "bring it back from a backup, or purge the database",
            )),
            Self::Link => Some((
                "is a link or lies behind one, which is not followed",
                "put the folder itself in its place; a purge removes the link and nothing behind it",
            )),
            Self::TwoNames => Some((
                "has a second name (a hard link), so that two databases may be one",
                "remove the other name, or put a copy in its place",
            )),
        }
    }
}

/// Why the files of a database could not be made, asked or settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataFileError {
    /// There is no file, or no plain one, where the database should be.
    #[error("the database's file is missing or empty")]
    Missing,
    /// What lies there is no database.
    #[error("the file is no database: {reason}")]
    NotADatabase {
        /// What the engine said.
        reason: String,
    },
    /// It was made by another version of its engine, whose files are not this one's.
    #[error(
        "the database's files are those of {found}, and this gateway has {served}: bring {found} \
         back, or move the data with a dump"
    )]
    OtherVersion {
        /// Which version made it.
        found: String,
        /// Which version is here.
        served: String,
    },
    /// What runs its engine is missing here.
    #[error("{reason}")]
    Unavailable {
        /// What is missing, and what to do.
        reason: String,
    },
    /// It is open elsewhere.
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

impl DataFileError {
    /// What the system said when `action` was tried.
    #[must_use]
    pub fn of_io(action: &'static str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::StorageFull {
            return Self::DiskFull;
        }
        if open_files::are_used_up(error) {
            return Self::NoFiles;
        }
        Self::Io {
            action,
            reason: error.to_string(),
        }
    }

    /// Whether the same call may work later by itself.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy
            | Self::DiskFull
            | Self::NoFiles
            | Self::Unavailable { .. }
            | Self::Io { .. } => true,
            Self::Missing | Self::NotADatabase { .. } | Self::OtherVersion { .. } => false,
        }
    }
}
