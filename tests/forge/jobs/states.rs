//! Every state of a job, and what may be asked of it there, through HTTP.
use crate::support::http::{Answer, HttpForge};
use dbforge::domain::ids::JobId;
use dbforge::runtime::simulated::{Action, Fault};
use serde_json::Value;

/// Asks for a database and returns the job's path.
async fn create(forge: &HttpForge, name: &str) -> String {
    let answer = forge
        .post("/v1/databases", &format!(r#"{{"name":"{name}"}}"#))
        .await;
    job_path(&answer)
}

fn job_path(answer: &Answer) -> String {
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    answer.header("location").to_owned()
}

fn id(path: &str) -> JobId {
    path.trim_start_matches("/v1/jobs/").parse().unwrap()
}

async fn job(forge: &HttpForge, path: &str) -> Value {
    forge.get(path).await.json()
}

async fn step(forge: &HttpForge, path: &str, times: usize) {
    for _ in 0..times {
        forge.runner.move_once(id(path)).await.unwrap();
    }
}

/// A job whose creation failed and could not be undone.
async fn stuck(forge: &HttpForge, name: &str) -> String {
    let engine = &forge.kept.engine;
    engine.fail_next(Action::EnsureRunning, Fault::Refused, 1);
    engine.fail_next(Action::EnsureRemoved, Fault::Refused, 1);
    let path = create(forge, name).await;
    forge.settle().await;
    path
}

/// A job that waits for its next attempt.
async fn waits_to_retry(forge: &HttpForge, name: &str) -> String {
    let engine = &forge.kept.engine;
    engine.fail_next(Action::EnsureRunning, Fault::Unavailable, 1);
    let path = create(forge, name).await;
    forge.runner.run_until_idle().await.unwrap();
    path
}

#[tokio::test]
async fn a_job_is_seen_in_every_state() {
    let forge = HttpForge::new().await;
    let queued = create(&forge, "shop").await;
    let seen = job(&forge, &queued).await;
    assert_eq!(seen["state"], "queued");
    assert_eq!(seen["started_at"], Value::Null);

    step(&forge, &queued, 1).await;
    let seen = job(&forge, &queued).await;
    assert_eq!(seen["state"], "running");
    assert_eq!(seen["step"]["name"], "reserve_folder");
    assert_eq!(seen["step"]["number"], 1);
    assert_eq!(seen["step"]["total"], 5);
    assert_eq!(seen["step"]["time_limit_ms"], 30_000);
    assert_eq!(seen["deadline"], "2026-03-01T12:10:00.000Z");

    forge.settle().await;
    let seen = job(&forge, &queued).await;
    assert_eq!(seen["state"], "succeeded");
    assert_eq!(seen.get("step"), None);

    let waiting = waits_to_retry(&forge, "late").await;
    let seen = job(&forge, &waiting).await;
    assert_eq!(seen["state"], "retry_wait");
    assert!(seen["retry_at"].is_string(), "{seen}");
    assert_eq!(seen["attempts"][0]["error"]["code"], "runtime_unavailable");
    forge.settle().await;
    assert_eq!(job(&forge, &waiting).await["state"], "succeeded");

    forge
        .kept
        .engine
        .fail_next(Action::EnsureRunning, Fault::Refused, 1);
    let failed = create(&forge, "refused").await;
    forge.settle().await;
    assert_eq!(job(&forge, &failed).await["state"], "failed");

    let cancelled = create(&forge, "unwanted").await;
    forge.post(&format!("{cancelled}/cancel"), "").await;
    assert_eq!(job(&forge, &cancelled).await["state"], "cancelled");

    let stuck = stuck(&forge, "broken").await;
    assert_eq!(job(&forge, &stuck).await["state"], "stuck");
}

#[tokio::test]
async fn a_job_that_waits_for_its_next_attempt_is_cancelled_and_undone() {
    let forge = HttpForge::new().await;
    let path = waits_to_retry(&forge, "shop").await;
    let cancelled = forge.post(&format!("{path}/cancel"), "").await;
    assert_eq!(cancelled.status.as_u16(), 202, "{}", cancelled.text);
    assert_eq!(cancelled.json()["progress"]["phase"], "undoing");
    let again = forge.post(&format!("{path}/cancel"), "").await;
    let said = again.problem(409, "wrong_state");
    assert!(said.contains("is rolling back"), "{said}");
    forge.settle().await;
    assert_eq!(job(&forge, &path).await["state"], "cancelled");
    assert!(forge.folders("databases").is_empty());
    assert!(forge.kept.engine.names().is_empty());
}

#[tokio::test]
async fn a_running_job_is_cancelled_at_its_next_step_however_often_one_asks() {
    let forge = HttpForge::new().await;
    let path = create(&forge, "shop").await;
    step(&forge, &path, 2).await;
    for _ in 0..2 {
        let answer = forge.post(&format!("{path}/cancel"), "").await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
        assert_eq!(answer.json()["state"], "running");
        assert_eq!(answer.json()["cancel_requested"], true);
    }
    forge.settle().await;
    let ended = job(&forge, &path).await;
    assert_eq!(ended["state"], "cancelled");
    assert_eq!(ended.get("problem"), None, "it was wanted");
    assert!(forge.folders("databases").is_empty());
    let late = forge.post(&format!("{path}/cancel"), "").await;
    late.problem(409, "wrong_state");
}

#[tokio::test]
async fn a_stuck_job_cannot_be_cancelled_and_is_told_what_helps() {
    let forge = HttpForge::new().await;
    let path = stuck(&forge, "shop").await;
    let answer = forge.post(&format!("{path}/cancel"), "").await;
    let said = answer.problem(409, "wrong_state");
    assert!(said.contains("retry"), "{said}");
    let other = create(&forge, "other").await;
    forge.settle().await;
    let ended = job(&forge, &other).await;
    assert_eq!(ended["state"], "succeeded", "others go on");
}

#[tokio::test]
async fn a_full_queue_takes_deletes_and_cancels_and_says_when_to_come_back() {
    let forge = HttpForge::with_queue_of(2).await;
    forge.ready("shop").await;
    forge.ready("old").await;
    let first = create(&forge, "a").await;
    create(&forge, "b").await;
    for (path, body) in [
        ("/v1/databases", r#"{"name":"c"}"#),
        ("/v1/databases/shop/restart", ""),
        ("/v1/databases/shop/stop", ""),
    ] {
        let refused = forge.post(path, body).await;
        let said = refused.problem(503, "overloaded");
        assert!(said.contains("2 jobs"), "{said}");
        refused.header("retry-after").parse::<u32>().unwrap();
    }
    job_path(&forge.send("DELETE", "/v1/databases/shop", "").await);
    job_path(
        &forge
            .send("DELETE", "/v1/databases/old?purge=true", "")
            .await,
    );
    let cancelled = forge.post(&format!("{first}/cancel"), "").await;
    assert_eq!(cancelled.status.as_u16(), 200, "{}", cancelled.text);
    forge.settle().await;
    create(&forge, "c").await;
    forge.settle().await;
}

#[tokio::test]
async fn a_job_past_its_deadline_begins_no_further_attempt_and_leaves_nothing() {
    let forge = HttpForge::new().await;
    forge.kept.engine.set_away(true);
    let path = create(&forge, "shop").await;
    let start = forge.kept.clock.clone();
    for _ in 0..700 {
        forge.runner.run_until_idle().await.unwrap();
        start.advance(std::time::Duration::from_secs(1));
    }
    let undoing = job(&forge, &path).await;
    assert_eq!(
        undoing["state"], "retry_wait",
        "undoing waits for the engine"
    );
    let attempts = undoing["attempts"].as_array().unwrap();
    let says_so = |it: &&Value| it["error"]["detail"].as_str().unwrap().contains("deadline");
    let last = attempts.iter().find(says_so).expect("the others undo");
    assert!(last["ended_at"].as_str() <= undoing["deadline"].as_str());
    forge.kept.engine.set_away(false);
    forge.settle().await;
    let ended = job(&forge, &path).await;
    assert_eq!(ended["state"], "failed");
    assert_eq!(ended["problem"]["code"], "runtime_unavailable");
    let detail = ended["problem"]["detail"].as_str().unwrap();
    assert!(detail.contains("deadline"), "{detail}");
    assert!(forge.folders("databases").is_empty());
}
