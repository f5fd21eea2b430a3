//! Databases through HTTP: created, looked at, changed, deleted, brought back, purged.
use crate::support::http::{Answer, HttpForge, ROOT};
use crate::support::test_forge::INSTANCE;
use crate::support::with_snapshots_in;
use dbforge::runtime::WorkerState;
use dbforge::runtime::simulated::{Action, Fault, Meddling};
use serde_json::{Value, json};

/// The names of a list's rows.
fn names(answer: &Answer) -> Vec<String> {
    let rows = answer.json()["data"].as_array().unwrap().clone();
    rows.iter()
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn status(answer: &Answer, expected: u16) -> Value {
    assert_eq!(answer.status.as_u16(), expected, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn a_database_is_created_by_a_job_that_can_be_followed() {
    let forge = HttpForge::new().await;
    let body = r#"{"name":"Test_DB.1","ttl":"2h","labels":{"team":"red"},"protect":true,"limits":{"cpu_millis":100}}"#;
    let accepted = forge.post("/v1/databases", body).await;
    let job = status(&accepted, 202);
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(accepted.header("location"), path);
    assert_eq!(accepted.header("retry-after"), "1");
    with_snapshots_in("http", || {
        insta::assert_snapshot!("a_job_that_waits", accepted.text);
    });

    let creating = forge.get("/v1/databases/test_db.1").await;
    assert_eq!(status(&creating, 200)["state"], "creating");
    assert_eq!(
        creating.json()["worker"],
        json!({"id":null,"state":"starting"})
    );
    assert_eq!(creating.json()["size_bytes"], Value::Null);

    forge.settle().await;
    let done = forge.get(&path).await;
    with_snapshots_in("http", || {
        insta::assert_snapshot!("a_job_that_succeeded", done.text);
    });
    let ready = forge.get("/v1/databases/test_db.1").await;
    let sequence = status(&ready, 200)["sequence"].clone();
    assert_eq!(ready.header("etag"), format!("\"e{sequence}\""));
    let seen: u64 = ready.header("x-dbforge-sequence").parse().unwrap();
    assert!(seen >= sequence.as_u64().unwrap());
    assert!(ready.json()["size_bytes"].as_u64().unwrap() >= 4096);
    let mut shown = ready.json();
    shown["size_bytes"] = json!("of its file");
    with_snapshots_in("http", || {
        insta::assert_snapshot!("a_database_that_is_ready", shown.to_string());
    });
}

#[tokio::test]
async fn who_prefers_to_wait_gets_the_final_status() {
    let forge = HttpForge::new().await;
    let wait = |method: &str, path: &str| {
        let ask = forge.ask(method, path).token(ROOT);
        ask.header("prefer", "wait=30")
    };
    let work = async |ask: crate::support::http::Ask<'_>, body: &str| {
        let (answer, ()) = tokio::join!(ask.body(body), async {
            // The answer waits; the job must be there before the runner looks for it.
            while forge.control.current().state.jobs().next().is_none() {
                tokio::task::yield_now().await;
            }
            forge.settle().await;
        });
        answer
    };
    let created = work(wait("POST", "/v1/databases"), r#"{"name":"shop"}"#).await;
    assert_eq!(status(&created, 201)["state"], "succeeded");
    assert_eq!(created.header("location"), "/v1/databases/shop");
    assert_eq!(created.header("preference-applied"), "wait=30");
    for action in ["stop", "start", "restart"] {
        let path = format!("/v1/databases/shop/{action}");
        let done = work(wait("POST", &path), "").await;
        assert_eq!(status(&done, 200)["state"], "succeeded", "{action}");
    }
    let deleted = work(wait("DELETE", "/v1/databases/shop"), "").await;
    assert_eq!(status(&deleted, 200)["kind"], "delete_database");

    forge
        .kept
        .engine
        .fail_next(Action::EnsureRunning, Fault::Refused, 1);
    let failed = work(wait("POST", "/v1/databases"), r#"{"name":"shop"}"#).await;
    let said = failed.problem(503, "runtime_refused");
    assert!(said.contains("GET /v1/jobs/"), "{said}");
    assert!(forge.get("/v1/databases").await.text.contains("trashed"));
}

#[tokio::test]
async fn a_wait_that_ends_before_the_job_gives_the_job() {
    let forge = HttpForge::new().await;
    let ask = forge.ask("POST", "/v1/databases").token(ROOT);
    let answer = ask.header("prefer", "wait=1").body("{}").await;
    assert_eq!(status(&answer, 202)["state"], "queued");
    assert!(!answer.headers.contains_key("preference-applied"));
}

#[tokio::test]
async fn a_database_goes_to_the_trash_and_comes_back_and_goes_for_good() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    status(&forge.send("DELETE", "/v1/databases/SHOP", "").await, 202);
    forge.settle().await;
    let trashed = forge.get("/v1/databases/shop").await;
    assert_eq!(status(&trashed, 200)["state"], "trashed");
    assert_eq!(trashed.json()["worker"], Value::Null);
    assert_eq!(trashed.json()["purge_at"], "2026-03-08T12:00:00.000Z");
    assert!(trashed.json()["size_bytes"].as_u64().unwrap() > 0);
    let again = forge.send("DELETE", "/v1/databases/shop", "").await;
    let said = again.problem(410, "database_deleted");
    assert!(said.contains("/v1/databases/shop/undelete"), "{said}");
    for action in ["stop", "start", "restart"] {
        let path = format!("/v1/databases/shop/{action}");
        forge
            .post(&path, "{}")
            .await
            .problem(410, "database_deleted");
    }

    status(&forge.post("/v1/databases/shop/undelete", "{}").await, 202);
    forge.settle().await;
    assert_eq!(
        forge.get("/v1/databases/shop").await.json()["state"],
        "ready"
    );
    forge
        .post("/v1/databases/shop/undelete", "")
        .await
        .problem(409, "wrong_state");

    status(
        &forge
            .send("DELETE", "/v1/databases/shop?purge=true", "")
            .await,
        202,
    );
    forge.settle().await;
    forge
        .get("/v1/databases/shop")
        .await
        .problem(404, "database_not_found");
    let none = forge.send("DELETE", "/v1/databases/shop", "").await;
    none.problem(404, "database_not_found");
}

#[tokio::test]
async fn a_name_is_taken_in_any_case_until_its_database_is_deleted() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let taken = forge.post("/v1/databases", r#"{"name":"Shop"}"#).await;
    taken.problem(409, "database_exists");
    forge.send("DELETE", "/v1/databases/shop", "").await;
    forge.settle().await;
    status(
        &forge.post("/v1/databases", r#"{"name":"Shop"}"#).await,
        202,
    );
    let back = forge.post("/v1/databases/shop/undelete", "").await;
    back.problem(409, "wrong_state");
}

#[tokio::test]
async fn settings_change_at_once_and_only_as_they_were_seen() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let path = "/v1/databases/shop";
    let first = forge.get(path).await;
    let patch = |etag: &str| {
        forge
            .ask("PATCH", path)
            .token(ROOT)
            .header("if-match", etag)
    };
    let body = r#"{"protect":true,"ttl":60,"labels":{"a":"b"},"limits":{"size_bytes":65536}}"#;
    let changed = patch(first.header("etag")).body(body).await;
    let now = status(&changed, 200);
    assert_eq!(now["protected"], true);
    assert_eq!(now["expires_at"], "2026-03-01T12:01:00.000Z");
    assert_eq!(now["limits"]["size_bytes"], 65536);
    assert_eq!(now["limits"]["cpu_millis"], 500);
    assert_ne!(changed.header("etag"), first.header("etag"));

    let stale = patch(first.header("etag")).body(r#"{"ttl":null}"#).await;
    stale.problem(412, "precondition_failed");
    let wrong = patch("1").body("{}").await;
    assert!(wrong.problem(400, "invalid_request").contains("ETag"));
    let protected = forge.send("DELETE", path, "").await;
    let said = protected.problem(409, "database_protected");
    assert!(said.contains("protect"), "{said}");

    let same = patch(changed.header("etag")).body("{}").await;
    assert_eq!(
        status(&same, 200),
        now,
        "nothing was asked, nothing changed"
    );
    let open = forge
        .send("PATCH", path, r#"{"protect":false,"ttl":null}"#)
        .await;
    assert_eq!(status(&open, 200)["expires_at"], Value::Null);
    status(&forge.send("DELETE", path, "").await, 202);
    let create = forge.ask("POST", "/v1/databases").token(ROOT);
    let create = create.header("if-match", "\"e1\"").body("{}").await;
    create.problem(400, "invalid_request");
}

#[tokio::test]
async fn a_plan_tells_what_would_happen_and_does_nothing() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let before = forge.control.current().head;
    let plan = forge
        .post("/v1/databases?dry_run=plan", r#"{"name":"new"}"#)
        .await;
    let kinds: Vec<_> = status(&plan, 200)["events"].as_array().unwrap().clone();
    let kinds: Vec<_> = kinds.iter().map(|it| it["kind"].clone()).collect();
    assert_eq!(kinds, ["database_requested", "job_enqueued"]);
    let plan = forge
        .send("DELETE", "/v1/databases/shop?dry_run=plan&purge=true", "")
        .await;
    let mut shown = status(&plan, 200);
    assert!(shown["effects"][1]["bytes"].take().as_u64().unwrap() > 0);
    with_snapshots_in("http", || {
        insta::assert_snapshot!("a_plan_to_purge", shown.to_string());
    });
    for action in ["stop", "start", "restart"] {
        let path = format!("/v1/databases/shop/{action}?dry_run=plan");
        status(&forge.post(&path, "").await, 200);
    }
    let change = forge.send(
        "PATCH",
        "/v1/databases/shop?dry_run=plan",
        r#"{"protect":true}"#,
    );
    assert_eq!(change.await.json()["events"][0]["kind"], "database_changed");
    let taken = forge
        .post("/v1/databases?dry_run=plan", r#"{"name":"shop"}"#)
        .await;
    taken.problem(409, "database_exists");
    forge
        .post("/v1/databases?dry_run=yes", "{}")
        .await
        .problem(400, "invalid_request");
    assert_eq!(forge.control.current().head, before);
}

#[tokio::test]
async fn lists_are_filtered_and_come_in_pages() {
    let forge = HttpForge::new().await;
    for (name, team) in [("a", "red"), ("b", "blue"), ("ab", "red")] {
        let body = format!(r#"{{"name":"{name}","labels":{{"team":"{team}"}}}}"#);
        forge.post("/v1/databases", &body).await;
    }
    forge.settle().await;
    forge.post("/v1/databases/b/stop", "").await;
    forge.settle().await;
    let list = async |query: &str| names(&forge.get(&format!("/v1/databases?{query}")).await);
    assert_eq!(list("").await, ["a", "b", "ab"]);
    assert_eq!(list("order=desc").await, ["ab", "b", "a"]);
    assert_eq!(list("label=team=red").await, ["a", "ab"]);
    assert_eq!(list("q=A").await, ["a", "ab"]);
    assert_eq!(list("state=stopped").await, ["b"]);
    let first = forge.get("/v1/databases?limit=2").await;
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(
        first.header("x-dbforge-sequence"),
        first.json()["as_of"].to_string()
    );
    let cursor = first.json()["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(list(&format!("limit=2&cursor={cursor}")).await, ["ab"]);
    let other = forge.get(&format!("/v1/jobs?cursor={cursor}")).await;
    other.problem(400, "invalid_request");
}

#[tokio::test]
async fn a_worker_is_shown_as_it_was_last_seen() {
    let forge = HttpForge::new().await;
    let id = forge.ready("shop").await;
    let worker = async || forge.get("/v1/databases/shop").await.json()["worker"]["state"].clone();
    assert_eq!(worker().await, "healthy");
    assert!(forge.kept.engine.meddle(INSTANCE, id, Meddling::Exit));
    forge
        .job_context
        .worker_status
        .note(id, Some(WorkerState::Exited));
    assert_eq!(worker().await, "exited");
    forge.job_context.worker_status.note(id, None);
    assert_eq!(worker().await, "missing");
    forge.post("/v1/databases/shop/stop", "").await;
    forge.settle().await;
    assert_eq!(
        forge.get("/v1/databases/shop").await.json()["worker"],
        Value::Null
    );
}
