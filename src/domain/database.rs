//! Databases, as the events tell them.
use super::event::recorded::RecordedEvent;
use super::event::{DatabaseKept, DatabaseRequested, Event};
use super::ids::{DatabaseId, JobId, NodeId, Sequence};
use super::job::JobKind;
use super::name::DatabaseName;
use crate::clock::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The owner's own key-value marks.
pub type Labels = BTreeMap<String, String>;

/// The word of an engine: `sqlite`. Which ones there are, `engine/registry.rs` knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EngineName(pub String);

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an answered write survives. Stored: arms are only ever added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Power loss: every commit is synced before it is answered.
    #[default]
    Full,
    /// A crash of the program, not of the machine: commits are synced now and then.
    Relaxed,
}

impl Durability {
    /// The word shown in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Relaxed => "relaxed",
        }
    }
}

/// Which process answers the SQL of a database. Stored: arms are only ever added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// The gateway, next to the other databases that it answers.
    #[default]
    Gateway,
    /// The database's own worker.
    Worker,
}

impl Isolation {
    /// Every isolation.
    pub const ALL: &[Self] = &[Self::Gateway, Self::Worker];

    /// The word shown in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Worker => "worker",
        }
    }
}

/// What a database may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most bytes its file may grow to.
    pub size_bytes: u64,
    /// Most bytes of memory for its worker.
    pub memory_bytes: u64,
    /// Thousandths of a processor for its worker.
    pub cpu_millis: u32,
}

impl Limits {
    /// The least that a database of any engine may have: SQLite needs a few pages for an empty
    /// schema and its WAL some more; less memory no container runtime accepts for a worker.
    pub const LEAST: Self = Self {
        size_bytes: 64 << 10,
        memory_bytes: 16 << 20,
        cpu_millis: 10,
    };
}

impl Default for Limits {
    /// 2 GiB of file, 256 MiB of memory and half a processor: what a test run needs, many times
    /// over, while 50 of them fit on a laptop.
    fn default() -> Self {
        Self {
            size_bytes: 2 << 30,
            memory_bytes: 256 << 20,
            cpu_millis: 500,
        }
    }
}

/// What the files of a database are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Not there yet.
    Creating,
    /// In place; SQL is answered.
    Ready,
    /// In place; SQL is refused.
    Stopped,
    /// In the trash until `purge_at`.
    Trashed {
        /// When it is permanently deleted.
        purge_at: Timestamp,
    },
    /// Out of their place and being removed: nothing brings them back.
    Purging,
}

/// Where a database stands, in the API's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseState {
    /// Being created.
    Creating,
    /// Answers SQL.
    Ready,
    /// Answers SQL; its worker cannot be kept running.
    Degraded,
    /// Its time to live has ended: SQL is refused and its name is free.
    Expired,
    /// Being stopped.
    Stopping,
    /// Kept without a worker; SQL is refused.
    Stopped,
    /// Being started again.
    Starting,
    /// On its way to the trash.
    Deleting,
    /// In the trash.
    Trashed,
    /// On its way back from the trash.
    Restoring,
    /// Being removed for good.
    Purging,
    /// A job on it is stuck: an operator has to intervene.
    Failed,
}

impl DatabaseState {
    /// What a database may be by its events when its time to live ends.
    pub const MAY_EXPIRE: &[Self] = &[
        Self::Creating,
        Self::Ready,
        Self::Degraded,
        Self::Stopping,
        Self::Stopped,
        Self::Starting,
    ];

    /// Every state.
    pub const ALL: &[Self] = &[
        Self::Creating,
        Self::Ready,
        Self::Degraded,
        Self::Expired,
        Self::Stopping,
        Self::Stopped,
        Self::Starting,
        Self::Deleting,
        Self::Trashed,
        Self::Restoring,
        Self::Purging,
        Self::Failed,
    ];

    /// The word shown in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Expired => "expired",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Deleting => "deleting",
            Self::Trashed => "trashed",
            Self::Restoring => "restoring",
            Self::Purging => "purging",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for DatabaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A job in a database's queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedJob {
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Whether the runner has taken it up.
    pub started: bool,
}

