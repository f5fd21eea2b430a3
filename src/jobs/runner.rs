//! Runs jobs: a thin loop around one function that moves one job by one step.
use super::kinds::{longest_step, next_step, step, step_behind};
use super::turns::{self, Candidate, RUNNING_JOBS};
use super::{Done, JobContext, Step, StepContext, StepError, StepFn};
use crate::control::{Submission, SubmitError};
use crate::domain::command::Command;
use crate::domain::ids::{Actor, JobId};
use crate::domain::job::{Job, JobErrorCode, JobState, StepName, StepOutcome};
use crate::locks::Mutex;
use futures_util::FutureExt;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a job may begin new attempts.
const JOB_TIME: Duration = Duration::from_secs(600);
/// How long running jobs may continue at shutdown; unfinished ones resume at
/// the next start.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// How often the runner checks for due retries when nothing wakes it.
const LONGEST_NAP: Duration = Duration::from_secs(1);
/// The pause before a result is reported again after a failed append.
const REPORT_AGAIN: Duration = Duration::from_millis(500);

/// Runs waiting jobs step by step and records the results.
pub struct Runner {
    job_context: Arc<JobContext>,
    /// Jobs that this process has started or resumed; other running jobs are from an earlier one.
    taken_up: Mutex<HashSet<JobId>>,
    /// Jobs that are running a step now.
    moving: Mutex<HashSet<JobId>>,
    moved: Notify,
    /// Interrupts steps that take long.
    stopping: CancellationToken,
}

/// The result of moving a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// A result was recorded; the job may be due again at once.
    On,
    /// There was nothing to do: the job has ended, or is stuck and waits for an operator.
    Rests,
}

impl Runner {
    /// A runner for the jobs of the log.
    #[must_use]
    pub fn new(job_context: Arc<JobContext>) -> Self {
        Self {
            job_context,
            taken_up: Mutex::default(),
            moving: Mutex::default(),
            moved: Notify::new(),
            stopping: CancellationToken::new(),
        }
    }

