//! What the reconciler sees, and what may follow from it.
use crate::clock::timestamp::Timestamp;
use crate::data::{DataFile, Place};
use crate::domain::database::Database;
use crate::domain::ids::DatabaseId;
use crate::runtime::Worker;
use std::fmt;

/// Something that differs, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Finding {
    /// The worker is replaced by a job.
    Repair {
        /// Whose.
        database: DatabaseId,
        /// What was found.
        finding: String,
    },
    /// The worker has been repaired too often: it is left alone.
    GiveUp {
        /// Whose.
        database: DatabaseId,
        /// What was found and tried.
        reason: String,
    },
    /// A worker with this forge's mark belongs to no database: it is ended and set aside.
    Quarantine {
        /// Its id under the runtime.
        worker: String,
        /// Its name.
        name: String,
        /// The database that its label names.
        labelled: DatabaseId,
    },
    /// A worker in quarantine is gone, by whosever hand: that is noted.
    QuarantineEnded {
        /// Its id under the runtime.
        worker: String,
    },
    /// A database's file is not in its place. Only a person can do something about it.
    DataMissing {
        /// Whose.
        database: DatabaseId,
        /// Where it should be.
        place: Place,
        /// How it stands.
        seen: DataFile,
    },
    /// Something lies among the folders of databases that no database is known by. It stays
    /// there until somebody asks for it to go.
    UnknownFolder {
        /// Among the living or in the trash.
        place: Place,
        /// Its name there.
        name: String,
    },
}

impl Finding {
    /// Whether only a person can do something about it, so that it is told and nothing more.
    #[must_use]
    pub fn is_for_a_person(&self) -> bool {
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

fn room(place: Place) -> &'static str {
    match place {
        Place::Living => "in databases/",
        Place::Trash => "in trash/",
        Place::Nowhere => "nowhere",
    }
}

/// What differs and waits: for a second look, for its grace or its back-off to pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What would be done.
    pub finding: Finding,
    /// When; none for the next complete look.
    pub due_at: Option<Timestamp>,
}

/// What a look asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is done or told now.
    pub findings: Vec<Finding>,
    /// What may be done later.
    pub waiting: Vec<Waiting>,
    /// Findings that were not acted upon because there are too many of them at once.
    pub halted: Vec<Finding>,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Look {
    /// Every worker of this forge; none when they could not be seen wholly.
    pub workers: Option<Vec<Worker>>,
    /// Everything among the folders of databases.
    pub folders: Vec<(Place, String)>,
    /// Databases whose file is not in its place.
    pub without_file: Vec<(DatabaseId, Place, DataFile)>,
}
