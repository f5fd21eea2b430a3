//! A job that does not reach its end leaves what was there before it began, whichever step it
//! failed in, however often that was undone, whenever the gateway died meanwhile.
use super::stories::{STORIES, ask, assert_consistent, outcome, told, work_without_record};
use crate::support::test_forge::TestForge;
use dbforge::domain::command::Command;
use dbforge::domain::database::{Condition, DatabaseState};
use dbforge::domain::ids::JobId;
use dbforge::domain::job::{JobError, JobErrorCode, JobState};
use dbforge::jobs::runner::Moved;
use dbforge::runtime::simulated::{Action, Fault};
use std::time::Duration;

const ACTIONS: [Action; 3] = [
    Action::EnsureRunning,
    Action::EnsureRemoved,
    Action::Inspect,
];

/// A job after so many moves; `None` where it ends before.
async fn moved(before: &[&str], what: &str, moves: usize) -> Option<(TestForge, JobId)> {
    let forge = told(before).await;
    let job = ask(&forge, what).await;
    for _ in 0..moves {
        forge.runner.move_once(job).await.unwrap();
    }
    let goes_on = forge.control.current().state.job(job).is_some();
    goes_on.then_some((forge, job))
}

/// The step that a job is in fails for good.
async fn fail(forge: &TestForge, job: JobId) {
    let error = JobError {
        code: JobErrorCode::Internal,
        detail: "a test says so".to_owned(),
    };
    let transient = false;
    let command = Command::FailStep {
        job,
        error,
        transient,
    };
    forge.submit(command).await.unwrap();
}

/// Whether a job has removed what nothing brings back. If so, its failure is told and what is left
/// goes as well, as soon as somebody has looked: nobody says that what is gone is there.
async fn goes_forward_alone(forge: &TestForge, job: JobId) -> bool {
    let database = forge.database(forge.job(job).await.database);
    if database.condition != Condition::Purging {
        return false;
    }
    fail(forge, job).await;
    assert_eq!(forge.job(job).await.state, JobState::Stuck);
    assert_eq!(forge.database(database.id).state(), DatabaseState::Failed);
    forge.submit(Command::ReleaseJob { job }).await.unwrap();
    forge.settle().await;
    assert_eq!(forge.job(job).await.state, JobState::Succeeded);
    assert_consistent(forge, "purged after all");
    true
}

fn is_gone(forge: &TestForge, job: JobId) -> bool {
    forge.control.current().state.job(job).is_none()
}

async fn assert_failed_without_a_trace(
    forge: &TestForge,
    job: JobId,
    (what, before): (&str, &[&str]),
    when: &str,
) {
    let untouched = told(before).await;
    let when = format!("`{what}` after {before:?}, {when}");
    assert_eq!(forge.job(job).await.state, JobState::Failed, "{when}");
    assert_consistent(forge, &when);
    assert_eq!(outcome(forge), outcome(&untouched), "{when}");
}

#[tokio::test]
async fn a_failure_in_any_step_leaves_what_was_there_before() {
    for (what, before) in STORIES {
        for moves in 1.. {
            let Some((forge, job)) = moved(before, what, moves).await else {
                break;
            };
            if goes_forward_alone(&forge, job).await {
                continue;
            }
            fail(&forge, job).await;
            forge.settle().await;
            let when = format!("failed before the work of step {moves}");
            assert_failed_without_a_trace(&forge, job, (what, before), &when).await;
        }
    }
}

#[tokio::test]
async fn a_failure_behind_the_work_of_any_step_is_undone_too() {
    for (what, before) in STORIES {
        for moves in 1.. {
            let Some((forge, job)) = moved(before, what, moves).await else {
                break;
            };
            let forge = work_without_record(forge, job).await;
            if goes_forward_alone(&forge, job).await {
                continue;
            }
            fail(&forge, job).await;
            forge.settle().await;
            let when = format!("failed behind the work of step {moves}");
            assert_failed_without_a_trace(&forge, job, (what, before), &when).await;
        }
    }
}

#[tokio::test]
async fn every_undoing_run_twice_is_the_same_as_once() {
    for (what, before) in STORIES {
        for moves in 1.. {
            let Some((mut forge, job)) = moved(before, what, moves).await else {
                break;
            };
            if goes_forward_alone(&forge, job).await {
                continue;
            }
            fail(&forge, job).await;
            while !is_gone(&forge, job) {
                forge = work_without_record(forge, job).await;
                // Behind a death it is told first that the undoing begins again.
                let left = forge.job(job).await.begun_steps;
                while !is_gone(&forge, job) && forge.job(job).await.begun_steps == left {
                    let moved = forge.runner.move_once(job).await.unwrap();
                    assert_eq!(moved, Moved::On, "`{what}` after {before:?}, step {moves}");
                }
            }
            let when = format!("undone twice from step {moves} on");
            assert_failed_without_a_trace(&forge, job, (what, before), &when).await;
        }
    }
}

