//! The one writer: once for each key, on what was seen, all or nothing.
use crate::support::faulty_log::{FaultyLog, Loss};
use crate::support::test_forge::{TestForge, create};
use dbforge::control::{ControlConfig, ControlPlane, Submission, SubmitError};
use dbforge::domain::command::Command;
use dbforge::domain::command::refusal::Refusal;
use dbforge::domain::event::recorded::Idempotency;
use dbforge::domain::ids::{Actor, Sequence};
use dbforge::domain::verb::Verb;
use dbforge::event_log::AppendError;
use std::sync::Arc;
use std::time::Duration;

fn keyed(forge: &TestForge, command: Command, key: &str, fingerprint: &str) -> Submission {
    let request = forge.control.fresh_request();
    let mut submission = Submission::new(command, Actor::named("root"), request);
    submission.idempotency = Some(Idempotency {
        key: key.to_owned(),
        fingerprint: fingerprint.to_owned(),
    });
    submission
}

#[tokio::test]
async fn the_same_key_and_request_is_the_same_job_also_after_a_restart() {
    let forge = TestForge::new().await;
    let first = keyed(&forge, create("shop"), "k", "f");
    let first = forge.control.submit(first).await.unwrap();
    let again = keyed(&forge, create("shop"), "k", "f");
    let again = forge.control.submit(again).await.unwrap();
    assert!(again.replayed && !first.replayed);
    assert_eq!(again.job(), first.job());

    let forge = forge.restart();
    let later = keyed(&forge, create("shop"), "k", "f");
    assert_eq!(
        forge.control.submit(later).await.unwrap().job(),
        first.job()
    );
}

#[tokio::test]
async fn the_same_key_with_another_request_is_refused() {
    let forge = TestForge::new().await;
    let first = keyed(&forge, create("shop"), "k", "f");
    forge.control.submit(first).await.unwrap();
    let other = keyed(&forge, create("other"), "k", "g");
    let refused = forge.control.submit(other).await.unwrap_err();
    assert_eq!(refused, SubmitError::KeyReused);
}

#[tokio::test]
async fn creates_of_one_name_at_the_same_moment_make_one_database() {
    let forge = TestForge::new().await;
    let creates = (0..40).map(|_| forge.submit(create("shop")));
    let answers = futures_util::future::join_all(creates).await;
    assert_eq!(answers.iter().filter(|it| it.is_ok()).count(), 1);
    let is_taken = |it: &&Result<_, SubmitError>| {
        matches!(it, Err(SubmitError::Refused(Refusal::DatabaseExists(_))))
    };
    assert_eq!(answers.iter().filter(is_taken).count(), 39);
}

#[tokio::test]
async fn a_command_on_what_has_changed_since_is_refused() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    let seen = forge.database(database).sequence;
    forge.submit(Verb::Stop.on(database)).await.unwrap();
    let request = forge.control.fresh_request();
    let delete = Verb::Delete.on(database);
    let mut submission = Submission::new(delete, Actor::named("root"), request);
    submission.if_match = Some(seen);
    let refused = forge.control.submit(submission).await.unwrap_err();
    assert!(matches!(refused, SubmitError::Changed { expected, .. } if expected == seen));
}

#[tokio::test]
async fn a_plan_changes_nothing() {
    let forge = TestForge::new().await;
    let head = forge.control.current().head;
    assert_eq!(forge.control.plan(&create("shop")).unwrap().len(), 2);
    assert_eq!(forge.control.current().head, head);
    assert_eq!(forge.kept.log.head(), head);
}

#[tokio::test]
async fn time_never_goes_back_in_the_log() {
    let forge = TestForge::new().await;
    forge.ready("shop").await;
    forge
        .kept
        .clock
        .set(dbforge::clock::timestamp::Timestamp::from_millis(5));
    forge.ready("other").await;
    let events = forge.kept.log.read_after(Sequence(0), usize::MAX).unwrap();
    assert!(events.is_sorted_by_key(|it| it.commit.time));
    let dense = events
        .iter()
        .zip(1..)
        .all(|(it, place)| it.sequence.0 == place);
    assert!(dense, "no sequence is left out");
}

#[tokio::test]
async fn what_was_not_kept_has_not_happened() {
    let kept = crate::support::test_forge::Kept::new();
    let log = Arc::new(FaultyLog::default());
    let config = ControlConfig {
        trash_retention: Duration::from_secs(1),
        queue_bound: 10,
    };
    let listener = Box::new(|_| {});
    let control = ControlPlane::start(log.clone(), kept.clock, kept.ids, config, listener).unwrap();
    let submit = |name: &str| {
        let request = control.fresh_request();
        control.submit(Submission::new(create(name), Actor::named("root"), request))
    };
    log.set(AppendError::DiskFull);
    let (first, second) = tokio::join!(submit("shop"), submit("shop"));
    for refused in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(refused, SubmitError::NotAppended(AppendError::DiskFull));
    }
    assert_eq!(control.current().state.databases().count(), 0);
    log.clear();
    submit("shop").await.unwrap();
    assert_eq!(control.current().head.sequence, Sequence(2));
}

/// A forge on a log that may lose its answers.
async fn on_a_log_that_loses_answers() -> (Arc<FaultyLog>, TestForge) {
    let log = Arc::new(FaultyLog::default());
    let mut kept = crate::support::test_forge::Kept::new();
    kept.log = log.clone();
    (log, TestForge::found(kept).await)
}

#[tokio::test]
async fn a_command_whose_answer_was_lost_has_happened_when_the_log_has_it() {
    let (log, forge) = on_a_log_that_loses_answers().await;
    log.lose_answer(Loss::Kept);
    let (shop, _) = forge.request("shop").await;
    assert!(forge.exists(shop));
    // The outcome of a step as well.
    log.lose_answer(Loss::Kept);
    forge.settle().await;
    assert_eq!(forge.database(shop).state().as_str(), "ready");
}

#[tokio::test]
async fn a_command_that_comes_late_is_not_known_at_first_and_happens_once() {
    let (log, forge) = on_a_log_that_loses_answers().await;
    log.lose_answer(Loss::Late);
    let first = keyed(&forge, create("shop"), "k", "f");
    let unknown = forge.control.submit(first).await.unwrap_err();
    assert!(matches!(
        unknown,
        SubmitError::NotAppended(AppendError::Unknown { .. })
    ));
    assert_eq!(forge.control.current().state.databases().count(), 0);

    log.arrive();
    let again = keyed(&forge, create("shop"), "k", "f");
    let again = forge.control.submit(again).await.unwrap();
    assert!(again.replayed, "the key says that it has happened");
    assert_eq!(forge.control.current().state.databases().count(), 1);
    forge.settle().await;
}

#[tokio::test]
async fn a_command_that_never_came_leaves_room_for_the_next_one() {
    let (log, forge) = on_a_log_that_loses_answers().await;
    log.lose_answer(Loss::Late);
    forge.submit(create("shop")).await.unwrap_err();
    forge.ready("shop").await;
}

#[tokio::test]
async fn a_step_whose_outcome_may_be_lost_is_done_again() {
    let (log, forge) = on_a_log_that_loses_answers().await;
    let (shop, _) = forge.request("shop").await;
    log.lose_answer(Loss::Late);
    assert!(forge.runner.run_until_idle().await.is_err());
    forge.settle().await;
    assert_eq!(forge.database(shop).state().as_str(), "ready");
}
