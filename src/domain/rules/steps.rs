//! Rules for the steps of a job: what their ends bring about, when they are retried or undone.
use super::followers::end_followers;
use super::jobs::{step_started, unfinished, wrong_state};
use crate::domain::command::Facts;
use crate::domain::database::{Condition, Database};
use crate::domain::event::{
    DatabaseAbandoned, DatabasePurged, DatabaseReady, DatabaseSetAside, DatabaseStarted,
    DatabaseStopped, DatabaseTrashed, DatabaseUndeleted, Event, EventKind, JobCancelled,
    JobCompensating, JobFailed, JobRetryScheduled, JobStuck, JobSucceeded, StepFinished,
    StepUndone, WorkerRemoved, WorkerStarted,
};
use crate::domain::ids::{DatabaseId, JobId};
use crate::domain::job::{Job, JobError, JobErrorCode, JobKind, JobState, StepName, StepOutcome};
use crate::domain::refusal::Refusal;
use crate::domain::state::State;
use std::sync::Arc;
use std::time::Duration;

/// Attempts at a job, and at undoing it, before it is given up. An engine that is away and a want
/// of file descriptors do not count: then only the job's deadline ends the waiting.
const MAX_ATTEMPTS: u32 = 5;
/// The wait after the first failure; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_millis(500);

pub(super) fn finish(
    state: &State,
    id: JobId,
    step: &StepName,
    outcome: &StepOutcome,
    next: Option<&StepName>,
    facts: &Facts,
) -> Result<Vec<Event>, Refusal> {
    let job = unfinished(state, id)?;
    let is_running = job.step.as_ref().is_some_and(|it| it.name == *step);
    if job.state != JobState::Running || !is_running {
        return Err(wrong_state(job, "moved on: that step is not running"));
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
        events.extend(effect(state, job, outcome, facts));
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
    facts: &Facts,
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
            vec![retry(job, error, job.attempt_count(), facts)]
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
            vec![retry(job, error, job.undo_failures + 1, facts)]
        } else {
            stuck(state, job, error.clone())
        });
    }
    let attempts = job.attempt_count();
    if error.code.never_gives_up() {
        return Ok(vec![retry(job, error, attempts, facts)]);
    }
    if job.cancel_requested {
        return Ok(begin_undoing(state, job, None));
    }
    if !transient || (attempts >= MAX_ATTEMPTS && !is_waited_for) {
        return Ok(begin_undoing(state, job, Some(error.clone())));
    }
    let pause = back_off(attempts, error.code, facts.jitter_permille);
    let retry_at = facts.now.after(pause);
    Ok(if job.deadline.is_some_and(|it| it < retry_at) {
        begin_undoing(state, job, Some(out_of_time(error)))
    } else {
        vec![retry(job, error, attempts, facts)]
    })
}

/// Whether a job has removed what nothing brings back: from then on it only goes forward.
pub(super) fn has_no_way_back(state: &State, job: &Job) -> bool {
    let database = state.database(job.database);
    job.kind == JobKind::PurgeDatabase
        && database.is_some_and(|it| it.condition == Condition::Purging)
}

/// The end of a job that might have come to a good one with more time.
pub(super) fn out_of_time(last: &JobError) -> JobError {
    JobError {
        code: last.code,
        detail: format!(
            "{}; the job's deadline leaves no time for another attempt",
            last.detail
        ),
    }
}

