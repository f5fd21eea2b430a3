//! Rules for the steps of a job: what their ends bring about, when they are retried or undone.
use super::followers::end_followers;
use super::jobs::{step_started, unfinished, wrong_state};
use super::loads;
use crate::domain::command::DecisionContext;
use crate::domain::command::refusal::Refusal;
use crate::domain::database::{Condition, Database};
use crate::domain::event::{
    DatabaseAbandoned, DatabasePurged, DatabaseReady, DatabaseSetAside, DatabaseStarted,
    DatabaseStopped, DatabaseTrashed, DatabaseUndeleted, Event, EventKind, JobCancelled,
    JobCompensating, JobFailed, JobRetryScheduled, JobStuck, JobSucceeded, StepFinished,
    StepUndone, WorkerRemoved, WorkerStarted,
};
use crate::domain::ids::{DatabaseId, JobId};
use crate::domain::job::{Job, JobError, JobErrorCode, JobKind, JobState, StepName, StepOutcome};
use crate::domain::state::State;
use std::sync::Arc;
use std::time::Duration;

/// Attempts at a job, and at undoing it, before it is given up. A container runtime that is away
/// and a want of file descriptors do not count: then only the job's deadline ends the waiting.
const MAX_ATTEMPTS: u32 = 5;
/// The wait after the first failure; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_millis(500);

pub(super) fn finish(
    state: &State,
    id: JobId,
    step: &StepName,
    outcome: &StepOutcome,
    next: Option<&StepName>,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    let job = unfinished(state, id)?;
    let is_running = job
        .step
        .as_ref()
        .is_some_and(|running| running.name == *step);
    if job.state != JobState::Running || !is_running {
        return Err(wrong_state(job, "continued: that step is not running"));
    }
    let finished = StepFinished {
        job: id,
        database: job.database,
        step: step.clone(),
        outcome: outcome.clone(),
    };
    let mut events = vec![finished.into()];
    let turns_round = job.cancel_requested && next.is_some();
    // What is undone at once never had this effect: what was set aside goes back.
    if !(turns_round && *outcome == StepOutcome::SetAside) {
        events.extend(effects(state, job, outcome, context));
    }
    match next {
        Some(_) if turns_round => events.push(compensating(job, None)),
        Some(next) => events.push(step_started(job, next)),
        None => events.push(
            JobSucceeded {
                job: id,
                database: job.database,
            }
            .into(),
        ),
    }
    Ok(events)
}

pub(super) fn fail(
    state: &State,
    id: JobId,
    error: &JobError,
    transient: bool,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    let job = unfinished(state, id)?;
    if job.state != JobState::Running {
        return Err(wrong_state(job, "failed"));
    }
    let is_waited_for = matches!(
        error.code,
        JobErrorCode::RuntimeUnavailable | JobErrorCode::Overloaded
    );
    if has_no_way_back(state, job) {
        // Nothing brings back what is gone, so the rest goes, too, however long that takes.
        return Ok(if transient || is_waited_for {
            vec![retry(job, error, job.attempt_count(), context)]
        } else {
            stuck(state, job, error.clone())
        });
    }
    if job.compensating {
        // Giving up here would leave something behind, so what passes by itself is waited for.
        let passes =
            is_waited_for || error.code == JobErrorCode::DiskFull || error.code.never_gives_up();
        let may_retry = passes || (transient && job.undo_failures + 1 < MAX_ATTEMPTS);
        return Ok(if may_retry {
            vec![retry(job, error, job.undo_failures + 1, context)]
        } else {
            stuck(state, job, error.clone())
        });
    }
    let attempts = job.attempt_count();
    if error.code.never_gives_up() {
        return Ok(vec![retry(job, error, attempts, context)]);
    }
    if job.cancel_requested {
        return Ok(begin_undoing(state, job, None));
    }
    if !transient || (attempts >= MAX_ATTEMPTS && !is_waited_for) {
        return Ok(begin_undoing(state, job, Some(error.clone())));
    }
    let pause = back_off(attempts, error.code, context.jitter_permille);
    let retry_at = context.now.after(pause);
    Ok(
        if job.deadline.is_some_and(|deadline| deadline < retry_at) {
            begin_undoing(state, job, Some(out_of_time(error)))
        } else {
            vec![retry(job, error, attempts, context)]
        },
    )
}

/// Whether a job has removed what nothing brings back: from then on it only goes forward.
pub(super) fn has_no_way_back(state: &State, job: &Job) -> bool {
    let database = state.database(job.database);
    job.kind == JobKind::PurgeDatabase
        && database.is_some_and(|database| database.condition == Condition::Purging)
}

/// The end of a job that might have come to a good one with more time.
pub(super) fn out_of_time(last: &JobError) -> JobError {
    JobError {
        code: last.code,
        detail: format!(
            "{}; no time for another attempt before the job's deadline",
            last.detail
        ),
    }
}

pub(super) fn finish_undo(
    state: &State,
    id: JobId,
    step: &StepName,
    outcome: &StepOutcome,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    let job = unfinished(state, id)?;
    let is_last = job.begun_steps.last() == Some(step);
    if job.state != JobState::Running || !job.compensating || !is_last {
        return Err(wrong_state(job, "rolled back: that step is not its last"));
    }
    let undone = StepUndone {
        job: id,
        database: job.database,
        step: step.clone(),
    };
    let mut events = vec![undone.into()];
    events.extend(effects(state, job, outcome, context));
    if job.begun_steps.len() == 1 {
        let ended = end_undone(state, job, job.error.clone());
        // Data that was written before the creation failed is in the trash now.
        let kept = *outcome == StepOutcome::Trashed;
        events.extend(
            ended
                .into_iter()
                .filter(|it| !kept || it.kind() != EventKind::DatabaseAbandoned),
        );
    }
    Ok(events)
}

