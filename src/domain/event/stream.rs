//! Streams: which events are read and versioned together.
use crate::domain::ids::DatabaseId;
use std::fmt;

/// Where an event belongs: a stream is what is read and versioned together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Tokens, settings, the log itself.
    Forge,
    /// One database's life and its jobs.
    Database(DatabaseId),
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forge => f.write_str("forge"),
            Self::Database(id) => write!(f, "database/{id}"),
        }
    }
}

impl std::str::FromStr for Stream {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("database/") {
            Some(id) => id.parse().map(Self::Database),
            None => Ok(Self::Forge),
        }
    }
}
