//! Background work: jobs in steps, and the reconciler, schedules, retention and webhooks.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod checkpoints;
pub mod drift;
pub mod engines;
pub mod kinds;
pub mod progress;
pub mod reconciler;
pub mod retention;
pub mod runner;
pub mod schedules;
mod steps;
pub mod ticker;
mod turns;
pub mod uploads;
pub mod webhooks;
pub mod worker_status;

use crate::clock::Stopwatch;
use crate::control::ControlPlane;
use crate::data::DataPlane;
use crate::data::ExclusiveGuard;
use crate::domain::database::Database;
use crate::domain::ids::{InstanceId, RequestId};
use crate::domain::job::{Job, JobError, JobErrorCode, StepOutcome};
use crate::runtime::child::ChildStarter;
use crate::runtime::{Program, Runtime, RuntimeError, WorkerSpec};
use futures_util::future::BoxFuture;
use progress::{Progress, ProgressMap};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use worker_status::WorkerStatuses;

/// How often a waiting step reports its progress.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// What jobs and their steps use.
pub struct JobContext {
    /// The source of jobs, and the writer of their results.
    pub control: Arc<ControlPlane>,
    /// Runs workers.
    pub runtime: Arc<dyn Runtime>,
    /// The files of databases and their access locks.
    pub data: Arc<DataPlane>,
    /// The last known status of the workers.
    pub worker_status: Arc<WorkerStatuses>,
    /// The progress of running steps.
    pub progress: Arc<ProgressMap>,
    /// Starts the processes in which files that others made are opened.
    pub children: ChildStarter,
}

impl JobContext {
    /// The worker that a database is to have.
    #[must_use]
    pub fn worker_spec(
        &self,
        database: &Database,
        instance: InstanceId,
        request: RequestId,
    ) -> WorkerSpec {
        let folder = self.data.folders().living(database.id);
        let place = self.runtime.place(&folder);
        let program = match self.data.engine_of(database) {
            Ok(engine) => engine.program(database, &place),
            Err(_) => Program::sleeping(),
        };
        WorkerSpec::of(database, instance, folder, request, program)
    }
}

/// One part of a job. It may run twice, also after a crash at any point.
#[derive(Clone, Copy)]
pub struct Step {
    /// Its name, which is stored in events.
    pub name: &'static str,
    /// How long one run of it may take.
    pub time_limit: Duration,
    /// Does the step's work, or what is left of it.
    pub ensure: StepFn,
    /// Reverses what `ensure` may have done, in whole or in part.
    pub undo: Option<StepFn>,
}

/// A function of a step.
pub type StepFn = for<'a> fn(&'a StepContext) -> BoxFuture<'a, Result<Done, StepError>>;

/// The arguments of a step.
pub struct StepContext {
    pub job_context: Arc<JobContext>,
    pub job: Arc<Job>,
    /// The job's database.
    pub database: Arc<Database>,
    /// Cancelled when the job is cancelled or the gateway stops. A step that takes long ends then
    /// with [`StepError::interrupted`], as soon as it can.
    pub interrupted: CancellationToken,
}

impl StepContext {
    /// Waits for `work`, and reports how much of `longest` has passed.
    async fn awaited<T>(&self, longest: Duration, work: impl Future<Output = T>) -> T {
        let began = Stopwatch::start();
        let mut work = std::pin::pin!(work);
        loop {
            let progress = Progress {
                done: began.elapsed().min(longest).as_secs(),
                total: longest.as_secs(),
                unit: "seconds",
                rows: None,
            };
            self.job_context.progress.report(self.job.id, progress);
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(HEARTBEAT) => {}
            }
        }
    }
}

/// The result of a successful step.
pub struct Done {
    pub outcome: StepOutcome,
    /// Holds the exclusive access lock until the outcome is in the log, so that SQL never sees a
    /// state that does not match the files.
    pub guard: Option<ExclusiveGuard>,
}

impl Done {
    fn with(outcome: StepOutcome) -> Self {
        Self {
            outcome,
            guard: None,
        }
    }

    fn holding(outcome: StepOutcome, guard: ExclusiveGuard) -> Self {
        Self {
            outcome,
            guard: Some(guard),
        }
    }
}

/// The error of a failed step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct StepError {
    pub error: JobError,
    /// Whether a retry may succeed.
    pub transient: bool,
    /// Whether it ended because it was told to.
    pub was_interrupted: bool,
}

impl StepError {
    /// Of a step that ended because the job was cancelled or the gateway stops.
    #[must_use]
    pub fn interrupted() -> Self {
        Self {
            was_interrupted: true,
            ..Self::transient(JobErrorCode::Internal, "the step was interrupted")
        }
    }

    fn transient(code: JobErrorCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            error: JobError { code, detail },
            transient: true,
            was_interrupted: false,
        }
    }

    fn permanent(code: JobErrorCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            error: JobError { code, detail },
            transient: false,
            was_interrupted: false,
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
            was_interrupted: false,
        }
    }
}
