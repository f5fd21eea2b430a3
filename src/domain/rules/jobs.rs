//! Rules for jobs as wholes: taking one up, going on after a crash, cancelling, releasing.
use super::steps::{begin_undoing, end_undone};
use crate::domain::command::Facts;
use crate::domain::database::{Condition, Database};
use crate::domain::event::{
    Event, JobCancelRequested, JobFailed, JobReleased, JobStarted, StepStarted,
};
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobError, JobErrorCode, JobKind, JobState, StepName};
use crate::domain::refusal::Refusal;
use crate::domain::state::State;
use std::sync::Arc;
use std::time::Duration;

/// In so many crashes in a row a step is suspected; at the next one its job is given up.
pub(crate) const SUSPECT_CRASHES: u32 = 5;

pub(super) fn start(
    state: &State,
    id: JobId,
    step: Option<&StepName>,
    time_limit: Duration,
    facts: &Facts,
) -> Result<Vec<Event>, Refusal> {
    let job = unfinished(state, id)?;
    let is_first = state.queue_position(job) == Some(0);
    let is_due = match job.state {
        JobState::Queued => true,
        JobState::RetryWait => job.retry_at.is_none_or(|it| it <= facts.now),
        JobState::Running
        | JobState::Succeeded
        | JobState::Failed
        | JobState::Stuck
        | JobState::Cancelled => false,
    };
    if !is_first || !is_due {
        return Err(wrong_state(job, "started"));
    }
    if job.attempts.is_empty()
        && let Some(database) = state.database(job.database)
        && !fits(&job.kind, database)
    {
        let error = JobError {
            code: JobErrorCode::DatabaseGone,
            detail: format!(
                "database `{}` is {} when the job's turn comes, so there is nothing to {}",
                database.name,
                database.state(),
                job.kind
            ),
        };
        let failed = JobFailed {
            job: id,
            database: job.database,
            error,
        };
        return Ok(vec![failed.into()]);
    }
    let started = JobStarted {
        job: id,
        database: job.database,
        attempt: job.attempt_count() + 1,
        deadline: job.deadline.unwrap_or(facts.now.after(time_limit)),
    };
    let mut events = vec![started.into()];
    events.extend(step.map(|step| step_started(job, step)));
    Ok(events)
}

/// Goes on with a step that an earlier boot was in. A step in which the gateway died too often
/// is not tried again.
pub(super) fn resume(state: &State, id: JobId, step: &StepName) -> Result<Vec<Event>, Refusal> {
    let job = unfinished(state, id)?;
    if job.state != JobState::Running || job.compensating {
        return Err(wrong_state(job, "resumed"));
    }
    let crashes = job.step.as_ref().map_or(0, |it| it.crashes);
    if crashes >= SUSPECT_CRASHES {
        let error = JobError {
            code: JobErrorCode::CrashedRepeatedly,
            detail: format!(
                "the gateway died in step `{step}` {} times in a row",
                crashes + 1
            ),
        };
        return Ok(begin_undoing(state, job, Some(error)));
    }
    Ok(vec![step_started(job, step)])
}

/// Admitted even when the queue is full.
pub(super) fn cancel(state: &State, id: JobId) -> Result<Vec<Event>, Refusal> {
    let job = unfinished(state, id)?;
    if job.compensating {
        return Err(wrong_state(job, "cancelled: it is being undone"));
    }
    match job.state {
        JobState::Queued => Ok(end_undone(state, job, None)),
        JobState::RetryWait => Ok(begin_undoing(state, job, None)),
        JobState::Running if job.cancel_requested => Ok(Vec::new()),
        JobState::Running => Ok(vec![
            JobCancelRequested {
                job: id,
                database: job.database,
            }
            .into(),
        ]),
        JobState::Succeeded | JobState::Failed | JobState::Stuck | JobState::Cancelled => {
            Err(wrong_state(job, "cancelled"))
        }
    }
}

pub(super) fn release(state: &State, id: JobId) -> Result<Vec<Event>, Refusal> {
    let job = unfinished(state, id)?;
    if job.state != JobState::Stuck {
        return Err(wrong_state(job, "released"));
    }
    Ok(vec![
        JobReleased {
            job: id,
            database: job.database,
        }
        .into(),
    ])
}

pub(super) fn unfinished(state: &State, id: JobId) -> Result<&Arc<Job>, Refusal> {
    state.job(id).ok_or(Refusal::JobNotFound(id))
}

pub(super) fn wrong_state(job: &Job, wanted: &'static str) -> Refusal {
    Refusal::JobState {
        job: job.id,
        state: job.state,
        wanted,
    }
}

pub(super) fn step_started(job: &Job, step: &StepName) -> Event {
    StepStarted {
        job: job.id,
        database: job.database,
        step: step.clone(),
    }
    .into()
}

/// Whether a job still makes sense when its turn comes: what was in front of it may have failed.
fn fits(kind: &JobKind, database: &Database) -> bool {
    match kind {
        JobKind::CreateDatabase => database.condition == Condition::Creating,
        JobKind::StopDatabase
        | JobKind::StartDatabase
        | JobKind::DeleteDatabase
        | JobKind::RestartWorker
        | JobKind::RepairWorker { .. } => {
            matches!(database.condition, Condition::Ready | Condition::Stopped)
        }
        JobKind::UndeleteDatabase => matches!(database.condition, Condition::Trashed { .. }),
        JobKind::PurgeDatabase => true,
    }
}
