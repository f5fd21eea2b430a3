//! Steps on a database's worker.
use super::files;
use crate::clock::Deadline;
use crate::domain::database::Condition;
use crate::domain::job::{JobErrorCode, JobKind, StepOutcome};
use crate::jobs::{Done, Step, StepContext, StepError};
use crate::runtime::{Worker, WorkerSpec, WorkerState};
use futures_util::future::BoxFuture;
use std::time::Duration;

/// One container starts in 0.2 s and ten in a second; fifty at once have to queue.
const WORKER_TIME: Duration = Duration::from_secs(60);
/// A worker that is not healthy by then has failed.
const HEALTHY_TIME: Duration = Duration::from_secs(30);
/// How often a starting worker is inspected.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

pub(in crate::jobs) const ENSURE_WORKER: Step = Step {
    name: "ensure_worker",
    time_limit: WORKER_TIME,
    ensure: |context| ensure_worker(context),
    undo: Some(|context| remove_worker(context)),
};

pub(in crate::jobs) const AWAIT_HEALTHY: Step = Step {
    name: "await_healthy",
    time_limit: WORKER_TIME,
    ensure: |context| await_healthy(context),
    undo: None,
};

pub(in crate::jobs) const REMOVE_WORKER: Step = Step {
    name: "remove_worker",
    time_limit: WORKER_TIME,
    ensure: |context| remove_worker_of(context),
    undo: Some(|context| return_worker(context)),
};

fn ensure_worker(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        files::check_start(context).await?;
        let job_context = &context.job_context;
        let worker = job_context
            .runtime
            .ensure_running(&context.worker_spec())
            .await?;
        job_context
            .worker_status
            .note(context.database.id, Some(WorkerState::Starting));
        Ok(Done::with(StepOutcome::WorkerStarted { worker }))
    })
}

fn await_healthy(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(context.awaited(HEALTHY_TIME, until_healthy(context)))
}

/// Waits until the worker is healthy. A worker that exited is started again; one that is missing
/// is created again, which the outcome says.
async fn until_healthy(context: &StepContext) -> Result<Done, StepError> {
    let job_context = &context.job_context;
    let id = context.database.id;
    let deadline = Deadline::after(HEALTHY_TIME);
    loop {
        let worker = job_context.runtime.inspect(id).await?;
        let state = worker.as_ref().map(|it| it.state);
        job_context.worker_status.note(id, state);
        match state {
            Some(WorkerState::Healthy) => return Ok(Done::with(news_of(context, worker))),
            None | Some(WorkerState::Exited) => {
                job_context
                    .runtime
                    .ensure_running(&context.worker_spec())
                    .await?;
            }
            Some(WorkerState::Starting | WorkerState::Unhealthy) => {}
        }
        if deadline.has_passed() {
            return Err(StepError::transient(
                JobErrorCode::WorkerUnhealthy,
                format!(
                    "the worker of database `{}` is {} after {} s",
                    context.database.name,
                    state.map_or("missing", WorkerState::as_str),
                    HEALTHY_TIME.as_secs()
                ),
            ));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// The outcome: nothing if the worker is the one in the log.
fn news_of(context: &StepContext, worker: Option<Worker>) -> StepOutcome {
    let known = context.database.worker.as_deref();
    match worker {
        Some(it) if known != Some(it.id.as_str()) => StepOutcome::WorkerStarted { worker: it.id },
        _ => StepOutcome::Nothing,
    }
}

/// Removes the worker. One that is to be replaced stays where the next one could not be started.
fn remove_worker_of(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        if matches!(
            context.job.kind,
            JobKind::RestartWorker | JobKind::RepairWorker { .. }
        ) {
            files::check_start(context).await?;
        }
        remove_worker(context).await
    })
}

fn remove_worker(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let job_context = &context.job_context;
        // What a worker answers is answered before it goes.
        let guard = files::drain_worker(context).await?;
        job_context
            .runtime
            .ensure_removed(context.database.id)
            .await?;
        if guard.is_some() {
            files::forget_worker(context).await?;
        }
        job_context.worker_status.note(context.database.id, None);
        Ok(Done {
            outcome: StepOutcome::WorkerRemoved,
            guard,
        })
    })
}

/// Returns the worker to a database that was ready before this job; others had none.
fn return_worker(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let closed_by_this_job = || {
            let mut finished = context.job.finished_steps.iter();
            finished.any(|step| step.0 == files::CLOSE.name)
        };
        let had_worker = match context.database.condition {
            Condition::Ready => true,
            Condition::Stopped => closed_by_this_job(),
            Condition::Creating | Condition::Trashed { .. } | Condition::Purging => false,
        };
        // One that cannot be started here is left to the reconciler, which tells.
        let can_start = match files::check_start(context).await {
            Err(error) => error.transient,
            Ok(()) => true,
        };
        if had_worker && can_start {
            ensure_worker(context).await
        } else {
            Ok(Done::with(StepOutcome::Nothing))
        }
    })
}

impl StepContext {
    fn worker_spec(&self) -> WorkerSpec {
        let current = self.job_context.control.current();
        let instance = current
            .state
            .instance
            .expect("a forge is initialized before it takes commands");
        self.job_context
            .worker_spec(&self.database, instance, self.job.request)
    }
}
