//! The service layer: one function per use case. Resolve a database, run SQL, submit commands and
//! wait for their jobs, plan and undo, watch events, read past states.
//!
//! Every protocol calls these. They check what the caller may do; they know nothing of HTTP.
pub mod caller;
pub mod commands;
pub mod freshness;
mod health;
pub mod history;
pub mod jobs;
pub mod lists;
pub mod resolver;
mod root_token;
pub mod rows;
pub mod schema_texts;
pub mod sql;
pub mod uploads;
pub mod watch;

pub use self::root_token::RootToken;

use self::health::RuntimeHealth;
use crate::clock::Stopwatch;
use crate::control::ControlPlane;
use crate::data::DataPlane;
use crate::event_log::checkpoints::Checkpoints;
use crate::jobs::JobContext;
use crate::jobs::progress::ProgressMap;
use crate::jobs::webhooks::{WebhookConfig, Webhooks};
use crate::jobs::worker_status::WorkerStatuses;
use crate::projections::control_db::ControlDb;
use crate::runtime::Runtime;
use crate::runtime::child::ChildStarter;
use crate::shares::FairLimiter;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Earlier states that are rebuilt at once: each keeps a core and the log's reader busy, and
/// commands need both.
const REBUILDS: usize = 1;
/// Rebuilds that may wait for their turn.
const WAITING_REBUILDS: usize = 64;

/// Limits of the service layer.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// How long SQL waits for a database that is being created, or whose files a job has.
    pub ready_wait: Duration,
    /// Bounds of webhooks.
    pub webhooks: WebhookConfig,
}

/// Shared state of the service layer.
pub struct Service {
    /// Takes commands, knows the current state.
    pub control: Arc<ControlPlane>,
    /// Answers lists and searches.
    pub control_db: Arc<ControlDb>,
    /// Runs SQL, owns the files.
    pub data: Arc<DataPlane>,
    /// Runs the workers.
    pub runtime: Arc<dyn Runtime>,
    /// Starts processes for work on whole files.
    pub children: ChildStarter,
    /// The workers as they were last seen.
    pub workers: Arc<WorkerStatuses>,
    /// Delivers events to receivers.
    pub webhooks: Arc<Webhooks>,
    /// Signed heads of the history.
    pub checkpoints: Arc<Checkpoints>,
    /// How far running jobs are.
    pub progress: Arc<ProgressMap>,
    /// Cancelled on shutdown; ends long polls and streams.
    pub stopping: CancellationToken,
    root_token: RootToken,
    config: ServiceConfig,
    /// Bounds how many earlier states are rebuilt at once.
    rebuilds: Arc<FairLimiter>,
    /// Held from the last look at what was undone until an undo is in the log: of several undos of
    /// one event the first wins.
    undoing: Mutex<()>,
    runtime_health: RuntimeHealth,
    started: Stopwatch,
}

impl Service {
    /// Creates the service.
    #[must_use]
    pub fn new(
        job_context: &JobContext,
        control_db: Arc<ControlDb>,
        root_token: RootToken,
        config: ServiceConfig,
    ) -> Self {
        let forge_dir = job_context.data.folders().root().with_file_name(".forge");
        let webhooks = Webhooks::new(
            job_context.control.clone(),
            control_db.clone(),
            forge_dir.join("webhooks"),
            config.webhooks,
        );
        Self {
            checkpoints: Arc::new(Checkpoints::at(forge_dir.join("audit"))),
            webhooks: Arc::new(webhooks),
            control: job_context.control.clone(),
            control_db,
            data: job_context.data.clone(),
            runtime: job_context.runtime.clone(),
            children: job_context.children.clone(),
            workers: job_context.worker_status.clone(),
            progress: job_context.progress.clone(),
            stopping: CancellationToken::new(),
            root_token,
            config,
            rebuilds: FairLimiter::new(REBUILDS, WAITING_REBUILDS),
            undoing: Mutex::default(),
            runtime_health: RuntimeHealth::default(),
            started: Stopwatch::start(),
        }
    }

    /// Whether the container runtime answers, as of at most two seconds ago.
    pub async fn runtime_answers(&self) -> bool {
        self.runtime_health.answers(self.runtime.as_ref()).await
    }

    /// Accepts another root token from now on. Returns false if it is the same.
    pub fn replace_root_token(&self, secret: &str) -> bool {
        self.root_token.replace(secret)
    }

    /// Time since the start.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
