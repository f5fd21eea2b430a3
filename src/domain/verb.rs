//! The lifecycle verbs and the kinds of jobs, one row each: what is true of one wherever it is met.
use super::command::Command;
use super::database::{Condition, DatabaseState, Prospect};
use super::ids::{DatabaseId, JobId, UploadId};
use super::import::TableImport;
use super::load::{LoadForm, LoadMode};
use super::name::DatabaseName;
use super::token::Scope;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is asked of a database by its name alone, and done by a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Remove its worker, keep its data.
    Stop,
    /// Start it again.
    Start,
    /// Replace its worker by a fresh one.
    Restart,
    /// Move it to the trash.
    Delete,
    /// Bring it back from the trash.
    Undelete,
    /// Delete it permanently.
    Purge,
}

/// What is true of a verb.
#[derive(Debug)]
pub struct VerbRow {
    /// The word of the command line, and of the route where it has one of its own.
    pub word: &'static str,
    /// The word in plans and schedules.
    pub command: &'static str,
    /// The scope that it takes.
    pub scope: Scope,
    /// Whether it makes room: a full queue admits it, and a full disk takes it from a reserve.
    pub makes_room: bool,
    /// The job that does it.
    pub job: JobKind,
}

impl Verb {
    /// What is true of it.
    #[must_use]
    pub fn row(self) -> &'static VerbRow {
        match self {
            Self::Stop => &VerbRow {
                word: "stop",
                command: "stop_database",
                scope: Scope::Manage,
                makes_room: false,
                job: JobKind::StopDatabase,
            },
            Self::Start => &VerbRow {
                word: "start",
                command: "start_database",
                scope: Scope::Manage,
                makes_room: false,
                job: JobKind::StartDatabase,
            },
            Self::Restart => &VerbRow {
                word: "restart",
                command: "restart_database",
                scope: Scope::Manage,
                makes_room: false,
                job: JobKind::RestartWorker,
            },
            Self::Delete => &VerbRow {
                word: "delete",
                command: "delete_database",
                scope: Scope::Manage,
                makes_room: true,
                job: JobKind::DeleteDatabase,
            },
            Self::Undelete => &VerbRow {
                word: "undelete",
                command: "undelete_database",
                scope: Scope::Manage,
                makes_room: false,
                job: JobKind::UndeleteDatabase,
            },
            Self::Purge => &VerbRow {
                word: "purge",
                command: "purge_database",
                scope: Scope::Admin,
                makes_room: true,
                job: JobKind::PurgeDatabase,
            },
        }
    }

    /// The command that asks it of this database.
    #[must_use]
    pub fn on(self, database: DatabaseId) -> Command {
        Command::ActOnDatabase {
            verb: self,
            database,
        }
    }
}

/// What a job is to do. Stored: arms are only ever added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Folder, file, worker, first answer.
    CreateDatabase,
    /// Take the worker away and refuse SQL; keep the data.
    StopDatabase,
    /// Bring a stopped database back.
    StartDatabase,
    /// Move the files to the trash.
    DeleteDatabase,
    /// Remove everything for good.
    PurgeDatabase,
    /// Bring a database back from the trash.
    UndeleteDatabase,
    /// Replace the worker by a fresh one.
    RestartWorker,
    /// Bring back a worker that the reconciler missed.
    RepairWorker {
        /// What the reconciler found.
        finding: String,
    },
    /// Build a database of an uploaded file, and put it in the place of what is there.
    LoadDatabase {
        /// The file.
        upload: UploadId,
        /// What it is, where that was said.
        form: Option<LoadForm>,
        /// What becomes of what is there.
        mode: LoadMode,
        /// The id of what is there, once it is in the trash.
        kept: DatabaseId,
    },
    /// Make a database of an uploaded file.
    CreateFromUpload {
        /// The file.
        upload: UploadId,
    },
    /// Exchange what a database holds for what is in the trash.
    ExchangeContents {
        /// What is in the trash.
        with: DatabaseId,
    },
    /// Bring the rows of an uploaded file into a table.
    ImportTable {
        /// The file.
        upload: UploadId,
        /// Which table, and how.
        import: Box<TableImport>,
    },
}