/// Turns a job round; where nothing has begun, it ends at once.
pub(super) fn begin_undoing(state: &State, job: &Job, error: Option<JobError>) -> Vec<Event> {
    let mut events = vec![compensating(job, error.clone())];
    if job.begun_steps.is_empty() {
        events.extend(end_undone(state, job, error));
    }
    events
}

/// Ends a job of which nothing is left. A database whose creation ends so is gone, and with it
/// what waited in its queue.
pub(super) fn end_undone(state: &State, job: &Job, error: Option<JobError>) -> Vec<Event> {
    let (id, database) = (job.id, job.database);
    let mut events = vec![match error {
        Some(error) => JobFailed {
            job: id,
            database,
            error,
        }
        .into(),
        None => JobCancelled { job: id, database }.into(),
    }];
    if job.kind.creates() {
        events.extend(end_queue_behind(state, job.id, database));
        events.push(DatabaseAbandoned { database }.into());
    }
    let stays = |it: &&Arc<Database>| it.is_living() && !it.is_leaving_without(id);
    if let Some(database) = state.database(database).filter(stays)
        && job.kind.row().frees_name
    {
        events.extend(end_followers(state, database));
    }
    events
}

pub(super) fn end_queue_behind(state: &State, job: JobId, database: DatabaseId) -> Vec<Event> {
    let Some(database) = state.database(database) else {
        return Vec::new();
    };
    let behind = database.queue.iter().filter(|it| it.id != job);
    behind
        .map(|it| {
            if it.kind.row().frees_name {
                return JobSucceeded {
                    job: it.id,
                    database: database.id,
                }
                .into();
            }
            JobFailed {
                job: it.id,
                database: database.id,
                error: JobError {
                    code: JobErrorCode::DatabaseGone,
                    detail: format!("database `{}` could not be created", database.name),
                },
            }
            .into()
        })
        .collect()
}

/// What a step's outcome means for its database, and for one that it puts into the trash.
fn effects(
    state: &State,
    job: &Job,
    outcome: &StepOutcome,
    context: &DecisionContext,
) -> Vec<Event> {
    if matches!(outcome, StepOutcome::Loaded { .. }) {
        return loads::loaded(state, job, context);
    }
    if *outcome == StepOutcome::Exchanged {
        return loads::exchanged(job);
    }
    effect(state, job, outcome, context).into_iter().collect()
}

/// What any other outcome means for the job's database.
fn effect(
    state: &State,
    job: &Job,
    outcome: &StepOutcome,
    context: &DecisionContext,
) -> Option<Event> {
    let database = state.database(job.database)?;
    let id = database.id;
    Some(match outcome {
        StepOutcome::Nothing
        | StepOutcome::Loaded { .. }
        | StepOutcome::Exchanged
        | StepOutcome::Imported { .. } => return None,
        StepOutcome::FilesCreated if database.condition == Condition::Creating => {
            DatabaseReady { database: id }.into()
        }
        StepOutcome::FilesCreated => return None,
        StepOutcome::WorkerStarted { worker } => WorkerStarted {
            database: id,
            worker: worker.clone(),
        }
        .into(),
        StepOutcome::WorkerRemoved if database.worker.is_some() => {
            WorkerRemoved { database: id }.into()
        }
        StepOutcome::WorkerRemoved => return None,
        StepOutcome::Stopped if database.condition == Condition::Ready => {
            DatabaseStopped { database: id }.into()
        }
        StepOutcome::Stopped => return None,
        StepOutcome::Started if database.condition == Condition::Stopped => {
            DatabaseStarted { database: id }.into()
        }
        StepOutcome::Started => return None,
        StepOutcome::Trashed if database.is_living() => DatabaseTrashed {
            database: id,
            purge_at: context.now.after(context.trash_retention),
        }
        .into(),
        StepOutcome::Trashed => return None,
        StepOutcome::Undeleted if !database.is_living() => DatabaseUndeleted {
            database: id,
            dns_label: state.free_dns_label(&database.name),
        }
        .into(),
        StepOutcome::Undeleted => return None,
        StepOutcome::SetAside => DatabaseSetAside { database: id }.into(),
        StepOutcome::Purged => DatabasePurged { database: id }.into(),
    })
}

fn compensating(job: &Job, error: Option<JobError>) -> Event {
    JobCompensating {
        job: job.id,
        database: job.database,
        error,
    }
    .into()
}

/// Leaves a job to an operator; commands that wait for the deletion of its database stop waiting.
pub(super) fn stuck(state: &State, job: &Job, error: JobError) -> Vec<Event> {
    let stuck = JobStuck {
        job: job.id,
        database: job.database,
        error,
    };
    let mut events = vec![stuck.into()];
    if let Some(database) = state.database(job.database) {
        events.extend(end_followers(state, database));
    }
    events
}

fn retry(job: &Job, error: &JobError, failures: u32, context: &DecisionContext) -> Event {
    JobRetryScheduled {
        job: job.id,
        database: job.database,
        error: error.clone(),
        retry_at: context
            .now
            .after(back_off(failures, error.code, context.jitter_permille)),
    }
    .into()
}

/// The wait after the given number of failures: doubling, bounded, and spread over half to one and
/// a half of itself, so that jobs which failed together do not return together.
fn back_off(failures: u32, code: JobErrorCode, jitter_permille: u16) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(code.longest_retry()) * (500 + u32::from(jitter_permille)) / 1000
}

#[cfg(test)]
mod tests;
