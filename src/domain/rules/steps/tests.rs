//! Given events, when a command, then events or a refusal.
use super::*;
use crate::clock::timestamp::Timestamp;
use crate::domain::command::Command;
use crate::domain::database::DatabaseState;
use crate::domain::rules::scenario::{Scenario, create, step, trouble};
use crate::domain::verb::Verb;

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
    forge.when(Verb::Delete.on(database)).unwrap();
    let job = forge.begin(database, "remove_worker");
    fail(&mut forge, job, false);
    assert_eq!(fail(&mut forge, job, false), [EventKind::JobStuck]);
    assert_eq!(forge.find("shop").state(), DatabaseState::Failed);
    let refused = forge.when(Verb::Stop.on(database));
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
    forge.when(Verb::Purge.on(database)).unwrap();
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
    forge.when(Verb::Purge.on(database)).unwrap();
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