/// What is true of a kind of job.
#[derive(Debug)]
pub struct JobKindRow {
    /// The word shown in the API.
    pub word: &'static str,
    /// What its database is called while it runs; none where the condition of the files says that.
    pub shown_as: Option<DatabaseState>,
    /// What its database will be behind it, if all goes well, from what it would be without it.
    pub prospect: fn(Prospect, JobId) -> Prospect,
    /// Whether it frees the name of its database, which others may wait for.
    pub frees_name: bool,
    /// Whether it still makes sense when its turn comes: what was in front of it may have failed.
    pub fits: fn(Condition) -> bool,
    /// What it is to bring about, where it ends at once if that is so already. Its steps would do
    /// no harm then, but undoing them would.
    pub is_done_at: Option<Condition>,
    /// Whether it keeps a processor and the disk busy, for minutes maybe.
    pub is_long: bool,
    /// What it changes, as far as an undo is concerned.
    pub changes: Aspect,
    /// What takes it back once it has succeeded, or why nothing does.
    pub undone_by: Result<Opposite, &'static str>,
    /// What a plan says is done to the worker and the files.
    pub effects: &'static [(Part, &'static str)],
    /// What a plan warns of.
    pub warning: Option<fn(&DatabaseName) -> String>,
}

/// What takes a job back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opposite {
    /// A verb.
    Verb(Verb),
    /// An exchange of what the database holds for what it held before.
    Exchange,
}

/// What a job changes of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// Where its files are: whatever was changed before is no longer so.
    Place,
    /// Whether it answers SQL.
    Service,
    /// What it holds.
    Contents,
    /// Nothing that could be restored.
    Nothing,
}

/// What a job works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Worker,
    Files,
}

const CREATE: JobKindRow = JobKindRow {
    word: "create_database",
    shown_as: None,
    prospect: |_, _| Prospect::Ready,
    frees_name: false,
    fits: |condition| condition == Condition::Creating,
    is_done_at: None,
    is_long: false,
    changes: Aspect::Place,
    undone_by: Ok(Opposite::Verb(Verb::Delete)),
    effects: &[(Part::Files, "create"), (Part::Worker, "start")],
    warning: None,
};

const STOP: JobKindRow = JobKindRow {
    word: "stop_database",
    shown_as: Some(DatabaseState::Stopping),
    prospect: |_, _| Prospect::Stopped,
    frees_name: false,
    fits: is_in_place,
    is_done_at: Some(Condition::Stopped),
    is_long: false,
    changes: Aspect::Service,
    undone_by: Ok(Opposite::Verb(Verb::Start)),
    effects: &[(Part::Worker, "remove")],
    warning: Some(|name| format!("SQL on `{name}` is rejected until it is started.")),
};

const START: JobKindRow = JobKindRow {
    word: "start_database",
    shown_as: Some(DatabaseState::Starting),
    prospect: |_, _| Prospect::Ready,
    frees_name: false,
    fits: is_in_place,
    is_done_at: Some(Condition::Ready),
    is_long: false,
    changes: Aspect::Service,
    undone_by: Ok(Opposite::Verb(Verb::Stop)),
    effects: &[(Part::Worker, "start")],
    warning: None,
};

const DELETE: JobKindRow = JobKindRow {
    word: "delete_database",
    shown_as: Some(DatabaseState::Deleting),
    prospect: |_, job| Prospect::Trashed(Some(job)),
    frees_name: true,
    fits: is_in_place,
    is_done_at: None,
    is_long: false,
    changes: Aspect::Place,
    undone_by: Ok(Opposite::Verb(Verb::Undelete)),
    effects: &[(Part::Worker, "remove"), (Part::Files, "move to the trash")],
    warning: Some(|name| {
        format!("The name `{name}` becomes available; `undelete` fails if it is taken.")
    }),
};

const PURGE: JobKindRow = JobKindRow {
    word: "purge_database",
    shown_as: Some(DatabaseState::Purging),
    prospect: |_, job| Prospect::Purged(job),
    frees_name: true,
    fits: |_| true,
    is_done_at: None,
    is_long: false,
    changes: Aspect::Place,
    undone_by: Err("a purge deletes the files permanently"),
    effects: &[(Part::Worker, "remove"), (Part::Files, "remove")],
    warning: Some(|name| format!("`{name}` cannot be restored after a purge.")),
};

const UNDELETE: JobKindRow = JobKindRow {
    word: "undelete_database",
    shown_as: Some(DatabaseState::Restoring),
    prospect: |_, _| Prospect::Ready,
    frees_name: false,
    fits: |condition| matches!(condition, Condition::Trashed { .. }),
    is_done_at: None,
    is_long: false,
    changes: Aspect::Place,
    undone_by: Ok(Opposite::Verb(Verb::Delete)),
    effects: &[
        (Part::Files, "move out of the trash"),
        (Part::Worker, "start"),
    ],
    warning: None,
};

const RESTART: JobKindRow = JobKindRow {
    word: "restart_worker",
    shown_as: None,
    prospect: |so_far, _| so_far,
    frees_name: false,
    // A worker of a stopped database would be one too many.
    fits: |condition| condition == Condition::Ready,
    is_done_at: None,
    is_long: false,
    changes: Aspect::Nothing,
    undone_by: Err("a restart changes nothing that could be restored"),
    effects: &[(Part::Worker, "replace")],
    warning: None,
};

