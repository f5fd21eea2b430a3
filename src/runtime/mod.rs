//! Runs workers: one for each database, as containers or as entries in memory. And one-shot
//! children, in which files that others made are opened.
pub mod child;
pub mod docker;
mod errand;
pub mod process;
mod program;
pub mod simulated;

pub use errand::{Errand, ImageFacts};
use program::LOCK;
pub use program::{LONGEST_STOP_GRACE, Program, StopSignal, WORKER_FOLDER, WorkerPlace};

use crate::domain::database::Database;
use crate::domain::ids::{DatabaseId, InstanceId, RequestId};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// What the name of a worker in quarantine begins with.
pub const QUARANTINED: &str = "quarantined-";

/// Something that runs workers.
///
/// Every call is bounded in time, and may be repeated: a call that failed may have had its effect.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// `docker`, `process` or `simulated`.
    fn name(&self) -> &'static str;

    /// Where the program of the worker of a database runs, whose folder is `folder` for the
    /// gateway.
    fn place(&self, folder: &Path) -> WorkerPlace {
        let _ = folder;
        WorkerPlace::Container
    }

    /// Whether the container runtime is reachable.
    ///
    /// # Errors
    /// [`RuntimeError::Unavailable`] when it is not.
    async fn ping(&self) -> Result<(), RuntimeError>;

    /// Ensures that exactly one worker with this spec runs for its database: starts one that is
    /// missing or exited, replaces one that is paused or of another spec. Returns its id.
    ///
    /// # Errors
    /// When the container runtime is unreachable or refuses.
    async fn ensure_running(&self, spec: &WorkerSpec) -> Result<String, RuntimeError>;

    /// Ensures that the database has no worker.
    ///
    /// # Errors
    /// When the container runtime is unreachable or refuses.
    async fn ensure_removed(&self, database: DatabaseId) -> Result<(), RuntimeError>;

    /// The database's worker, if there is one.
    ///
    /// # Errors
    /// When the container runtime is unreachable or refuses; never `None` for that reason.
    async fn inspect(&self, database: DatabaseId) -> Result<Option<Worker>, RuntimeError>;

    /// All workers of this forge, and no other container.
    ///
    /// # Errors
    /// When the container runtime is unreachable, refuses, or returns a list that may be
    /// incomplete.
    async fn list(&self) -> Result<Vec<Worker>, RuntimeError>;

    /// Stops a worker that belongs to no database and gives it a name that begins with
    /// [`QUARANTINED`], so that an operator can inspect it. Removes nothing.
    ///
    /// # Errors
    /// When the container runtime is unreachable or refuses. A worker that no longer exists is no
    /// error.
    async fn quarantine(&self, worker: &str) -> Result<(), RuntimeError>;

    /// Removes a quarantined worker, if it still exists.
    ///
    /// # Errors
    /// When the container runtime is unreachable or refuses, or the worker is not quarantined.
    async fn remove_quarantined(&self, worker: &str) -> Result<(), RuntimeError>;

    /// What the image called `name` says of itself; `None` when it is not there.
    ///
    /// # Errors
    /// When the container runtime is unreachable, or there are no images.
    async fn image(&self, name: &str) -> Result<Option<ImageFacts>, RuntimeError> {
        Err(self.has_no_images(&format!("look the image `{name}` up")))
    }

    /// Runs this program once in an image. One call at a time.
    ///
    /// # Errors
    /// When it does not end well, the container runtime is unreachable, or there are no images.
    async fn run_errand(&self, errand: &Errand) -> Result<(), RuntimeError> {
        Err(self.has_no_images(&format!("run a program in the image `{}`", errand.image)))
    }

    #[doc(hidden)]
    fn has_no_images(&self, action: &str) -> RuntimeError {
        RuntimeError::Refused {
            runtime: self.name(),
            action: action.to_owned(),
            reason: "it has no images".to_owned(),
        }
    }

    /// Ends the workers that cannot go on without their gateway, when it stops. They are running
    /// again after its next start.
    async fn close(&self) {}

    /// A tick for each change of a worker of this forge. Ticks may be lost: they only
    /// wake the reconciler, which inspects the workers itself.
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
    /// The database's folder as the gateway sees it; the worker's only mount.
    pub folder: PathBuf,
    /// Most bytes of memory.
    pub memory_bytes: u64,
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    /// The request that created it; a label, not a part of the spec's hash.
    pub request: RequestId,
    /// What it runs.
    pub program: Program,
}

impl WorkerSpec {
    /// The worker that `database` is to have: it runs `program`.
    #[must_use]
    pub fn of(
        database: &Database,
        instance: InstanceId,
        folder: PathBuf,
        request: RequestId,
        program: Program,
    ) -> Self {
        Self {
            instance,
            database: database.id,
            name: database.worker_name(),
            folder,
            memory_bytes: database.limits.memory_bytes,
            cpu_millis: database.limits.cpu_millis,
            request,
            program,
        }
    }

    /// Identifies the spec: a worker with a different hash in its label is replaced.
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
            program,
        } = self;
        let text = format!(
            "{instance} {database} {name} {} {memory_bytes} {cpu_millis}{}",
            folder.display(),
            program.text()
        );
        hex::encode(&Sha256::digest(text)[..8])
    }
}

/// A worker as the container runtime reports it.
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
    /// Whether it is quarantined because it belongs to no database.
    #[must_use]
    pub fn is_quarantined(&self) -> bool {
        self.name.starts_with(QUARANTINED)
    }
}

/// The state of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkerState {
    /// Created or started; its first health check has not passed yet.
    Starting,
    /// Its health check passes.
    Healthy,
    /// It runs, but its health check fails or it is paused.
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

/// Why a call of the runtime failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The container runtime is unreachable, or did not answer in time.
    #[error("the {runtime} runtime is unreachable: {reason}")]
    Unavailable {
        runtime: &'static str,
        /// What was seen.
        reason: String,
    },
    /// The container runtime reported an error that may be temporary.
    #[error("the {runtime} runtime failed to {action}: {reason}")]
    Failed {
        runtime: &'static str,
        /// What was tried.
        action: String,
        /// What it answered.
        reason: String,
    },
    /// The container runtime refused permanently: the image is missing, or a limit is not
    /// supported.
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
    /// Whether a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Failed { .. } => true,
            Self::Refused { .. } => false,
        }
    }
}
