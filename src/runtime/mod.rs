//! Runs workers: one for each database, in containers, as child processes, or in memory.
pub mod docker;
pub mod process;
pub mod simulated;

use crate::domain::database::Database;
use crate::domain::ids::{DatabaseId, InstanceId, RequestId};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// Where a worker in a container finds its database's folder. Fixed, so that a worker needs no
/// setting and its check no argument.
pub const WORKER_FOLDER: &str = "/data/database";

/// What the name of a worker in quarantine begins with.
pub const QUARANTINED: &str = "quarantined-";

/// Something that runs workers.
///
/// Every call is bounded in time, and may be repeated: a call that failed may have had its effect.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// `docker`, `process` or `simulated`.
    fn name(&self) -> &'static str;

    /// Whether the engine answers.
    ///
    /// # Errors
    /// [`RuntimeError::Unavailable`] when it does not.
    async fn ping(&self) -> Result<(), RuntimeError>;

    /// Makes sure that exactly one worker like `spec` runs for its database: starts one that is
    /// missing or exited, replaces one that is paused or of another spec. Returns its id.
    ///
    /// # Errors
    /// When the engine is away or refuses.
    async fn ensure_running(&self, spec: &WorkerSpec) -> Result<String, RuntimeError>;

    /// Makes sure that the database has no worker.
    ///
    /// # Errors
    /// When the engine is away or refuses.
    async fn ensure_removed(&self, database: DatabaseId) -> Result<(), RuntimeError>;

    /// The database's worker, where there is one.
    ///
    /// # Errors
    /// When the engine is away or refuses. Never `None` because of that.
    async fn inspect(&self, database: DatabaseId) -> Result<Option<Worker>, RuntimeError>;

    /// Every worker of this forge, and no other container.
    ///
    /// # Errors
    /// When the engine is away, refuses, or gives a list that may not be whole.
    async fn list(&self) -> Result<Vec<Worker>, RuntimeError>;

    /// Ends a worker that belongs to no database and gives it a name that begins with
    /// [`QUARANTINED`], so that a person can look at it; nothing of it is removed.
    ///
    /// # Errors
    /// When the engine is away or refuses. One that is gone is no error.
    async fn quarantine(&self, worker: &str) -> Result<(), RuntimeError>;

    /// Removes a quarantined worker; one that is gone is as good.
    ///
    /// # Errors
    /// When the engine is away or refuses, or the worker is not quarantined.
    async fn remove_quarantined(&self, worker: &str) -> Result<(), RuntimeError>;

    /// A tick whenever something happened to a worker of this forge. Ticks may be lost: they
    /// wake the reconciler, which looks for itself.
    fn changes(&self) -> BoxStream<'static, ()>;
}

/// The worker that a database is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSpec {
    /// The forge it belongs to.
    pub instance: InstanceId,
    /// The database it serves.
    pub database: DatabaseId,
    /// Its name: `db-worker-<name>-<short id>`.
    pub name: String,
    /// The database's folder as the gateway sees it; all of the disk that the worker sees.
    pub folder: PathBuf,
    /// Most bytes of memory.
    pub memory_bytes: u64,
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    /// The request that asked for it; a label, no part of the spec's hash.
    pub request: RequestId,
}

impl WorkerSpec {
    /// The worker that `database` is to have.
    #[must_use]
    pub fn of(
        database: &Database,
        instance: InstanceId,
        folder: PathBuf,
        request: RequestId,
    ) -> Self {
        Self {
            instance,
            database: database.id,
            name: database.worker_name(),
            folder,
            memory_bytes: database.limits.memory_bytes,
            cpu_millis: database.limits.cpu_millis,
            request,
        }
    }

    /// What tells two specs apart: a worker whose label has another one is replaced.
    #[must_use]
    pub fn hash(&self) -> String {
        let Self {
            instance,
            database,
            name,
            folder,
            memory_bytes,
            cpu_millis,
            request: _, // says who asked, not what was asked for
        } = self;
        let text = format!(
            "{instance} {database} {name} {} {memory_bytes} {cpu_millis}",
            folder.display()
        );
        hex::encode(&Sha256::digest(text)[..8])
    }
}

/// A worker as the engine tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Its id under the runtime.
    pub id: String,
    pub name: String,
    /// The database that its label names.
    pub database: DatabaseId,
    /// The hash of the spec it was made from.
    pub spec: String,
    /// How it is.
    pub state: WorkerState,
}

impl Worker {
    /// Whether it was ended and set aside because it belongs to no database.
    #[must_use]
    pub fn is_quarantined(&self) -> bool {
        self.name.starts_with(QUARANTINED)
    }
}

/// How a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkerState {
    /// Made or started; its first check has not passed yet.
    Starting,
    /// Its check passes.
    Healthy,
    /// It runs and its check fails, or it is paused.
    Unhealthy,
    /// It does not run.
    Exited,
}

impl WorkerState {
    /// The word shown in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Exited => "exited",
        }
    }
}

/// Why the runtime could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The engine does not answer, or not in time.
    #[error("the {runtime} runtime is unreachable: {reason}")]
    Unavailable {
        runtime: &'static str,
        /// What was seen.
        reason: String,
    },
    /// The engine answered with an error that may pass.
    #[error("the {runtime} runtime failed to {action}: {reason}")]
    Failed {
        runtime: &'static str,
        /// What was tried.
        action: String,
        /// What it answered.
        reason: String,
    },
    /// The engine answered no, and will again: the image is missing, a limit is not supported.
    #[error("the {runtime} runtime refused to {action}: {reason}")]
    Refused {
        runtime: &'static str,
        /// What was tried.
        action: String,
        /// What it answered.
        reason: String,
    },
}

impl RuntimeError {
    /// Whether the same call may work later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Failed { .. } => true,
            Self::Refused { .. } => false,
        }
    }
}