    /// Runs jobs until `stop`, then lets running ones continue for a limited time.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut changes = self.job_context.control.changes();
        let mut running = JoinSet::new();
        while !stop.is_cancelled() {
            while running.try_join_next().is_some() {}
            for id in self.next_turns() {
                let runner = self.clone();
                running.spawn(async move { runner.run_and_release(id).await });
            }
            tokio::select! {
                () = stop.cancelled() => {}
                _ = changes.changed() => {}
                () = self.moved.notified() => {}
                () = tokio::time::sleep(LONGEST_NAP) => {}
            }
        }
        self.stopping.cancel();
        if tokio::time::timeout(DRAIN_TIME, running.join_all())
            .await
            .is_err()
        {
            tracing::warn!("some jobs are unfinished; they resume at the next start");
        }
    }

    /// Moves all due jobs as far as possible. Returns whether any was moved. Tests use
    /// this instead of the loop.
    ///
    /// # Errors
    /// When a result could not be recorded.
    pub async fn run_until_idle(&self) -> Result<bool, SubmitError> {
        let mut any = false;
        loop {
            let due = self.next_turns();
            if due.is_empty() {
                return Ok(any);
            }
            for id in due {
                let moved = self.run_until_blocked(id).await;
                self.let_go(id);
                moved?;
                any = true;
            }
        }
    }

    /// Moves one job by one step.
    ///
    /// # Errors
    /// When a result could not be recorded.
    pub async fn move_once(&self, id: JobId) -> Result<Moved, SubmitError> {
        let current = self.job_context.control.current();
        let Some(job) = current.state.job(id) else {
            return Ok(Moved::Rests);
        };
        match job.state {
            JobState::Queued | JobState::RetryWait => self.take_up(job).await,
            JobState::Running if job.compensating => self.undo_last(job).await,
            JobState::Running => self.run_step(job).await,
            JobState::Succeeded | JobState::Failed | JobState::Cancelled | JobState::Stuck => {
                Ok(Moved::Rests)
            }
        }
    }

    async fn take_up(&self, job: &Arc<Job>) -> Result<Moved, SubmitError> {
        let step = next_step(job).filter(|_| !job.compensating);
        let start = Command::StartJob {
            job: job.id,
            step: step.map(|step| StepName(step.name.to_owned())),
            time_limit: JOB_TIME.max(2 * longest_step(&job.kind)),
        };
        self.mark_taken_up(job.id);
        self.report(job, start).await?;
        Ok(Moved::On)
    }

    async fn run_step(&self, job: &Arc<Job>) -> Result<Moved, SubmitError> {
        let left_by_earlier_process = self.mark_taken_up(job.id);
        let running = job.step.as_ref().map(|it| &it.name);
        let Some(step) = running
            .and_then(|name| step(&job.kind, name))
            .or_else(|| next_step(job))
        else {
            return Ok(Moved::Rests);
        };
        let name = StepName(step.name.to_owned());
        if left_by_earlier_process || running.is_none() {
            return self.resume(job, name).await;
        }
        let told_to_end = self.until_told_to_end(job.id);
        let result = self.run_bounded(job, step, step.ensure, told_to_end).await;
        let (command, guard) = match result {
            Ok(Done { outcome, guard }) => {
                let next = step_behind(&job.kind, &name).map(|step| StepName(step.name.to_owned()));
                let finish = Command::FinishStep {
                    job: job.id,
                    step: name,
                    outcome,
                    next,
                };
                (finish, guard)
            }
            // It goes on at the next start.
            Err(failed) if failed.was_interrupted && self.stopping.is_cancelled() => {
                return Ok(Moved::Rests);
            }
            Err(failed) => (self.failure(job, step, failed), None),
        };
        let reported = self.report(job, command).await;
        drop(guard);
        reported.map(|()| Moved::On)
    }

    async fn undo_last(&self, job: &Arc<Job>) -> Result<Moved, SubmitError> {
        let left_by_earlier_process = self.mark_taken_up(job.id);
        let Some(name) = job.begun_steps.last() else {
            return Ok(Moved::Rests);
        };
        if left_by_earlier_process {
            return self.resume(job, name.clone()).await;
        }
        let step = step(&job.kind, name);
        let undone = match step.and_then(|step| step.undo.map(|undo| (step, undo))) {
            Some((step, undo)) => self
                .run_bounded(job, step, undo, std::future::pending())
                .await
                .map_err(|failed| self.failure(job, step, failed)),
            None => Ok(Done::with(StepOutcome::Nothing)),
        };
        let (command, guard) = match undone {
            Ok(Done { outcome, guard }) => {
                let finish = Command::FinishUndo {
                    job: job.id,
                    step: name.clone(),
                    outcome,
                };
                (finish, guard)
            }
            Err(failure) => (failure, None),
        };
        let reported = self.report(job, command).await;
        drop(guard);
        reported.map(|()| Moved::On)
    }

    async fn resume(&self, job: &Job, step: StepName) -> Result<Moved, SubmitError> {
        let resume = Command::ResumeJob { job: job.id, step };
        self.report(job, resume).await?;
        Ok(Moved::On)
    }

    async fn run_bounded(
        &self,
        job: &Arc<Job>,
        step: &Step,
        part: StepFn,
        told_to_end: impl Future<Output = ()>,
    ) -> Result<Done, StepError> {
        let current = self.job_context.control.current();
        let Some(database) = current.state.database(job.database) else {
            return Err(StepError::permanent(
                JobErrorCode::DatabaseGone,
                format!("database `{}` no longer exists", job.database_name),
            ));
        };
        let context = StepContext {
            job_context: self.job_context.clone(),
            job: job.clone(),
            database: database.clone(),
            interrupted: CancellationToken::new(),
        };
        let run = AssertUnwindSafe(part(&context)).catch_unwind();
        let mut run = pin!(tokio::time::timeout(step.time_limit, run));
        let ended = tokio::select! {
            biased;
            ended = &mut run => ended,
            () = told_to_end => {
                context.interrupted.cancel();
                run.await
            }
        };
        self.job_context.progress.forget(job.id);
        match ended {
            Ok(Ok(result)) => result,
            Ok(Err(_panic)) => Err(StepError::permanent(
                JobErrorCode::Internal,
                format!("step `{}` panicked", step.name),
            )),
            Err(_) => Err(StepError::transient(
                JobErrorCode::StepTimedOut,
                format!(
                    "step `{}` took longer than {} s",
                    step.name,
                    step.time_limit.as_secs()
                ),
            )),
        }
    }

    /// Ends when the job is cancelled, or the gateway stops.
    async fn until_told_to_end(&self, id: JobId) {
        let mut changes = self.job_context.control.changes();
        let goes_on = |job: Option<&Arc<Job>>| job.is_some_and(|job| !job.cancel_requested);
        while goes_on(changes.borrow_and_update().state.job(id)) {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    fn failure(&self, job: &Job, step: &Step, failed: StepError) -> Command {
        let StepError {
            error, transient, ..
        } = failed;
        tracing::warn!(
            job.id = %job.id,
            job.kind = %job.kind,
            job.step = step.name,
            database.id = %job.database,
            request.id = %job.request,
            transient,
            "step `{}` of `{}` failed: {error}",
            step.name,
            job.database_name,
        );
        Command::FailStep {
            job: job.id,
            error,
            transient,
        }
    }

    async fn report(&self, job: &Job, command: Command) -> Result<(), SubmitError> {
        let mut submission = Submission::new(command, Actor::named("runner"), job.request);
        submission.causation = Some(job.enqueued);
        self.job_context.control.submit(submission).await?;
        Ok(())
    }

    async fn run_until_blocked(&self, id: JobId) -> Result<(), SubmitError> {
        while self.is_due(id) {
            if self.move_once(id).await? == Moved::Rests {
                break;
            }
        }
        Ok(())
    }

    /// Moves a job as far as possible. A result that could not be recorded is obtained again by
    /// repeating the step.
    async fn run_and_release(&self, id: JobId) {
        if let Err(error) = self.run_until_blocked(id).await {
            tracing::error!(job.id = %id, %error, "failed to record job result");
            tokio::time::sleep(REPORT_AGAIN).await;
        }
        self.let_go(id);
    }

    /// Claims the jobs that run next.
    fn next_turns(&self) -> Vec<JobId> {
        let current = self.job_context.control.current();
        let mut moving = self.moving.lock();
        if current.read_only.is_some() || moving.len() >= RUNNING_JOBS {
            return Vec::new();
        }
        let taken_up = self.taken_up.lock();
        let candidate = |job: &Arc<Job>| Candidate::of(job, !taken_up.contains(&job.id));
        let (moves, rests): (Vec<_>, Vec<_>) = current
            .state
            .own_first_jobs()
            .partition(|job| moving.contains(&job.id));
        let moves: Vec<_> = moves.into_iter().map(candidate).collect();
        let waiting = rests.into_iter().filter(|job| self.is_due(job.id));
        let turns = turns::next(waiting.map(candidate).collect(), &moves);
        moving.extend(&turns);
        turns
    }

    fn is_due(&self, id: JobId) -> bool {
        let current = self.job_context.control.current();
        let now = self.job_context.control.clock().now();
        let job = current.state.job(id);
        job.is_some_and(|job| job.state == JobState::Running || job.may_begin(now))
    }

    fn let_go(&self, id: JobId) {
        self.moving.lock().remove(&id);
        if self.job_context.control.current().state.job(id).is_none() {
            self.taken_up.lock().remove(&id);
        }
        self.moved.notify_one();
    }

    /// Returns whether an earlier process left the job.
    fn mark_taken_up(&self, id: JobId) -> bool {
        self.taken_up.lock().insert(id)
    }
}
