//! Jobs that are slow, many or deadly do not take the others with them.
use crate::support::http::HttpForge;
use crate::support::test_forge::TestForge;
use dbforge::domain::job::{JobErrorCode, JobState};
use dbforge::jobs::runner::{Moved, Runner};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn somebody_with_one_job_does_not_wait_for_somebody_with_three_hundred() {
    let forge = HttpForge::new().await;
    let engine = forge.kept.engine.clone();
    engine.hold_starts(); // no worker becomes healthy: what is created stays in its step
    for n in 0..300 {
        let body = format!(r#"{{"name":"busy-{n}"}}"#);
        let answer = forge.post("/v1/databases", &body).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    }
    let runner = Arc::new(Runner::new(forge.job_context.clone()));
    let stop = CancellationToken::new();
    let running = tokio::spawn(runner.run(stop.clone()));
    let started = async |least: usize| {
        let deadline = dbforge::clock::Deadline::after(Duration::from_secs(60));
        loop {
            let current = forge.control.current();
            let runs = current
                .state
                .jobs()
                .filter(|it| it.state == JobState::Running);
            let count = runs.count();
            if count >= least {
                return count;
            }
            assert!(!deadline.has_passed(), "{count} jobs run");
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(started(20).await, 20, "one actor has its share and no more");
    let modest = forge.token("modest", "\"manage\",\"read\"", "\"*\"").await;
    let asked = forge.ask("POST", "/v1/databases").token(&modest);
    let answer = asked.body(r#"{"name":"modest"}"#).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    assert_eq!(started(21).await, 21);
    let deadline = dbforge::clock::Deadline::after(Duration::from_secs(60));
    while forge.get("/v1/databases/modest").await.json()["state"] == "creating" {
        assert!(
            !deadline.has_passed(),
            "its file is made though no worker becomes healthy"
        );
        tokio::task::yield_now().await;
    }
    engine.release_starts();
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_step_in_which_the_gateway_keeps_dying_ends_its_job_and_no_other() {
    let mut forge = TestForge::new().await;
    let (poisoned, job) = forge.request("poisoned").await;
    assert_eq!(forge.runner.move_once(job).await.unwrap(), Moved::On);
    for death in 1..=5 {
        assert!(!forge.job(job).await.is_suspected(false), "death {death}");
        forge = forge.restart();
        let resumed = forge.runner.move_once(job).await.unwrap();
        assert_eq!(
            resumed,
            Moved::On,
            "it is begun again, which counts the death"
        );
    }
    assert!(
        forge.job(job).await.is_suspected(false),
        "now it runs alone"
    );
    assert_eq!(
        forge.job(job).await.attempts.len(),
        1,
        "a death burns no attempt"
    );
    forge = forge.restart();
    let (other, _) = forge.request("other").await;
    forge.settle().await;
    assert!(forge.exists(other) && !forge.exists(poisoned));
    let ended = forge.job(job).await;
    assert_eq!(ended.state, JobState::Failed);
    assert_eq!(ended.error.unwrap().code, JobErrorCode::CrashedRepeatedly);
    assert_eq!(forge.folders("databases").len(), 1, "nothing of it is left");
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_job_burns_no_attempt_and_writes_no_event() {
    let forge = TestForge::new().await;
    let (_, job) = forge.request("shop").await;
    for _ in 0..3 {
        forge.runner.move_once(job).await.unwrap();
    }
    let before = forge.control.current().head;
    let forge = forge.restart();
    assert_eq!(
        forge.control.current().head,
        before,
        "neither stop nor start is an event"
    );
    forge.settle().await;
    let ended = forge.job(job).await;
    assert_eq!(ended.state, JobState::Succeeded);
    assert_eq!(ended.attempts.len(), 1);
}

#[tokio::test]
async fn a_gateway_that_stops_within_a_step_ends_in_time_and_the_step_is_done_later() {
    let forge = TestForge::new().await;
    forge.kept.engine.hold_starts();
    let (_, job) = forge.request("shop").await;
    let stop = CancellationToken::new();
    let runner = Arc::new(Runner::new(forge.job_context.clone()));
    let running = tokio::spawn(runner.run(stop.clone()));
    let deadline = dbforge::clock::Deadline::after(Duration::from_secs(60));
    let step = async || forge.job(job).await.step.map(|it| it.name.0);
    while step().await.as_deref() != Some("await_healthy") {
        assert!(!deadline.has_passed(), "it comes to wait for its worker");
        tokio::task::yield_now().await;
    }
    let before = forge.control.current().head;
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(60), running).await;
    ended
        .expect("a step that does not end does not hold the gateway")
        .unwrap();
    assert_eq!(forge.control.current().head, before);
    forge.kept.engine.release_starts();
    let forge = forge.restart();
    forge.settle().await;
    let ended = forge.job(job).await;
    assert_eq!(ended.state, JobState::Succeeded);
    assert_eq!(ended.attempts.len(), 1, "the stop burned none");
}