pub(super) fn finish_undo(
    state: &State,
    id: JobId,
    step: &StepName,
    outcome: &StepOutcome,
    facts: &Facts,
) -> Result<Vec<Event>, Refusal> {
    let job = unfinished(state, id)?;
    let is_last = job.begun_steps.last() == Some(step);
    if job.state != JobState::Running || !job.compensating || !is_last {
        return Err(wrong_state(job, "undone: that step is not its last"));
    }
    let undone = StepUndone {
        job: id,
        database: job.database,
        step: step.clone(),
    };
    let mut events = vec![undone.into()];
    events.extend(effect(state, job, outcome, facts));
    if job.begun_steps.len() == 1 {
        let ended = end_undone(state, job, job.error.clone());
        // What somebody wrote before the creation failed lies in the trash now.
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
    if job.kind == JobKind::CreateDatabase {
        events.extend(end_queue_behind(state, job.id, database));
        events.push(DatabaseAbandoned { database }.into());
    }
    let deletes = matches!(job.kind, JobKind::DeleteDatabase | JobKind::PurgeDatabase);
    let stays = |it: &&Arc<Database>| it.is_living() && !it.is_leaving_without(id);
    if let Some(database) = state.database(database).filter(stays).filter(|_| deletes) {
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
        .map(|it| match it.kind {
            JobKind::DeleteDatabase | JobKind::PurgeDatabase => JobSucceeded {
                job: it.id,
                database: database.id,
            }
            .into(),
            JobKind::CreateDatabase
            | JobKind::StopDatabase
            | JobKind::StartDatabase
            | JobKind::UndeleteDatabase
            | JobKind::RestartWorker
            | JobKind::RepairWorker { .. } => JobFailed {
                job: it.id,
                database: database.id,
                error: JobError {
                    code: JobErrorCode::DatabaseGone,
                    detail: format!("database `{}` could not be created", database.name),
                },
            }
            .into(),
        })
        .collect()
}

/// What a step's outcome means for its database.
fn effect(state: &State, job: &Job, outcome: &StepOutcome, facts: &Facts) -> Option<Event> {
    let database = state.database(job.database)?;
    let id = database.id;
    Some(match outcome {
        StepOutcome::Nothing => return None,
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
            purge_at: facts.now.after(facts.trash_retention),
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

/// Leaves a job to a person; what waits for its database to be gone does not wait for that.
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

fn retry(job: &Job, error: &JobError, failures: u32, facts: &Facts) -> Event {
    JobRetryScheduled {
        job: job.id,
        database: job.database,
        error: error.clone(),
        retry_at: facts
            .now
            .after(back_off(failures, error.code, facts.jitter_permille)),
    }
    .into()
}

/// The wait after so many failures: doubling, bounded, and spread over half to one and a half of
/// itself, so that jobs which failed together do not return together.
fn back_off(failures: u32, code: JobErrorCode, jitter_permille: u16) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(code.longest_retry()) * (500 + u32::from(jitter_permille)) / 1000
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{Scenario, create, step, trouble};
    use super::*;
    use crate::clock::timestamp::Timestamp;
    use crate::domain::command::Command;
    use crate::domain::database::DatabaseState;

    const LONGEST_RETRY: Duration = Duration::from_secs(30);
    const AWAY: JobErrorCode = JobErrorCode::RuntimeUnavailable;

    fn fail(forge: &mut Scenario, job: JobId, transient: bool) -> Vec<EventKind> {
        let error = trouble(JobErrorCode::Internal);
        forge
            .when(Command::FailStep {
                job,
                error,
                transient,
            })
            .unwrap()
    }

    fn undo(forge: &mut Scenario, job: JobId, name: &str, outcome: StepOutcome) -> Vec<EventKind> {
        let step = step(name);
        forge
            .when(Command::FinishUndo { job, step, outcome })
            .unwrap()
    }

    #[test]
    fn a_failed_creation_frees_the_name_once_it_is_undone() {
        let mut forge = Scenario::new();
        let database = forge.requested("shop");
        let job = forge.begin(database, "reserve_folder");
        assert_eq!(fail(&mut forge, job, false), [EventKind::JobCompensating]);
        assert!(
            forge.when(create("shop")).is_err(),
            "something is left of it"
        );
        let happened = undo(&mut forge, job, "reserve_folder", StepOutcome::Nothing);
        assert_eq!(
            happened,
            [
                EventKind::StepUndone,
                EventKind::JobFailed,
                EventKind::DatabaseAbandoned
            ]
        );
        assert!(forge.state.database(database).is_none());
        assert!(forge.when(create("shop")).is_ok());
    }

    #[test]
    fn a_failed_creation_keeps_what_was_written_in_the_trash() {
        let mut forge = Scenario::new();
        let database = forge.requested("shop");
        let job = forge.begin(database, "create_file");
        forge
            .when(Command::FinishStep {
                job,
                step: step("create_file"),
                outcome: StepOutcome::FilesCreated,
                next: Some(step("ensure_worker")),
            })
            .unwrap();
        fail(&mut forge, job, false);
        undo(&mut forge, job, "ensure_worker", StepOutcome::WorkerRemoved);
        let happened = undo(&mut forge, job, "create_file", StepOutcome::Trashed);
        assert_eq!(
            happened,
            [
                EventKind::StepUndone,
                EventKind::DatabaseTrashed,
                EventKind::JobFailed
            ]
        );
        assert_eq!(forge.find("shop").state(), DatabaseState::Trashed);
    }

    #[test]
    fn transient_failures_are_retried_a_bounded_number_of_times() {
        let mut forge = Scenario::new();
        let database = forge.requested("shop");
        for attempt in 1..MAX_ATTEMPTS {
            let job = forge.begin(database, "reserve_folder");
            let happened = fail(&mut forge, job, true);
            assert_eq!(happened, [EventKind::JobRetryScheduled], "{attempt}");
            forge.now = forge.now.after(LONGEST_RETRY * 2);
        }
        let job = forge.begin(database, "reserve_folder");
        assert_eq!(fail(&mut forge, job, true), [EventKind::JobCompensating]);
    }

    #[test]
    fn what_passes_by_itself_is_waited_for_until_the_deadline() {
        for code in [JobErrorCode::RuntimeUnavailable, JobErrorCode::Overloaded] {
            let mut forge = Scenario::new();
            let database = forge.requested("shop");
            let mut attempts = 0;
            loop {
                let job = forge.begin(database, "ensure_worker");
                attempts += 1;
                let error = trouble(code);
                let transient = true;
                let happened = forge.when(Command::FailStep {
                    job,
                    error,
                    transient,
                });
                if happened.unwrap() == [EventKind::JobCompensating] {
                    break;
                }
                forge.now = forge.now.after(LONGEST_RETRY * 2);
            }
            assert!(attempts > MAX_ATTEMPTS, "{code:?}: {attempts}");
            assert!(forge.now >= Timestamp::from_millis(600_000));
        }
    }

    #[test]
    fn a_retry_waits_for_its_time() {
        let mut forge = Scenario::new();
        let database = forge.requested("shop");
        let job = forge.begin(database, "reserve_folder");
        fail(&mut forge, job, true);
        let start = Command::StartJob {
            job,
            step: Some(step("reserve_folder")),
            time_limit: Duration::from_secs(1),
        };
        assert!(forge.when(start.clone()).is_err());
        forge.now = forge.now.after(LONGEST_RETRY);
        assert!(forge.when(start).is_ok());
    }

    #[test]
    fn a_job_whose_undoing_fails_is_stuck_until_a_person_releases_it() {
        let mut forge = Scenario::new();
        let database = forge.ready("shop");
        forge.when(Command::DeleteDatabase { database }).unwrap();
        let job = forge.begin(database, "remove_worker");
        fail(&mut forge, job, false);
        assert_eq!(fail(&mut forge, job, false), [EventKind::JobStuck]);
        assert_eq!(forge.find("shop").state(), DatabaseState::Failed);
        let refused = forge.when(Command::StopDatabase { database });
        assert!(matches!(refused, Err(Refusal::DatabaseStuck { .. })));
        forge.when(Command::ReleaseJob { job }).unwrap();
        forge.begin(database, "remove_worker");
        let happened = undo(
            &mut forge,
            job,
            "remove_worker",
            StepOutcome::WorkerStarted { worker: "w".into() },
        );
        assert_eq!(
            happened,
            [
                EventKind::StepUndone,
                EventKind::WorkerStarted,
                EventKind::JobFailed
            ]
        );
        assert_eq!(forge.find("shop").state(), DatabaseState::Ready);
    }

    #[test]
    fn a_job_that_is_late_fails_with_its_trouble_and_says_so() {
        let mut forge = Scenario::new();
        let database = forge.requested("shop");
        let job = forge.begin(database, "reserve_folder");
        assert_eq!(fail(&mut forge, job, true), [EventKind::JobRetryScheduled]);
        forge.now = forge.now.after(Duration::from_secs(601));
        let start = Command::StartJob {
            job,
            step: Some(step("reserve_folder")),
            time_limit: Duration::from_secs(600),
        };
        assert_eq!(forge.when(start), Ok(vec![EventKind::JobCompensating]));
        let late = forge.state.job(job).unwrap();
        assert_eq!(late.attempts.len(), 1, "no further attempt began");
        let error = late.error.as_ref().unwrap();
        assert_eq!(error.code, JobErrorCode::Internal);
        assert!(error.detail.contains("deadline"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn back_off_is_bounded_spread_and_never_falls(failures in 1u32..10_000, jitter in 0u16..1000) {
            let wait = back_off(failures, AWAY, jitter);
            proptest::prop_assert!(wait >= FIRST_RETRY / 2);
            proptest::prop_assert!(wait < LONGEST_RETRY * 3 / 2);
            proptest::prop_assert!(wait <= back_off(failures + 1, AWAY, jitter));
            proptest::prop_assert!(wait <= back_off(failures, AWAY, jitter + 1));
        }
    }

    #[test]
    fn the_wait_that_was_chosen_is_in_the_event() {
        let mut forge = Scenario::new();
        let database = forge.requested("shop");
        let job = forge.begin(database, "reserve_folder");
        fail(&mut forge, job, true);
        let retry_at = forge.state.job(job).unwrap().retry_at;
        assert_eq!(retry_at, Some(forge.now.after(FIRST_RETRY)));
    }

    #[test]
    fn back_off_doubles_within_its_bound_and_is_spread() {
        assert_eq!(back_off(1, AWAY, 500), FIRST_RETRY);
        assert_eq!(back_off(3, AWAY, 500), FIRST_RETRY * 4);
        assert_eq!(back_off(40, AWAY, 500), LONGEST_RETRY);
        assert_eq!(back_off(1, AWAY, 0), FIRST_RETRY / 2);
    }

    /// A purge whose files are set aside.
    fn purging(forge: &mut Scenario) -> (DatabaseId, JobId) {
        let database = forge.ready("shop");
        forge.when(Command::PurgeDatabase { database }).unwrap();
        let job = forge.begin(database, "set_aside");
        let finish = Command::FinishStep {
            job,
            step: step("set_aside"),
            outcome: StepOutcome::SetAside,
            next: Some(step("purge")),
        };
        let happened = forge.when(finish).unwrap();
        assert_eq!(
            happened,
            [
                EventKind::StepFinished,
                EventKind::DatabaseSetAside,
                EventKind::StepStarted
            ]
        );
        (database, job)
    }

    #[test]
    fn from_the_first_removal_on_a_purge_only_goes_forward() {
        let mut forge = Scenario::new();
        let (database, job) = purging(&mut forge);
        assert!(matches!(
            forge.when(Command::CancelJob { job }),
            Err(Refusal::NoWayBack(_))
        ));
        for _ in 0..4 * MAX_ATTEMPTS {
            assert_eq!(forge.find("shop").state(), DatabaseState::Purging);
            let error = trouble(JobErrorCode::FileNotRemoved);
            let transient = true;
            let failed = Command::FailStep {
                job,
                error,
                transient,
            };
            assert_eq!(forge.when(failed), Ok(vec![EventKind::JobRetryScheduled]));
            let retry_at = forge.state.job(job).unwrap().retry_at.unwrap();
            assert!(retry_at.since(forge.now) <= Duration::from_secs(450));
            forge.now = forge.now.after(Duration::from_secs(450));
            assert_eq!(forge.begin(database, "purge"), job);
        }
        let new = forge.ready("shop");
        assert_eq!(forge.find("shop").id, new, "its name is free meanwhile");
        let finish = Command::FinishStep {
            job,
            step: step("purge"),
            outcome: StepOutcome::Purged,
            next: None,
        };
        forge.when(finish).unwrap();
        assert!(forge.state.database(database).is_none());
        assert_eq!(forge.find("shop").id, new);
    }

    #[test]
    fn a_purge_that_keeps_killing_the_gateway_is_stuck_and_goes_on_when_released() {
        let mut forge = Scenario::new();
        let (database, job) = purging(&mut forge);
        let resume = Command::ResumeJob {
            job,
            step: step("purge"),
        };
        while forge.when(resume.clone()).unwrap() == [EventKind::StepStarted] {}
        assert_eq!(forge.find("shop").state(), DatabaseState::Failed);
        forge.when(Command::ReleaseJob { job }).unwrap();
        forge.begin(database, "purge");
        assert_eq!(forge.find("shop").state(), DatabaseState::Purging);
        assert_eq!(fail(&mut forge, job, false), [EventKind::JobStuck]);
    }

    #[test]
    fn a_purge_that_is_cancelled_before_the_first_removal_brings_everything_back() {
        let mut forge = Scenario::new();
        let database = forge.ready("shop");
        forge.when(Command::PurgeDatabase { database }).unwrap();
        let job = forge.begin(database, "set_aside");
        forge.when(Command::CancelJob { job }).unwrap();
        let finish = Command::FinishStep {
            job,
            step: step("set_aside"),
            outcome: StepOutcome::SetAside,
            next: Some(step("purge")),
        };
        let happened = forge.when(finish).unwrap();
        assert_eq!(
            happened,
            [EventKind::StepFinished, EventKind::JobCompensating]
        );
        undo(&mut forge, job, "set_aside", StepOutcome::Nothing);
        assert_eq!(forge.find("shop").state(), DatabaseState::Ready);
    }

    #[test]
    fn a_retry_does_not_wait_for_hours_after_the_clock_was_set_back() {
        let mut forge = Scenario::new();
        let day = Duration::from_secs(86_400);
        forge.now = forge.now.after(day);
        let database = forge.requested("shop");
        let job = forge.begin(database, "reserve_folder");
        fail(&mut forge, job, true);
        forge.now = Timestamp::from_millis(1_000);
        forge.begin(database, "reserve_folder");
        let deadline = forge.state.job(job).unwrap().deadline.unwrap();
        assert_eq!(deadline.since(forge.now), Duration::from_secs(600));
        fail(&mut forge, job, true);
        let retry_at = forge.state.job(job).unwrap().retry_at.unwrap();
        assert_eq!(retry_at.since(forge.now), FIRST_RETRY * 2);
    }
}
