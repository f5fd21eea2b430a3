//! A clock that was ahead once: what is promised from now on holds on the clock that is right, and
//! who asks is told.
use crate::support::gateway_process::GatewayProcess;
use crate::support::http::HttpForge;
use crate::support::test_forge::Kept;
use dbforge::clock::timestamp::Timestamp;
use dbforge::domain::ids::Sequence;
use dbforge::domain::job::JobState;
use dbforge::event_log::disk::{DiskEventLog, Settings};
use dbforge::jobs::retention::Retention;
use dbforge::jobs::schedules;
use dbforge::runtime::simulated::{Action, Fault};
use serde_json::json;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// A forge with a change in its log that was made while the clock was ahead.
async fn after_a_clock_ahead_by(ahead: Duration) -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("before").await;
    let right = forge.control.clock().now();
    forge.kept.clock.advance(ahead);
    let changed = r#"{"labels":{"a":"b"}}"#;
    let changed = forge.send("PATCH", "/v1/databases/before", changed).await;
    assert_eq!(changed.status, 200);
    forge.kept.clock.set(right);
    forge
}

#[tokio::test]
async fn what_is_promised_relative_to_now_counts_from_now() {
    for ahead in [HOUR * 24, HOUR * 24 * 365] {
        let forge = after_a_clock_ahead_by(ahead).await;
        let now = forge.control.clock().now();
        let token = r#"{"name":"ci","scopes":["read"],"databases":["*"],"expires_in":"3s"}"#;
        let token = forge.post("/v1/tokens", token).await.json();
        let expected = now.after(Duration::from_secs(3)).to_string();
        assert_eq!(token["expires_at"], expected);
        forge
            .post("/v1/databases", r#"{"name":"short","ttl":"2s"}"#)
            .await;
        forge.settle().await;
        let command = r#"{"create_database":{"name":"copy-{date}"}}"#;
        let schedule = format!(r#"{{"name":"often","cron":"* * * * *","command":{command}}}"#);
        let schedule = forge.post("/v1/schedules", &schedule).await.json();
        let next = schedule["next_at"].as_str().unwrap();
        let next: Timestamp = next.parse().unwrap();
        assert!(next.since(now) <= MINUTE && next > now, "{next}");
        let plan = format!(r#"{{"command":{command}}}"#).replace("{date}", "1");
        let plan = forge.post("/v1/plans", &plan).await.json();
        let kept = forge.get("/v1/plans").await.json();
        assert_eq!(kept["data"][0]["id"], plan["id"], "not forgotten at once");

        forge.kept.clock.advance(Duration::from_secs(4));
        let secret = token["token"].as_str().unwrap();
        let asked = forge
            .ask("GET", "/v1/databases")
            .token(secret)
            .empty()
            .await;
        asked.problem(401, "unauthenticated");
        let shown = forge.get("/v1/databases/short").await.json();
        assert_eq!(shown["state"], "expired");
        Retention::default().submit_due(&forge.control).await;
        forge.settle().await;
        let trashed = forge.get("/v1/databases/short").await.json();
        assert_eq!(trashed["state"], "trashed");
        let purge_at: Timestamp = trashed["purge_at"].as_str().unwrap().parse().unwrap();
        assert!(purge_at < now.after(HOUR * 24 * 8), "{purge_at}");
        forge.kept.clock.advance(MINUTE);
        schedules::fire_due(&forge.control).await;
        forge.settle().await;
        let fired = forge.get("/v1/schedules/often").await.json();
        assert!(fired["last"]["job"].is_string(), "{fired}");
        let events = forge.kept.log.read_after(Sequence(0), 10_000).unwrap();
        let times: Vec<_> = events.iter().map(|it| it.commit.time).collect();
        assert!(times.is_sorted(), "times in the log never go back");
    }
}

#[tokio::test]
async fn a_schedule_goes_on_when_the_clock_is_set_back_by_an_hour() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let body = r#"{"name":"often","cron":"* * * * *","overlap":"queue",
                   "command":{"restart_database":{"database":"shop"}}}"#;
    forge.post("/v1/schedules", body).await;
    let fired = async || {
        schedules::fire_due(&forge.control).await;
        forge.settle().await;
        let schedule = forge.get("/v1/schedules/often").await.json();
        schedule["last"]["job"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let mut jobs = Vec::new();
    for minute in 0..10 {
        forge.kept.clock.advance(MINUTE);
        jobs.push(fired().await);
        if minute == 5 {
            let now = forge.control.clock().now().millis();
            forge
                .kept
                .clock
                .set(Timestamp::from_millis(now - 3_600_000));
            assert_eq!(
                fired().await,
                jobs[5],
                "it is set back, and nothing is due yet"
            );
        }
    }
    jobs.dedup();
    assert_eq!(jobs.len(), 10, "one each minute");
}

#[tokio::test]
async fn a_job_that_waits_for_its_retry_goes_on_when_the_clock_is_set_back() {
    let forge = HttpForge::new().await;
    let engine = &forge.kept.engine;
    engine.fail_next(Action::EnsureRunning, Fault::Unavailable, 1);
    let (_, job) = forge.request("shop").await;
    forge.runner.run_until_idle().await.unwrap();
    assert_eq!(forge.job(job).await.state, JobState::RetryWait);
    let now = forge.control.clock().now().millis();
    forge
        .kept
        .clock
        .set(Timestamp::from_millis(now - 3_600_000));
    forge.runner.run_until_idle().await.unwrap();
    assert_eq!(forge.job(job).await.state, JobState::Succeeded);
}

#[tokio::test]
async fn a_stuck_job_that_is_released_goes_on_at_once_though_the_log_is_ahead() {
    let forge = after_a_clock_ahead_by(HOUR * 24).await;
    let engine = forge.kept.engine.clone();
    let (_, job) = forge.request("shop").await;
    engine.fail_next(Action::EnsureRunning, Fault::Refused, 1);
    engine.fail_next(Action::EnsureRemoved, Fault::Refused, 1);
    forge.runner.run_until_idle().await.unwrap();
    assert_eq!(forge.job(job).await.state, JobState::Stuck);
    let retry = forge.post(&format!("/v1/jobs/{job}/retry"), "").await;
    assert_eq!(retry.status, 202);
    forge.runner.run_until_idle().await.unwrap();
    assert_eq!(forge.job(job).await.state, JobState::Failed);
}

#[tokio::test]
async fn readiness_and_numbers_say_how_far_the_log_is_ahead_of_the_clock() {
    let forge = HttpForge::new().await;
    let clock = |it: &serde_json::Value| it["checks"]["clock"]["ok"].clone();
    assert_eq!(clock(&forge.get("/readyz").await.json()), json!(true));
    let forge = after_a_clock_ahead_by(HOUR * 24).await;
    let ready = forge.get("/readyz").await;
    assert_eq!(ready.status, 200, "it takes commands");
    let said = ready.json();
    assert_eq!(clock(&said), json!(false));
    let detail = said["checks"]["clock"]["detail"].to_string();
    assert!(detail.contains("86400 s ahead"), "{detail}");
    let metrics = forge.get("/metrics").await.text;
    assert!(
        metrics.contains("dbforge_log_ahead_of_clock_seconds 86400.0"),
        "{metrics}"
    );
}

/// A data folder whose log ends in the year 2199, by a clock that was wrong.
async fn folder_from_2199() -> TempDir {
    let folder = TempDir::new().unwrap();
    let forge_dir = folder.path().join(".forge");
    std::fs::create_dir_all(&forge_dir).unwrap();
    let (log, _) = DiskEventLog::open(&forge_dir, Settings::default()).unwrap();
    let kept = Kept {
        log: Arc::new(log),
        ..Kept::new()
    };
    kept.clock.set("2199-01-01T00:00:00Z".parse().unwrap());
    let forge = HttpForge::found(kept).await;
    forge.control.stop();
    folder
}

#[tokio::test]
async fn the_doctor_says_that_the_log_is_ahead_of_the_clock() {
    let folder = folder_from_2199().await;
    let doctor = Command::new(env!("CARGO_BIN_EXE_dbforge"))
        .args(["doctor", "--data-dir"])
        .arg(folder.path())
        .env("DBFORGE_RUNTIME", "process")
        .output()
        .unwrap();
    let said = String::from_utf8(doctor.stdout).unwrap();
    let line = said.lines().find(|it| it.contains("  clock "));
    let line = line.unwrap_or(&said);
    let warns = line.starts_with("warn") && line.contains("2199-01-01");
    assert!(warns, "{said}");
}

#[tokio::test]
async fn the_program_keeps_promises_by_the_machines_clock_on_a_log_from_2199() {
    let folder = folder_from_2199().await;
    tokio::task::spawn_blocking(move || {
        let gateway = GatewayProcess::start(folder.path());
        let (status, ready) = gateway.get("/readyz").unwrap();
        assert_eq!(status, 200);
        assert_eq!(ready["checks"]["clock"]["ok"], false, "{ready}");
        let body = json!({"name": "short", "ttl": "1s", "protect": true});
        let (status, made) = gateway.post("/v1/databases", &body).unwrap();
        assert_eq!(status, 202, "{made}");
        gateway.poll("its second is over", || {
            let shown = gateway.get("/v1/databases/short").map(|it| it.1);
            shown.is_some_and(|it| it["state"] == "expired")
        });
        let (_, shown) = gateway.get("/v1/databases/short").unwrap();
        assert!(shown["created_at"].to_string().contains("2199"), "{shown}");
    })
    .await
    .unwrap();
}
