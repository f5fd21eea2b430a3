//! Slow work, one step at a time; and what watches over what should run.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod checkpoints;
pub mod drift;
pub mod kinds;
pub mod live;
pub mod observed;
pub mod reconciler;
pub mod retention;
pub mod runner;
pub mod schedule;
pub mod schedules;
mod steps;
mod turns;
pub mod webhooks;

use crate::clock::Stopwatch;
use crate::control::ControlPlane;
use crate::data::DataPlane;
use crate::data::ExclusiveGuard;
use crate::domain::database::Database;
use crate::domain::job::{Job, JobError, JobErrorCode, StepOutcome};
use crate::runtime::{Runtime, RuntimeError};
use futures_util::future::BoxFuture;
use live::{LiveJobs, Progress};
use observed::ObservedWorkers;
use std::sync::Arc;
use std::time::Duration;

/// How often a step that waits says how long it has.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// What steps may use.
pub struct Workshop {
    /// Where jobs come from and outcomes go.
    pub control: Arc<ControlPlane>,
    /// Runs workers.
    pub runtime: Arc<dyn Runtime>,
    /// Owns the files of databases and the gate before them.
    pub data: Arc<DataPlane>,
    /// What the API shows of workers.
    pub observed: Arc<ObservedWorkers>,
    /// What running steps say of themselves.
    pub live: Arc<LiveJobs>,
}

/// One part of a job: safe to run twice, safe after a crash at any point in it.
#[derive(Clone, Copy)]
pub struct Step {
    /// Its name, in events for ever.
    pub name: &'static str,
    /// How long one run of it may take.
    pub time_limit: Duration,
    /// Brings about what the step is for, whatever is there already.
    pub ensure: StepFn,
    /// Takes back what `ensure` may have done, wholly or in part.
    pub undo: Option<StepFn>,
}

/// What a step runs.
pub type StepFn = for<'a> fn(&'a StepContext) -> BoxFuture<'a, Result<Done, StepError>>;

/// What a step knows.
pub struct StepContext {
    /// What it may use.
    pub workshop: Arc<Workshop>,
    /// Its job.
    pub job: Arc<Job>,
    /// The job's database.
    pub database: Arc<Database>,
}

impl StepContext {
    /// Waits for `work`, and says meanwhile how much of the longest wait has passed.
    async fn awaited<T>(&self, longest: Duration, work: impl Future<Output = T>) -> T {
        let began = Stopwatch::start();
        let mut work = std::pin::pin!(work);
        loop {
            let progress = Progress {
                done: began.elapsed().min(longest).as_secs(),
                total: longest.as_secs(),
                unit: "seconds",
            };
            self.workshop.live.report(self.job.id, progress);
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(HEARTBEAT) => {}
            }
        }
    }
}

/// A step that ended well.
pub struct Done {
    /// What it brought about.
    pub outcome: StepOutcome,
    /// Holds the database's gate until the outcome is in the log: SQL never sees a state that
    /// does not fit the files.
    pub gate: Option<ExclusiveGuard>,
}

impl Done {
    fn with(outcome: StepOutcome) -> Self {
        Self {
            outcome,
            gate: None,
        }
    }

    fn behind_gate(outcome: StepOutcome, gate: ExclusiveGuard) -> Self {
        Self {
            outcome,
            gate: Some(gate),
        }
    }
}

/// A step that ended badly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct StepError {
    /// What went wrong.
    pub error: JobError,
    /// Whether the same step may work later.
    pub transient: bool,
}

impl StepError {
    fn transient(code: JobErrorCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            error: JobError { code, detail },
            transient: true,
        }
    }

    fn permanent(code: JobErrorCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            error: JobError { code, detail },
            transient: false,
        }
    }
}

impl From<RuntimeError> for StepError {
    fn from(error: RuntimeError) -> Self {
        let code = match &error {
            RuntimeError::Unavailable { .. } => JobErrorCode::RuntimeUnavailable,
            RuntimeError::Refused { .. } => JobErrorCode::RuntimeRefused,
            RuntimeError::Failed { .. } => JobErrorCode::Internal,
        };
        Self {
            error: JobError {
                code,
                detail: error.to_string(),
            },
            transient: error.is_transient(),
        }
    }
}
