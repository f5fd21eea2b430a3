//! How the data of a database stands in its folder, and why it could not be worked on.

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
    /// Whether the same call may work later by itself.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy | Self::DiskFull | Self::NoFiles | Self::Io { .. } => true,
            Self::Missing | Self::NotADatabase { .. } => false,
        }
    }
}