const REPAIR: JobKindRow = JobKindRow {
    word: "repair_worker",
    ..RESTART
};

const LOAD: JobKindRow = JobKindRow {
    word: "load_database",
    shown_as: None,
    prospect: |so_far, _| so_far,
    frees_name: false,
    fits: |condition| condition == Condition::Ready,
    is_done_at: None,
    is_long: true,
    changes: Aspect::Contents,
    undone_by: Ok(Opposite::Exchange),
    effects: &[
        (Part::Files, "replace by the uploaded file"),
        (Part::Files, "move what was there to the trash"),
    ],
    warning: Some(|name| {
        format!(
            "SQL on `{name}` waits while the files are exchanged; with mode=insert, during the whole import."
        )
    }),
};

const CREATE_FROM_UPLOAD: JobKindRow = JobKindRow {
    word: "create_from_upload",
    is_long: true,
    effects: &[
        (Part::Files, "create from the uploaded file"),
        (Part::Worker, "start"),
    ],
    ..CREATE
};

const EXCHANGE: JobKindRow = JobKindRow {
    word: "exchange_contents",
    is_long: false,
    effects: &[(Part::Files, "exchange with what is in the trash")],
    warning: None,
    ..LOAD
};

const IMPORT: JobKindRow = JobKindRow {
    word: "import_table",
    undone_by: Err(
        "imported rows are not taken back; delete them, or restore the database from before",
    ),
    effects: &[(Part::Files, "write the rows of the uploaded file")],
    warning: None,
    ..LOAD
};

impl JobKind {
    /// The words of all kinds.
    pub const WORDS: &[&'static str] = &[
        CREATE.word,
        STOP.word,
        START.word,
        DELETE.word,
        PURGE.word,
        UNDELETE.word,
        RESTART.word,
        REPAIR.word,
        LOAD.word,
        CREATE_FROM_UPLOAD.word,
        EXCHANGE.word,
        IMPORT.word,
    ];

    /// What is true of it.
    #[must_use]
    pub fn row(&self) -> &'static JobKindRow {
        match self {
            Self::CreateDatabase => &CREATE,
            Self::StopDatabase => &STOP,
            Self::StartDatabase => &START,
            Self::DeleteDatabase => &DELETE,
            Self::PurgeDatabase => &PURGE,
            Self::UndeleteDatabase => &UNDELETE,
            Self::RestartWorker => &RESTART,
            Self::RepairWorker { .. } => &REPAIR,
            Self::LoadDatabase { .. } => &LOAD,
            Self::CreateFromUpload { .. } => &CREATE_FROM_UPLOAD,
            Self::ExchangeContents { .. } => &EXCHANGE,
            Self::ImportTable { .. } => &IMPORT,
        }
    }

    /// The word shown in the API: `create_database`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        self.row().word
    }

    /// The upload that it reads, which is kept while the job is unfinished.
    #[must_use]
    pub fn upload(&self) -> Option<UploadId> {
        match self {
            Self::LoadDatabase { upload, .. }
            | Self::CreateFromUpload { upload }
            | Self::ImportTable { upload, .. } => Some(*upload),
            Self::CreateDatabase
            | Self::StopDatabase
            | Self::StartDatabase
            | Self::DeleteDatabase
            | Self::PurgeDatabase
            | Self::UndeleteDatabase
            | Self::RestartWorker
            | Self::RepairWorker { .. }
            | Self::ExchangeContents { .. } => None,
        }
    }

    /// Whether it makes its database: when it does not succeed, there is none.
    #[must_use]
    pub fn creates(&self) -> bool {
        matches!(self, Self::CreateDatabase | Self::CreateFromUpload { .. })
    }

    /// What it puts into the trash, or exchanges for.
    #[must_use]
    pub fn exchanges_with(&self) -> Option<DatabaseId> {
        match self {
            Self::LoadDatabase { kept, .. } => Some(*kept),
            Self::ExchangeContents { with } => Some(*with),
            Self::CreateDatabase
            | Self::StopDatabase
            | Self::StartDatabase
            | Self::DeleteDatabase
            | Self::PurgeDatabase
            | Self::UndeleteDatabase
            | Self::RestartWorker
            | Self::RepairWorker { .. }
            | Self::CreateFromUpload { .. }
            | Self::ImportTable { .. } => None,
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_in_place(condition: Condition) -> bool {
    matches!(condition, Condition::Ready | Condition::Stopped)
}
