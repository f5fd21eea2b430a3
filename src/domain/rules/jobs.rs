//! Rules for jobs as wholes: taking one up, going on after a crash, cancelling, releasing.
use super::steps::{begin_undoing, end_undone, has_no_way_back, out_of_time, stuck};
use crate::domain::command::DecisionContext;
use crate::domain::command::refusal::Refusal;
use crate::domain::event::{
    Event, JobCancelRequested, JobFailed, JobReleased, JobStarted, JobSucceeded, StepStarted,
};
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobError, JobErrorCode, JobState, SUSPECT_CRASHES, StepName};
use crate::domain::state::State;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn start(
    state: &State,
    id: JobId,
    step: Option<&StepName>,
    time_limit: Duration,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    let job = unfinished(state, id)?;
    let is_first = state.queue_position(job) == Some(0);
    if !is_first || !job.may_begin(context.now) {
        return Err(wrong_state(job, "started"));
    }
    let untried = state.database(job.database);
    let untried = untried.filter(|_| job.attempts.is_empty());
    if untried.is_some_and(|it| job.kind.row().is_done_at == Some(it.condition)) {
        let succeeded = JobSucceeded {
            job: id,
            database: job.database,
        };
        return Ok(vec![succeeded.into()]);
    }
    if let Some(database) = untried
        && !(job.kind.row().fits)(database.condition)
    {
        let error = JobError {
            code: JobErrorCode::DatabaseGone,
            detail: format!(
                "database `{}` is {}, so `{}` no longer applies",
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
    let turns_round = !job.compensating && !has_no_way_back(state, job);
    let is_late = turns_round && job.deadline.is_some_and(|deadline| deadline < context.now);
    if let Some(last) = job.attempts.last().filter(|_| is_late) {
        return Ok(begin_undoing(
            state,
            job,
            last.error.as_ref().map(out_of_time),
        ));
    }
    let started = JobStarted {
        job: id,
        database: job.database,
        attempt: job.attempt_count() + 1,
        // One further ahead was chosen by a clock that has been set back since.
        deadline: (job
            .deadline
            .filter(|deadline| deadline.since(context.now) <= time_limit))
        .unwrap_or(context.now.after(time_limit)),
    };
    let mut events = vec![started.into()];
    events.extend(step.map(|step| step_started(job, step)));
    Ok(events)
}

/// Goes on with a step that an earlier boot was in, or was undoing. A step in which the gateway
/// died too often is not tried again; one that cannot be undone waits for a person.
pub(super) fn resume(state: &State, id: JobId, step: &StepName) -> Result<Vec<Event>, Refusal> {
    let job = unfinished(state, id)?;
    if job.state != JobState::Running {
        return Err(wrong_state(job, "resumed"));
    }
    let crashes = job.step.as_ref().map_or(0, |it| it.crashes);
    if crashes >= SUSPECT_CRASHES {
        let error = JobError {
            code: JobErrorCode::CrashedRepeatedly,
            detail: format!(
                "the gateway died {} step `{step}` {} times in a row",
                if job.compensating { "undoing" } else { "in" },
                crashes + 1
            ),
        };
        if job.compensating || has_no_way_back(state, job) {
            return Ok(stuck(state, job, error));
        }
        return Ok(begin_undoing(state, job, Some(error)));
    }
    Ok(vec![step_started(job, step)])
}

/// Admitted even when the queue is full.
pub(super) fn cancel(state: &State, id: JobId) -> Result<Vec<Event>, Refusal> {
    let job = unfinished(state, id)?;
    if job.compensating {
        return Err(wrong_state(job, "cancelled: it is rolling back"));
    }
    if has_no_way_back(state, job) {
        return Err(Refusal::NoWayBack(id));
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
    if !matches!(job.state, JobState::Stuck | JobState::RetryWait) {
        return Err(wrong_state(job, "retried now"));
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

#[cfg(test)]
mod tests {
    use super::super::scenario::{Scenario, step};
    use super::*;
    use crate::domain::command::Command;
    use crate::domain::database::DatabaseState;
    use crate::domain::event::EventKind;
    use crate::domain::job::StepOutcome;
    use crate::domain::verb::Verb;

    #[test]
    fn a_database_runs_one_job_at_a_time_in_order_of_arrival() {
        let mut forge = Scenario::new();
        let database = forge.ready("shop");
        forge.when(Verb::Stop.on(database)).unwrap();
        forge.when(Verb::Start.on(database)).unwrap();
        let second = forge.state.database(database).unwrap().queue[1].id;
        let refused = forge.when(Command::StartJob {
            job: second,
            step: Some(step("probe")),
            time_limit: Duration::from_secs(1),
        });
        assert!(matches!(refused, Err(Refusal::JobState { .. })));
        forge.run(database, &[("close", StepOutcome::Stopped)]);
        assert_eq!(forge.find("shop").state(), DatabaseState::Stopped);
        forge.run(database, &[("open", StepOutcome::Started)]);
        assert_eq!(forge.find("shop").state(), DatabaseState::Ready);
    }

    #[test]
    fn a_cancelled_creation_that_never_ran_is_gone_at_once() {
        let mut forge = Scenario::new();
        let database = forge.requested("shop");
        forge.when(Verb::Stop.on(database)).unwrap();
        let job = forge.first_job(database);
        let happened = forge.when(Command::CancelJob { job }).unwrap();
        assert_eq!(
            happened,
            [
                EventKind::JobCancelled,
                EventKind::JobFailed,
                EventKind::DatabaseAbandoned
            ]
        );
        assert_eq!(forge.state.jobs().count(), 0);
    }

    #[test]
    fn a_running_job_is_cancelled_at_its_next_step() {
        let mut forge = Scenario::new();
        let database = forge.ready("shop");
        forge.when(Verb::Delete.on(database)).unwrap();
        let job = forge.begin(database, "remove_worker");
        let happened = forge.when(Command::CancelJob { job }).unwrap();
        assert_eq!(happened, [EventKind::JobCancelRequested]);
        assert_eq!(
            forge.when(Command::CancelJob { job }),
            Ok(vec![]),
            "twice is the same as once"
        );
        let happened = forge.when(Command::FinishStep {
            job,
            step: step("remove_worker"),
            outcome: StepOutcome::WorkerRemoved,
            next: Some(step("move_to_trash")),
        });
        assert_eq!(
            happened.unwrap(),
            [EventKind::StepFinished, EventKind::JobCompensating]
        );
    }

    #[test]
    fn a_job_ends_whose_database_is_not_what_it_needs_when_its_turn_comes() {
        let mut forge = Scenario::new();
        let database = forge.trashed("shop");
        forge.when(Verb::Undelete.on(database)).unwrap();
        forge.when(Verb::Stop.on(database)).unwrap();
        let job = forge.first_job(database);
        forge.when(Command::CancelJob { job }).unwrap();
        let behind = forge.first_job(database);
        let happened = forge.when(Command::StartJob {
            job: behind,
            step: Some(step("close")),
            time_limit: Duration::from_secs(1),
        });
        assert_eq!(happened.unwrap(), [EventKind::JobFailed]);
        assert_eq!(forge.find("shop").state(), DatabaseState::Trashed);
    }

    #[test]
    fn a_start_whose_stop_was_cancelled_has_nothing_to_do_and_nothing_to_undo() {
        let mut forge = Scenario::new();
        let database = forge.ready("shop");
        forge.when(Verb::Stop.on(database)).unwrap();
        forge.when(Verb::Start.on(database)).unwrap();
        let stop = forge.first_job(database);
        forge.when(Command::CancelJob { job: stop }).unwrap();
        let happened = forge.when(Command::StartJob {
            job: forge.first_job(database),
            step: Some(step("probe")),
            time_limit: Duration::from_secs(1),
        });
        assert_eq!(happened, Ok(vec![EventKind::JobSucceeded]));
        assert_eq!(forge.find("shop").state(), DatabaseState::Ready);
    }

    #[test]
    fn a_stopped_database_gets_no_worker_by_a_restart_whose_start_was_cancelled() {
        let mut forge = Scenario::new();
        let database = forge.ready("shop");
        forge.when(Verb::Stop.on(database)).unwrap();
        forge.run(database, &[("close", StepOutcome::Stopped)]);
        forge.when(Verb::Start.on(database)).unwrap();
        forge.when(Verb::Restart.on(database)).unwrap();
        let start = forge.first_job(database);
        forge.when(Command::CancelJob { job: start }).unwrap();
        let happened = forge.when(Command::StartJob {
            job: forge.first_job(database),
            step: Some(step("remove_worker")),
            time_limit: Duration::from_secs(1),
        });
        assert_eq!(happened, Ok(vec![EventKind::JobFailed]));
    }

    #[test]
    fn a_step_that_the_gateway_keeps_dying_in_is_given_up() {
        let mut forge = Scenario::new();
        let database = forge.requested("shop");
        let job = forge.begin(database, "reserve_folder");
        let resume = Command::ResumeJob {
            job,
            step: step("reserve_folder"),
        };
        for crash in 1..=SUSPECT_CRASHES {
            let happened = forge.when(resume.clone()).unwrap();
            assert_eq!(happened, [EventKind::StepStarted], "{crash}");
        }
        let happened = forge.when(resume).unwrap();
        assert_eq!(happened, [EventKind::JobCompensating]);
    }
}
