//! Everything that can happen, in one closed list.
//!
//! Stored for ever: arms are only ever added at the end, and a changed arm is a new schema
//! version with an upcast (`event_log/codec.rs`). Fields are integers, texts, yes-or-no,
//! lists and options: no floats, no untagged or flattened forms, since the stored form does not describe itself.
pub mod recorded;
mod stream;
mod subject;

pub use self::stream::Stream;
use super::command::lifecycle::LifecycleCommand;
use super::database::{Durability, EngineName, Isolation, Labels, Limits};
use super::ids::{
    DatabaseId, InstanceId, JobId, NodeId, PlanId, ScheduleId, TokenId, UploadId, WebhookId,
};
use super::job::{JobError, JobKind, StepName, StepOutcome};
use super::name::DatabaseName;
use super::plan::Basis;
use super::schedule::SchedulePlan;
use super::token::Scope;
use super::webhook::WebhookPlan;
use crate::clock::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// Declares the events: for each its stored type number, its arm and its fields.
macro_rules! events {
    ($($(#[$doc:meta])* $number:literal $name:ident $kind:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $type,)*
            }

            impl From<$name> for Event {
                fn from(it: $name) -> Self {
                    Self::$name(it)
                }
            }
        )*

        /// One thing that happened.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $name($name),)*
        }

        /// Which thing happened; its number is what the event log stores.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventKind {
            $($(#[$doc])* $name = $number,)*
        }

        impl EventKind {
            /// Every kind, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Every field of every kind: its name and its type, as they are declared.
            pub const FIELDS: &[(&str, &str)] =
                &[$($((stringify!($field), stringify!($type)),)*)*];

            /// The word shown in the API: `database_requested`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $kind,)*
                }
            }
        }

        impl Event {
            /// Which thing happened.
            #[must_use]
            pub fn kind(&self) -> EventKind {
                match self {
                    $(Self::$name(_) => EventKind::$name,)*
                }
            }

            /// Writes the fields with any serde format.
            ///
            /// # Errors
            /// Whatever the format's serializer returns.
            pub fn serialize_data<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$name(it) => it.serialize(serializer),)*
                }
            }

            /// Reads the fields of today's form of `kind` with any serde format.
            ///
            /// # Errors
            /// Whatever the format's deserializer returns.
            pub fn deserialize_data<'de, D: serde::Deserializer<'de>>(kind: EventKind, deserializer: D) -> Result<Self, D::Error> {
                match kind {
                    $(EventKind::$name => $name::deserialize(deserializer).map(Self::$name),)*
                }
            }
        }
    };
}

