//! What the reconciler inspects, finds and plans.
use crate::clock::timestamp::Timestamp;
use crate::data::{DataFile, FolderPlace};
use crate::domain::database::Database;
use crate::domain::ids::DatabaseId;
use crate::runtime::Worker;
use std::fmt;

/// A difference, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Finding {
    /// A job replaces the worker.
    Repair {
        database: DatabaseId,
        finding: String,
    },
    /// The worker was repaired too often and is not repaired again.
    GiveUp {
        database: DatabaseId,
        /// What was found and tried.
        reason: String,
    },
    /// A worker with this forge's label belongs to no database: it is stopped and renamed.
    Quarantine {
        /// Its id under the runtime.
        worker: String,
        name: String,
        /// The database that its label names.
        labelled: DatabaseId,
    },
    /// A quarantined worker no longer exists, which is recorded.
    QuarantineEnded {
        /// Its id under the runtime.
        worker: String,
    },
    /// A database's file is missing. Only an operator can fix it.
    DataMissing {
        database: DatabaseId,
        /// Where it should be.
        place: FolderPlace,
        /// What was found there.
        seen: DataFile,
    },
    /// A folder in `databases/` or `trash/` belongs to no database. It stays
    /// until an operator removes it.
    UnknownFolder {
        /// In `databases/` or in `trash/`.
        place: FolderPlace,
        name: String,
    },
}

impl Finding {
    /// Whether it is only reported, because an operator has to act.
    #[must_use]
    pub fn needs_an_operator(&self) -> bool {
        match self {
            Self::DataMissing { .. } | Self::UnknownFolder { .. } => true,
            Self::Repair { .. }
            | Self::GiveUp { .. }
            | Self::Quarantine { .. }
            | Self::QuarantineEnded { .. } => false,
        }
    }

    pub(super) fn repair(database: &Database, trouble: &str) -> Self {
        Self::Repair {
            database: database.id,
            finding: format!("worker of `{}`: {trouble}", database.name),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repair { finding, .. } => write!(f, "replacing a worker: {finding}"),
            Self::GiveUp { reason, .. } => write!(f, "no longer repairing a worker: {reason}"),
            Self::Quarantine { name, labelled, .. } => write!(
                f,
                "quarantining worker `{name}`: its label names the unknown database {labelled}"
            ),
            Self::QuarantineEnded { worker } => {
                write!(f, "quarantined worker {worker} no longer exists")
            }
            Self::DataMissing {
                database,
                place,
                seen,
            } => {
                let (seen, help) = seen.trouble().unwrap_or(("was missing", "look again"));
                let room = room(*place);
                write!(f, "the file of database {database} {room} {seen}: {help}")
            }
            Self::UnknownFolder { place, name } => {
                write!(f, "`{name}` {} belongs to no database", room(*place))
            }
        }
    }
}

fn room(place: FolderPlace) -> &'static str {
    match place {
        FolderPlace::Living => "in databases/",
        FolderPlace::Trash => "in trash/",
        FolderPlace::Nowhere => "nowhere",
    }
}

/// A finding that waits: for a second pass, for its grace or its back-off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub finding: Finding,
    /// When it is due; none for the next complete pass.
    pub due_at: Option<Timestamp>,
}

/// The plan of a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReconcilePlan {
    /// Handled or reported now.
    pub findings: Vec<Finding>,
    /// Possibly handled later.
    pub waiting: Vec<Waiting>,
    /// Stopped by the disruption limit.
    pub halted: Vec<Finding>,
}

/// The result of an inspection.
#[derive(Debug, Default)]
pub struct Look {
    /// All workers of this forge; none when the list may be incomplete.
    pub workers: Option<Vec<Worker>>,
    /// All entries of `databases/` and `trash/`.
    pub folders: Vec<(FolderPlace, String)>,
    /// Databases whose file is missing.
    pub without_file: Vec<(DatabaseId, FolderPlace, DataFile)>,
}
