//! A crash at any moment loses nothing that was accepted, and everything settles.
mod clock_ahead;
mod clock_jumps;
mod crash;
mod crash_lives;
mod crash_steps;
mod disk_trace;
mod files;
mod full_disk;
mod kill;
mod power_loss;
mod sound;

use crate::jobs::stories::{
    ask, assert_consistent, only_database, outcome, stories, told, work_without_record,
};
use crate::support::log_copy::copy_of;
use crate::support::test_forge::{Kept, TestForge};
use dbforge::control::SubmitError;
use dbforge::domain::command::Command;
use dbforge::domain::command::refusal::Refusal;
use dbforge::domain::ids::Sequence;
use dbforge::domain::job::{JobErrorCode, JobKind, JobState};
use dbforge::jobs::runner::Moved;
use dbforge::runtime::simulated::{Action, Fault};

#[tokio::test]
async fn every_kind_of_job_has_its_story() {
    let mut told_kinds = std::collections::BTreeSet::new();
    for (told, what) in stories() {
        let forge = told.forge().await;
        let job = ask(&forge, what).await;
        told_kinds.insert(forge.job(job).await.kind.as_str());
        forge.settle().await;
    }
    for (what, before) in files::STORIES {
        let forge = files::told(before).await;
        let job = files::ask(&forge, what).await;
        told_kinds.insert(forge.job(job).await.kind.as_str());
    }
    let all: std::collections::BTreeSet<_> = JobKind::WORDS.iter().copied().collect();
    assert_eq!(told_kinds, all);
}

#[tokio::test]
async fn a_crash_at_every_step_boundary_settles_as_if_there_had_been_none() {
    for (told, what) in stories() {
        let undisturbed = told.forge().await;
        ask(&undisturbed, what).await;
        undisturbed.settle().await;
        for crash_after in 0.. {
            let forge = told.forge().await;
            let job = ask(&forge, what).await;
            let mut moved = 0;
            while moved < crash_after && forge.runner.move_once(job).await.unwrap() == Moved::On {
                moved += 1;
            }
            let ended = forge.control.current().state.job(job).is_none();
            let forge = forge.restart();
            forge.settle().await;
            let when = format!("`{what}` after {told:?}, crash after {crash_after} steps");
            assert_consistent(&forge, &when);
            assert_eq!(outcome(&forge), outcome(&undisturbed), "{when}");
            assert_eq!(forge.job(job).await.state, JobState::Succeeded, "{when}");
            if ended {
                break;
            }
        }
    }
}

#[tokio::test]
async fn every_step_run_twice_is_the_same_as_once() {
    for (told, what) in stories() {
        let mut forge = told.forge().await;
        let job = ask(&forge, what).await;
        // A crash behind the work of each step and before its record: all of it runs again.
        while forge.control.current().state.job(job).is_some() {
            forge = work_without_record(forge, job).await;
            if forge.control.current().state.job(job).is_some() {
                forge.runner.move_once(job).await.unwrap();
                if forge.control.current().state.job(job).is_some() {
                    forge.runner.move_once(job).await.unwrap();
                }
            }
        }
        assert_consistent(&forge, &format!("`{what}` after {told:?}"));
        assert_eq!(forge.job(job).await.state, JobState::Succeeded);
    }
}

#[tokio::test]
async fn a_lost_reply_at_every_call_changes_nothing() {
    for fault in [Fault::LostReply, Fault::Failed, Fault::Unavailable] {
        for action in [
            Action::EnsureRunning,
            Action::EnsureRemoved,
            Action::Inspect,
        ] {
            for (told, what) in stories() {
                let forge = told.forge().await;
                forge.kept.engine.fail_next(action, fault, 1);
                let job = ask(&forge, what).await;
                forge.settle().await;
                let when = format!("`{what}` after {told:?}, {fault:?} at {action:?}");
                assert_consistent(&forge, &when);
                assert_eq!(forge.job(job).await.state, JobState::Succeeded, "{when}");
            }
        }
    }
}

#[tokio::test]
async fn a_refused_worker_undoes_what_was_done() {
    for (told, what) in stories() {
        for action in [Action::EnsureRunning, Action::EnsureRemoved] {
            let forge = told.forge().await;
            let untouched = outcome(&forge);
            // Once for the step, so that undoing it works.
            forge.kept.engine.fail_next(action, Fault::Refused, 1);
            let job = ask(&forge, what).await;
            forge.settle().await;
            let when = format!("`{what}` after {told:?}, refused at {action:?}");
            assert_consistent(&forge, &when);
            let job = forge.job(job).await;
            if job.state == JobState::Failed {
                let error = job.error.unwrap();
                assert_eq!(error.code, JobErrorCode::RuntimeRefused, "{when}");
                assert_eq!(outcome(&forge), untouched, "{when}");
            } else {
                assert_eq!(
                    job.state,
                    JobState::Succeeded,
                    "{when}: it needed no such call"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_job_cancelled_at_every_step_leaves_what_was_there_before() {
    for (told, what) in stories() {
        for cancel_after in 0.. {
            let forge = told.forge().await;
            let untouched = outcome(&forge);
            let job = ask(&forge, what).await;
            for _ in 0..cancel_after {
                forge.runner.move_once(job).await.unwrap();
            }
            if forge.control.current().state.job(job).is_none() {
                break;
            }
            let cancelled = forge.submit(Command::CancelJob { job }).await;
            if let Err(refused) = cancelled {
                let no_way_back = SubmitError::Refused(Refusal::NoWayBack(job));
                assert_eq!(refused, no_way_back, "{what}");
            }
            forge.settle().await;
            let when = format!("`{what}` after {told:?}, cancelled after {cancel_after} steps");
            assert_consistent(&forge, &when);
            if forge.job(job).await.state == JobState::Cancelled {
                assert_eq!(outcome(&forge), untouched, "{when}");
            } else {
                // Its last step was running: there is no next one to end at, or no way back.
                assert_eq!(forge.job(job).await.state, JobState::Succeeded, "{when}");
            }
        }
    }
}

#[tokio::test]
async fn every_prefix_of_a_log_settles_after_a_restart() {
    let forge = told(&["create", "stop", "start", "delete", "undelete"]).await;
    let events = forge.kept.log.read_after(Sequence(0), usize::MAX).unwrap();
    let ends: Vec<Sequence> = events
        .chunk_by(|a, b| a.commit.id == b.commit.id)
        .map(|commit| commit.last().unwrap().sequence)
        .collect();
    // From the first command for a database on: the two before it found the forge.
    for end in &ends[3..] {
        let log = copy_of(forge.kept.log.as_ref(), *end);
        let prefix = TestForge::start(Kept { log, ..Kept::new() });
        // The files that the prefix speaks of are those of the whole story, as far as it had come.
        let database = only_database(&prefix).unwrap();
        let state = prefix.database(database);
        let folders = prefix.job_context.data.folders();
        if state.condition != dbforge::domain::database::Condition::Creating {
            folders.ensure_reserved(database).unwrap();
            let engine = forge.job_context.data.engine_of(&state).unwrap();
            engine
                .create_file(&folders.living(database), state.durability)
                .unwrap();
            if !state.is_living() {
                folders.ensure_trashed(database).unwrap();
            }
        }
        // One look while a job still works on it, one that finds its worker missing, one more.
        for _ in 0..3 {
            prefix.reconcile().await;
        }
        assert_consistent(&prefix, &format!("after event {end}"));
    }
}