#[tokio::test]
async fn trouble_that_does_not_pass_is_tried_a_bounded_number_of_times_and_undone() {
    let mut exhausted = 0;
    for (what, before) in STORIES {
        for action in ACTIONS {
            let forge = told(before).await;
            forge.kept.engine.fail_next(action, Fault::Failed, 5);
            let job = ask(&forge, what).await;
            forge.settle().await;
            let ended = forge.job(job).await;
            if ended.state == JobState::Succeeded {
                assert_eq!(ended.attempts.len(), 1, "`{what}` needs no {action:?}");
                continue;
            }
            exhausted += 1;
            let errors = ended.attempts.iter().filter(|it| it.error.is_some());
            assert_eq!(errors.count(), 5, "each is kept: {:?}", ended.attempts);
            let when = format!("{action:?} fails and fails");
            assert_failed_without_a_trace(&forge, job, (what, before), &when).await;
        }
    }
    assert!(exhausted >= 12, "{exhausted}");
}

#[tokio::test]
async fn a_job_whose_undoing_fails_is_stuck_and_a_release_ends_it() {
    let mut stuck = 0;
    for (what, before) in STORIES {
        for (step, undo) in [
            (Action::EnsureRunning, Action::EnsureRemoved),
            (Action::Inspect, Action::EnsureRemoved),
            (Action::EnsureRunning, Action::EnsureRunning),
            (Action::EnsureRemoved, Action::EnsureRunning),
        ] {
            let forge = told(before).await;
            let job = ask(&forge, what).await;
            // The undoing alone must meet the second fault: so the step fails first.
            forge.kept.engine.fail_next(step, Fault::Refused, 1);
            while !is_gone(&forge, job) && !forge.job(job).await.compensating {
                forge.runner.move_once(job).await.unwrap();
            }
            forge.kept.engine.fail_next(undo, Fault::Refused, 1);
            forge.settle().await;
            if forge.job(job).await.state != JobState::Stuck {
                continue;
            }
            stuck += 1;
            let forge = forge.restart();
            forge.settle().await;
            let stays = forge.job(job).await;
            assert_eq!(stays.state, JobState::Stuck, "until a person has looked");
            forge.submit(Command::ReleaseJob { job }).await.unwrap();
            forge.settle().await;
            let when = format!("stuck in {undo:?}, then released");
            assert_failed_without_a_trace(&forge, job, (what, before), &when).await;
        }
    }
    assert!(stuck >= 6, "{stuck}");
}

#[tokio::test]
async fn a_job_in_whose_undoing_the_gateway_keeps_dying_waits_for_a_person() {
    let mut forge = TestForge::new().await;
    let (poisoned, job) = forge.request("poisoned").await;
    forge.runner.move_once(job).await.unwrap();
    fail(&forge, job).await;
    for death in 1..=5 {
        assert!(!forge.job(job).await.is_suspected(false), "death {death}");
        forge = forge.restart();
        assert_eq!(forge.runner.move_once(job).await.unwrap(), Moved::On);
    }
    assert!(forge.job(job).await.is_suspected(false), "it runs alone");
    forge = forge.restart();
    let (other, _) = forge.request("other").await;
    forge.settle().await;
    assert!(forge.exists(other), "nobody else waits for it");
    let waits = forge.job(job).await;
    assert_eq!(waits.state, JobState::Stuck);
    assert_eq!(waits.error.unwrap().code, JobErrorCode::CrashedRepeatedly);
    forge.submit(Command::ReleaseJob { job }).await.unwrap();
    forge.settle().await;
    assert_eq!(forge.job(job).await.state, JobState::Failed);
    assert!(!forge.exists(poisoned), "and its name is free");
}

#[tokio::test]
async fn undoing_waits_for_an_absent_engine_and_shows_its_latest_attempts() {
    let forge = told(&["create"]).await;
    let job = ask(&forge, "delete").await;
    forge.runner.move_once(job).await.unwrap();
    fail(&forge, job).await;
    let engine = &forge.kept.engine;
    engine.fail_next(Action::EnsureRunning, Fault::Unavailable, 300);
    while !is_gone(&forge, job) {
        assert!(forge.job(job).await.attempts.len() <= 100);
        forge.runner.run_until_idle().await.unwrap();
        forge.kept.clock.advance(Duration::from_secs(60));
    }
    let ended = forge.job(job).await;
    assert_eq!(ended.state, JobState::Failed, "once the engine is back");
    assert_eq!(ended.attempts.len(), 100);
    assert_eq!(ended.attempts.last().unwrap().number, 301);
}
