//! What a connection is for, and what is refused to it.
use rusqlite::hooks::TransactionOperation;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads. Everything that changes something is refused.
    Reader,
    /// Reads and writes.
    Writer,
    /// Reads the temporary views that were made for it, which stand for these tables: nothing
    /// else that is in the file is there for it.
    Audit(&'static [&'static str]),
}

impl Role {
    /// Whether everything that changes something is refused.
    #[must_use]
    pub fn reads_only(self) -> bool {
        self != Self::Writer
    }

    /// Where the names of its tables are listed.
    pub(crate) fn schema(self) -> &'static str {
        match self {
            Self::Reader | Self::Writer => "sqlite_schema",
            Self::Audit(_) => "sqlite_temp_schema",
        }
    }
}

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    NotAllowed(String),
    NeedsWriter,
    ForeignKeysOff,
    TooDeep,
}

/// What a statement does to the savepoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) operation: TransactionOperation,
    pub(crate) name: String,
}
