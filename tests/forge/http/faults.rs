//! What a client sees when a part of the forge does not work.
use crate::support::faulty_log::{FaultyLog, Loss};
use crate::support::http::{HttpForge, ROOT};
use crate::support::test_forge::{INSTANCE, Kept};
use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use dbforge::domain::command::Command;
use dbforge::domain::ids::DatabaseId;
use dbforge::event_log::AppendError;
use dbforge::http::{Dispatcher, Gateway, HttpConfig};
use dbforge::jobs::JobContext;
use dbforge::runtime::child::ChildStarter;
use dbforge::runtime::{Runtime, RuntimeError, Worker, WorkerSpec};
use dbforge::service::RootToken;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::sync::Arc;

#[tokio::test]
async fn a_log_that_takes_no_events_refuses_commands_and_answers_questions() {
    let log = Arc::new(FaultyLog::default());
    let mut kept = Kept::new();
    kept.log = log.clone();
    let forge = HttpForge::start(kept);
    let instance = Some(INSTANCE);
    let founded = forge.submit(Command::InitializeForge { instance }).await;
    founded.unwrap();
    forge.ready("shop").await;

    log.set(AppendError::DiskFull);
    let full = forge.post("/v1/databases", "{}").await;
    full.problem(507, "disk_full");
    let reason = "an fsync failed".to_owned();
    log.set(AppendError::ReadOnly { reason });
    for (method, path, body) in [
        ("POST", "/v1/databases", "{}"),
        ("DELETE", "/v1/databases/shop", ""),
        ("POST", "/v1/databases/shop/stop", ""),
        ("PATCH", "/v1/databases/shop", r#"{"protect":true}"#),
    ] {
        let said = forge
            .send(method, path, body)
            .await
            .problem(503, "log_read_only");
        assert!(said.contains("an fsync failed"), "{said}");
    }
    for path in [
        "/v1/databases/shop",
        "/v1/events",
        "/v1/jobs",
        "/v1/audit/export",
    ] {
        assert_eq!(forge.get(path).await.status, StatusCode::OK, "{path}");
    }
    let ready = forge.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["checks"]["event_log"]["ok"], false);
    assert_eq!(forge.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_lost_answer_of_the_log_is_504_and_says_how_to_find_out() {
    let log = Arc::new(FaultyLog::default());
    let mut kept = Kept::new();
    kept.log = log.clone();
    let forge = HttpForge::start(kept);
    let instance = Some(INSTANCE);
    let founded = forge.submit(Command::InitializeForge { instance }).await;
    founded.unwrap();
    let create = || {
        let asked = forge.ask("POST", "/v1/databases");
        let asked = asked.token(ROOT).header("idempotency-key", "k");
        asked.body(r#"{"name":"shop"}"#)
    };
    log.lose_answer(Loss::Late);
    let unknown = create().await;
    let said = unknown.problem(504, "timed_out");
    assert!(said.contains("Idempotency-Key"), "{said}");

    log.arrive();
    assert_eq!(create().await.status, StatusCode::ACCEPTED);
    assert_eq!(
        forge
            .ask("GET", "/v1/databases")
            .token(ROOT)
            .empty()
            .await
            .json()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    forge.settle().await;
}

#[tokio::test]
async fn a_full_queue_takes_deletes_and_cancels_only() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    for _ in 0..1000 {
        let answer = forge.post("/v1/databases/shop/restart", "").await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    }
    let full = forge.post("/v1/databases/shop/restart", "").await;
    full.problem(503, "overloaded");
    assert_eq!(full.header("retry-after"), "1");
    let delete = forge.send("DELETE", "/v1/databases/shop", "").await;
    assert_eq!(delete.status, StatusCode::ACCEPTED, "{}", delete.text);
    let path = format!("/v1/jobs/{}/cancel", delete.json()["id"].as_str().unwrap());
    assert_eq!(forge.post(&path, "").await.status, StatusCode::OK);
}

/// A runtime with a bug in it.
struct BrokenRuntime;

#[async_trait]
impl Runtime for BrokenRuntime {
    fn name(&self) -> &'static str {
        "broken"
    }

    async fn ping(&self) -> Result<(), RuntimeError> {
        panic!("the ping met a bug");
    }

    async fn ensure_running(&self, _: &WorkerSpec) -> Result<String, RuntimeError> {
        Ok(String::new())
    }

    async fn ensure_removed(&self, _: DatabaseId) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn inspect(&self, _: DatabaseId) -> Result<Option<Worker>, RuntimeError> {
        Ok(None)
    }

    async fn list(&self) -> Result<Vec<Worker>, RuntimeError> {
        Ok(Vec::new())
    }

    async fn quarantine(&self, _: &str) -> Result<(), RuntimeError> {
        unreachable!("no test looks that far")
    }

    async fn remove_quarantined(&self, _: &str) -> Result<(), RuntimeError> {
        unreachable!("no test looks that far")
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        stream::empty().boxed()
    }
}

#[tokio::test]
async fn a_bug_in_one_request_is_an_answer_and_takes_no_other_with_it() {
    let forge = HttpForge::new().await;
    let job_context = JobContext {
        control: forge.control.clone(),
        runtime: Arc::new(BrokenRuntime),
        data: forge.job_context.data.clone(),
        worker_status: Arc::default(),
        progress: Arc::default(),
        children: ChildStarter::new(env!("CARGO_BIN_EXE_dbforge").into(), None),
    };
    let gateway = Arc::new(Gateway::new(
        &job_context,
        forge.control_db.clone(),
        RootToken::from_secret(ROOT),
        HttpConfig::default(),
    ));
    let dispatcher = Dispatcher::new(&gateway);
    let get = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = dispatcher.answer(request).await;
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 10_000)
            .await
            .unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    for _ in 0..2 {
        let (status, body) = get("/readyz").await;
        assert_eq!(status, 500);
        assert!(body.contains("\"code\":\"internal\""), "{body}");
        assert!(
            body.contains("request_id") && !body.contains("met a bug"),
            "{body}"
        );
        assert_eq!(get("/healthz").await.0, 200);
    }
}