/// A database as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its permanent id.
    pub id: DatabaseId,
    /// Its name; in the trash others may have the same.
    pub name: DatabaseName,
    /// The host label it answers to.
    pub dns_label: String,
    /// Which engine serves it.
    pub engine: EngineName,
    /// That engine's version, where its files belong to one: the major one, `15`.
    pub engine_version: Option<String>,
    /// Which process answers its SQL.
    #[serde(default)]
    pub isolation: Isolation,
    /// What an answered write survives.
    pub durability: Durability,
    /// The owner's own key-value marks.
    pub labels: Labels,
    /// What it may use.
    pub limits: Limits,
    /// Whether it refuses to be deleted.
    pub protected: bool,
    /// When it goes to the trash by itself.
    pub expires_at: Option<Timestamp>,
    /// What its files are good for.
    pub condition: Condition,
    /// Why its worker cannot be kept running, where that is so.
    pub degraded: Option<String>,
    /// The node that an event has placed it on. `None`: it belongs on the forge's first node
    /// (`State::node_of`).
    pub placed_on: Option<NodeId>,
    /// Its worker's id under the runtime, while it has one.
    pub worker: Option<String>,
    /// Its unfinished jobs in the order of their arrival; the first runs.
    pub queue: Vec<QueuedJob>,
    /// Whether its first job is stuck.
    pub stuck: bool,
    /// The database that had its name before and has to leave (to the trash, or for good) before
    /// the first job of this one may begin.
    pub behind: Option<DatabaseId>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// The last event about it.
    pub sequence: Sequence,
}

/// What a database will be once its queue is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect {
    /// It will answer SQL.
    Ready,
    /// It will be stopped.
    Stopped,
    /// It will be in the trash; the job that puts it there, while that is unfinished.
    Trashed(Option<JobId>),
    /// It will be gone.
    Purged(JobId),
}

impl Database {
    /// The database that an event begins.
    #[must_use]
    pub fn begun_by(it: &DatabaseRequested, recorded: &RecordedEvent) -> Self {
        Self {
            id: it.database,
            name: it.name.clone(),
            dns_label: it.dns_label.clone(),
            engine: it.engine.clone(),
            engine_version: it.engine_version.clone(),
            isolation: it.isolation,
            durability: it.durability,
            labels: it.labels.clone(),
            limits: it.limits,
            protected: it.protected,
            expires_at: it.expires_at,
            condition: Condition::Creating,
            degraded: None,
            placed_on: None,
            worker: None,
            queue: Vec::new(),
            stuck: false,
            behind: None,
            created_at: recorded.commit.time,
            sequence: recorded.sequence,
        }
    }

    /// The database that an event puts into the trash as one of its own, where it does.
    #[must_use]
    pub fn kept_by(it: &DatabaseKept, recorded: &RecordedEvent) -> Self {
        Self {
            id: it.database,
            name: it.name.clone(),
            dns_label: it.name.dns_label(),
            engine: it.engine.clone(),
            engine_version: it.engine_version.clone(),
            isolation: it.isolation,
            durability: it.durability,
            labels: it.labels.clone(),
            limits: it.limits,
            protected: false,
            expires_at: None,
            condition: Condition::Trashed {
                purge_at: it.purge_at,
            },
            degraded: None,
            placed_on: None,
            worker: None,
            queue: Vec::new(),
            stuck: false,
            behind: None,
            created_at: recorded.commit.time,
            sequence: recorded.sequence,
        }
    }