events! {
    /// The data folder got its identity; the first event of every log.
    1 ForgeFounded "forge_founded" {
        /// Marks every worker of this forge.
        instance: InstanceId,
    }
    /// Workers run here from now on.
    2 RuntimeChosen "runtime_chosen" {
        /// `docker`, `process` or `simulated`.
        runtime: String,
        /// Why this one; schema version 1 did not record it.
        reason: Option<String>,
    }
    /// A database was asked for.
    3 DatabaseRequested "database_requested" {
        /// Its permanent id.
        database: DatabaseId,
        name: DatabaseName,
        /// The host label it answers to: `{dns_label}.db.localhost`.
        dns_label: String,
        /// Which engine serves it.
        engine: EngineName,
        /// What an answered write survives.
        durability: Durability,
        /// The owner's own key-value marks.
        labels: Labels,
        /// What it may use.
        limits: Limits,
        /// Whether it refuses to be deleted.
        protected: bool,
        /// When it goes to the trash by itself.
        expires_at: Option<Timestamp>,
        /// Which process answers its SQL; schema version 1 knew the gateway alone.
        #[serde(default)]
        isolation: Isolation,
        /// The engine's version, where the files belong to one: the major one.
        engine_version: Option<String>,
    }
    /// Its file is there: it answers SQL.
    4 DatabaseReady "database_ready" {
        database: DatabaseId,
    }
    /// It could not be created and nothing of it is left.
    5 DatabaseAbandoned "database_abandoned" {
        database: DatabaseId,
    }
    /// Its worker is gone and SQL is refused; the data is kept.
    6 DatabaseStopped "database_stopped" {
        database: DatabaseId,
    }
    /// A stopped database answers SQL again.
    7 DatabaseStarted "database_started" {
        database: DatabaseId,
    }
    /// Its files are in the trash and its name is free.
    8 DatabaseTrashed "database_trashed" {
        database: DatabaseId,
        /// When it is permanently deleted.
        purge_at: Timestamp,
    }
    /// It came back from the trash.
    9 DatabaseUndeleted "database_undeleted" {
        database: DatabaseId,
        /// The host label it answers to now.
        dns_label: String,
    }
    /// Nothing of it is left.
    10 DatabasePurged "database_purged" {
        database: DatabaseId,
    }
    /// Its settings are these from now on.
    11 DatabaseChanged "database_changed" {
        database: DatabaseId,
        /// The owner's own key-value marks.
        labels: Labels,
        /// What it may use.
        limits: Limits,
        /// Whether it refuses to be deleted.
        protected: bool,
        /// When it goes to the trash by itself.
        expires_at: Option<Timestamp>,
        /// Which process answers its SQL; schema version 1 knew the gateway alone.
        #[serde(default)]
        isolation: Isolation,
    }
    /// Its worker cannot be kept running; SQL goes on.
    12 DatabaseDegraded "database_degraded" {
        database: DatabaseId,
        /// What was tried and what was found.
        reason: String,
    }
    /// Its worker runs.
    13 WorkerStarted "worker_started" {
        database: DatabaseId,
        /// The worker's id under the runtime.
        worker: String,
    }
    /// Its worker is gone.
    14 WorkerRemoved "worker_removed" {
        database: DatabaseId,
    }
    /// Work was put in the queue.
    15 JobEnqueued "job_enqueued" {
        /// Its permanent id.
        job: JobId,
        database: DatabaseId,
        /// That database's name, so that the job tells its story alone.
        database_name: DatabaseName,
        /// What is to be done.
        kind: JobKind,
    }
    /// The runner took the job up, for the first time or again.
    16 JobStarted "job_started" {
        job: JobId,
        database: DatabaseId,
        /// 1 for the first attempt.
        attempt: u32,
        /// Past this moment no further attempt begins.
        deadline: Timestamp,
    }
    /// A step began. A second one without an end between means that the gateway died in it.
    17 StepStarted "step_started" {
        job: JobId,
        database: DatabaseId,
        step: StepName,
    }
    /// A step ended well.
    18 StepFinished "step_finished" {
        job: JobId,
        database: DatabaseId,
        step: StepName,
        /// What it brought about.
        outcome: StepOutcome,
    }
    /// An attempt failed in a way that may pass.
    19 JobRetryScheduled "job_retry_scheduled" {
        job: JobId,
        database: DatabaseId,
        /// What went wrong.
        error: JobError,
        /// When the next attempt may begin.
        retry_at: Timestamp,
    }
    /// The job will not reach its end: what it did is being undone.
    20 JobCompensating "job_compensating" {
        job: JobId,
        database: DatabaseId,
        /// What went wrong; none when it was cancelled.
        error: Option<JobError>,
    }
    /// What a step did was undone.
    21 StepUndone "step_undone" {
        job: JobId,
        database: DatabaseId,
        step: StepName,
    }
    /// The job reached its end.
    22 JobSucceeded "job_succeeded" {
        job: JobId,
        database: DatabaseId,
    }
    /// The job failed for good; what it did was undone.
    23 JobFailed "job_failed" {
        job: JobId,
        database: DatabaseId,
        /// What went wrong.
        error: JobError,
    }
    /// The rollback failed: the database waits for an operator.
    24 JobStuck "job_stuck" {
        job: JobId,
        database: DatabaseId,
        /// What went wrong while undoing.
        error: JobError,
    }
    /// The job is to end at its next step.
    25 JobCancelRequested "job_cancel_requested" {
        job: JobId,
        database: DatabaseId,
    }
    /// The job was cancelled and rolled back.
    26 JobCancelled "job_cancelled" {
        job: JobId,
        database: DatabaseId,
    }
    /// A token was made; the log holds its hash, never its secret.
    27 TokenIssued "token_issued" {
        /// Its permanent id.
        token: TokenId,
        /// What its commands are signed with.
        name: String,
        /// SHA-256 of the secret, lower-case hex.
        hash: String,
        /// What it may do.
        scopes: Vec<Scope>,
        /// Names or patterns of the databases it may touch.
        databases: Vec<String>,
        /// When it ends by itself.
        expires_at: Option<Timestamp>,
    }
    /// A token is no longer accepted.
    28 TokenRevoked "token_revoked" {
        token: TokenId,
    }
    /// One copy of the log was damaged and was healed from the other.
    29 LogHealed "log_healed" {
        /// What was found, what was done, and where the damaged copy lies.
        detail: String,
    }
    /// An operator retried a stuck job.
    30 JobReleased "job_released" {
        job: JobId,
        database: DatabaseId,
    }
    /// A worker that belongs to no database was ended and set aside.
    31 WorkerQuarantined "worker_quarantined" {
        /// Its id under the runtime.
        worker: String,
        /// The name it had.
        name: String,
        /// The unknown database that its label names.
        labelled: DatabaseId,
    }
    /// A worker in quarantine is gone.
    32 QuarantineEnded "quarantine_ended" {
        /// Its id under the runtime.
        worker: String,
    }
    /// An operator moved a folder that belongs to no database to the trash.
    33 FolderTrashed "folder_trashed" {
        /// Its name among the living.
        folder: String,
        /// Its name in the trash.
        trashed_as: String,
    }
    /// An operator approved one pass of the reconciler without the disruption limit.
    34 PassAllowed "pass_allowed" {
        /// How many were held back when that was said.
        held_back: u32,
    }
    /// A webhook was created.
    39 WebhookCreated "webhook_created" {
        /// Its permanent id.
        webhook: WebhookId,
        /// Where events go, and which.
        plan: WebhookPlan,
    }
    /// A webhook is this from now on.
    40 WebhookChanged "webhook_changed" {
        webhook: WebhookId,
        /// Where events go, and which.
        plan: WebhookPlan,
    }
    /// A webhook was deleted.
    41 WebhookDeleted "webhook_deleted" {
        webhook: WebhookId,
    }
    /// A webhook is told nothing for now.
    42 WebhookDisabled "webhook_disabled" {
        webhook: WebhookId,
        /// What went wrong, or that it was requested.
        reason: String,
    }
    /// A webhook is told again, of what came in between, too.
    43 WebhookEnabled "webhook_enabled" {
        webhook: WebhookId,
    }
    /// A schedule was created.
    44 ScheduleCreated "schedule_created" {
        /// Its permanent id.
        schedule: ScheduleId,
        /// What its commands are signed with: `schedule/<name>`.
        name: String,
        /// When and what.
        plan: SchedulePlan,
        /// The token whose rights it has; none for root's.
        token: Option<TokenId>,
    }
    /// A schedule is this from now on.
    45 ScheduleChanged "schedule_changed" {
        schedule: ScheduleId,
        /// When and what.
        plan: SchedulePlan,
        /// The token whose rights it has from now on; none for root's.
        token: Option<TokenId>,
    }
    /// A schedule was deleted.
    46 ScheduleDeleted "schedule_deleted" {
        schedule: ScheduleId,
    }
    /// A schedule's time came and was carried out, or was refused.
    47 ScheduleFired "schedule_fired" {
        schedule: ScheduleId,
        /// The time it was due; none for a manual run.
        nominal: Option<Timestamp>,
        /// The job that it put in the queue.
        job: Option<JobId>,
        /// Why it put none.
        refusal: Option<String>,
    }
    /// A plan was created.
    50 PlanMade "plan_made" {
        /// Its permanent id.
        plan: PlanId,
        /// What it would do.
        command: LifecycleCommand,
        /// What it rests on.
        basis: Basis,
        /// Past this moment it is forgotten.
        expires_at: Timestamp,
    }
    /// A plan was carried out, in the same commit.
    51 PlanApplied "plan_applied" {
        plan: PlanId,
        /// The job that it put in the queue.
        job: Option<JobId>,
    }
    /// A command under an idempotency key found everything as it was to be: that it was carried
    /// out is remembered, and nothing else.
    52 NothingChanged "nothing_changed" {
        /// The database that it was about; none where it was about another thing.
        database: Option<DatabaseId>,
    }
    /// A schedule had carried out times ahead of the clock, which is right again: it goes on from
    /// here.
    53 ScheduleRewound "schedule_rewound" {
        schedule: ScheduleId,
        /// Times up to here are done with, and those behind it are to come.
        done_until: Timestamp,
    }
    /// Its files are out of their place and are being removed: its name is free, and nothing
    /// brings it back.
    54 DatabaseSetAside "database_set_aside" {
        database: DatabaseId,
    }
    /// A machine runs databases of this forge from now on.
    55 NodeJoined "node_joined" {
        /// Its permanent id.
        node: NodeId,
        /// What people call it.
        name: String,
    }
    /// Its files and its worker belong on this node from now on. Until there is such an event, a
    /// database is placed on the founding node.
    56 DatabasePlaced "database_placed" {
        database: DatabaseId,
        /// Where it belongs.
        node: NodeId,
    }
    /// It holds what was loaded from a file.
    57 DatabaseLoaded "database_loaded" {
        database: DatabaseId,
        /// The file.
        upload: UploadId,
        /// What was there before, which is in the trash; none for a new database.
        kept: Option<DatabaseId>,
    }
    /// What a database held before a load is in the trash, as a database of its own.
    58 DatabaseKept "database_kept" {
        /// Its permanent id.
        database: DatabaseId,
        /// What held it.
        of: DatabaseId,
        /// Its own name, under which it can be restored.
        name: DatabaseName,
        /// Which engine serves it.
        engine: EngineName,
        /// What an answered write survives.
        durability: Durability,
        /// The owner's own key-value marks.
        labels: Labels,
        /// What it may use.
        limits: Limits,
        /// When it is permanently deleted.
        purge_at: Timestamp,
        /// Which process answers its SQL; schema version 1 knew the gateway alone.
        #[serde(default)]
        isolation: Isolation,
        /// The engine's version, where the files belong to one: the major one.
        engine_version: Option<String>,
    }
    /// It holds what was in the trash, where what it held is now.
    59 ContentsExchanged "contents_exchanged" {
        database: DatabaseId,
        /// What is in the trash.
        with: DatabaseId,
    }
}

impl EventKind {
    /// What the event log stores for it.
    #[must_use]
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The kind behind a stored number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.number() == number)
    }

    /// The kind behind a shown word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.as_str() == word)
    }
}