    /// Follows one of its own events.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "events that begin or end a database, and those of steps, do not change it"
    )]
    pub fn evolve(&mut self, recorded: &RecordedEvent) {
        if matches!(recorded.event, Event::NothingChanged(_)) {
            return;
        }
        self.sequence = recorded.sequence;
        match &recorded.event {
            Event::DatabaseReady(_) | Event::DatabaseStarted(_) => {
                self.condition = Condition::Ready;
            }
            Event::DatabaseStopped(_) => self.condition = Condition::Stopped,
            Event::DatabaseTrashed(it) => {
                self.condition = Condition::Trashed {
                    purge_at: it.purge_at,
                };
                self.expires_at = None;
                self.degraded = None;
            }
            Event::DatabaseSetAside(_) => {
                self.condition = Condition::Purging;
                self.expires_at = None;
                self.degraded = None;
            }
            Event::DatabaseUndeleted(it) => {
                self.condition = Condition::Ready;
                self.dns_label = it.dns_label.clone();
            }
            Event::DatabaseChanged(it) => {
                self.labels = it.labels.clone();
                self.limits = it.limits;
                self.protected = it.protected;
                self.expires_at = it.expires_at;
                self.isolation = it.isolation;
            }
            Event::DatabaseDegraded(it) => self.degraded = Some(it.reason.clone()),
            Event::WorkerStarted(it) => {
                self.worker = Some(it.worker.clone());
                self.degraded = None;
            }
            Event::WorkerRemoved(_) => self.worker = None,
            Event::DatabasePlaced(it) => self.placed_on = Some(it.node),
            Event::JobEnqueued(it) => self.queue.push(QueuedJob {
                id: it.job,
                kind: it.kind.clone(),
                started: false,
            }),
            Event::JobStarted(it) => {
                for queued in &mut self.queue {
                    queued.started |= queued.id == it.job;
                }
            }
            Event::JobSucceeded(it) => self.leave_queue(it.job),
            Event::JobFailed(it) => self.leave_queue(it.job),
            Event::JobCancelled(it) => self.leave_queue(it.job),
            Event::JobStuck(_) => self.stuck = true,
            Event::JobReleased(_) => self.stuck = false,
            _ => {}
        }
    }

    /// Where it stands now: as [`Self::state`], save that its time may be over.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> DatabaseState {
        let state = self.state();
        let may_expire = DatabaseState::MAY_EXPIRE.contains(&state);
        if may_expire && self.has_expired(now) {
            return DatabaseState::Expired;
        }
        state
    }

    /// Whether its time to live has ended. Nothing is written when that happens: it follows from
    /// the clock.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Where its events say it stands: what its files are good for, seen together with the job
    /// that runs.
    #[must_use]
    pub fn state(&self) -> DatabaseState {
        if self.stuck {
            return DatabaseState::Failed;
        }
        let running = self.queue.first().filter(|it| it.started);
        if let Some(state) = running.and_then(|it| it.kind.row().shown_as) {
            return state;
        }
        match self.condition {
            Condition::Creating => DatabaseState::Creating,
            Condition::Ready if self.degraded.is_some() => DatabaseState::Degraded,
            Condition::Ready => DatabaseState::Ready,
            Condition::Stopped => DatabaseState::Stopped,
            Condition::Trashed { .. } => DatabaseState::Trashed,
            Condition::Purging => DatabaseState::Purging,
        }
    }

    /// Whether its files are in their place or will be: it is neither in the trash nor going.
    #[must_use]
    pub fn is_living(&self) -> bool {
        match self.condition {
            Condition::Creating | Condition::Ready | Condition::Stopped => true,
            Condition::Trashed { .. } | Condition::Purging => false,
        }
    }

    /// Whether it is on its way to the trash, or further, so that its name becomes free. One whose
    /// job is stuck stays until a person has looked.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        !self.stuck && matches!(self.prospect(), Prospect::Trashed(_) | Prospect::Purged(_))
    }

    /// Whether it would be on its way even if this job of its queue ended without success.
    #[must_use]
    pub fn is_leaving_without(&self, job: JobId) -> bool {
        let mut rest = self.clone();
        rest.queue.retain(|it| it.id != job);
        rest.is_leaving()
    }

    /// What it will be once its queue is done, if all goes well.
    #[must_use]
    pub fn prospect(&self) -> Prospect {
        let now = match self.condition {
            Condition::Creating | Condition::Ready => Prospect::Ready,
            Condition::Stopped => Prospect::Stopped,
            Condition::Trashed { .. } | Condition::Purging => Prospect::Trashed(None),
        };
        let queue = self.queue.iter();
        queue.fold(now, |so_far, job| (job.kind.row().prospect)(so_far, job.id))
    }

    /// Its worker's name under any runtime: `db-worker-<name>-<short id>`.
    #[must_use]
    pub fn worker_name(&self) -> String {
        format!("db-worker-{}-{}", self.name, self.id.short())
    }

    fn leave_queue(&mut self, job: JobId) {
        // A creation that ends without success is followed by the end of the database.
        let returns = |it: &QueuedJob| it.id == job && it.kind == JobKind::UndeleteDatabase;
        if self.queue.first().is_some_and(returns) {
            self.behind = None;
        }
        self.queue.retain(|it| it.id != job);
        // Most databases have no job most of the time.
        self.queue.shrink_to_fit();
    }
}
