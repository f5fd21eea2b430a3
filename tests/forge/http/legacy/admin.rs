//! The original's `/admin` routes: what comes, rests, goes and is counted.
use super::{run_jobs, sql, with_users};
use crate::support::http::{Answer, HttpForge};
use dbforge::domain::ids::DatabaseId;
use dbforge::domain::verb::Verb;
use dbforge::http::HttpConfig;
use dbforge::runtime::simulated::{Action, Fault};
use serde_json::{Value, json};
use std::time::Duration;

async fn spawn(forge: &HttpForge) -> Answer {
    forge.post("/admin/databases/spawn/shop", "").await
}

fn id_of(forge: &HttpForge, name: &str) -> DatabaseId {
    let current = forge.control.current();
    current.state.find_database(name).unwrap().id
}

fn keys(answer: &Value) -> Vec<&str> {
    answer
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn a_spawn_after_a_delete_makes_another_database_and_leaves_the_trash_alone() {
    let forge = HttpForge::new().await;
    let _jobs = run_jobs(&forge);
    spawn(&forge).await;
    let first = id_of(&forge, "shop");
    sql(&forge, "shop", "CREATE TABLE old (a)").await;
    assert_eq!(
        forge
            .send("DELETE", "/admin/databases/shop", "")
            .await
            .status,
        200
    );
    let answer = spawn(&forge).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_ne!(id_of(&forge, "shop"), first);
    let kept = forge.control.current().state.database(first).cloned();
    assert!(!kept.unwrap().is_living());
    sql(&forge, "shop", "SELECT * FROM old")
        .await
        .problem(400, "sql_error");
}

#[tokio::test]
async fn spawns_of_one_name_at_the_same_time_make_one_database() {
    let forge = HttpForge::new().await;
    let _jobs = run_jobs(&forge);
    let spawn = || spawn(&forge);
    let answers: [Answer; 4] = tokio::join!(spawn(), spawn(), spawn(), spawn()).into();
    let mut statuses: Vec<u16> = answers.iter().map(|it| it.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 201]);
    assert_eq!(
        forge
            .get("/admin/databases")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_spawn_that_takes_longer_than_a_client_waits_is_accepted_with_the_same_keys() {
    let config = HttpConfig {
        legacy_wait: Duration::from_millis(1),
        ..HttpConfig::default()
    };
    // Nobody runs its job.
    let forge = HttpForge::with(config).await;
    let first = spawn(&forge).await;
    let again = spawn(&forge).await;
    for answer in [first, again] {
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert_eq!(
            keys(&answer.json()),
            ["container_id", "db_name", "job_id", "message"]
        );
        let worker = format!("db-worker-shop-{}", id_of(&forge, "shop").short());
        assert_eq!(answer.json()["container_id"], worker);
        assert!(answer.json()["job_id"].is_string(), "{}", answer.text);
    }
    assert_eq!(forge.get("/admin/databases").await.json(), json!([]));
}

#[tokio::test]
async fn a_spawn_without_the_runtime_is_refused_and_leaves_nothing() {
    let forge = HttpForge::new().await;
    let _jobs = run_jobs(&forge);
    forge
        .kept
        .engine
        .fail_next(Action::Ping, Fault::Unavailable, 1);
    let answer = spawn(&forge).await;
    answer.problem(503, "runtime_unavailable");
    assert!(
        forge
            .control
            .current()
            .state
            .find_database("shop")
            .is_none()
    );
}

#[tokio::test]
async fn a_spawn_whose_worker_is_refused_says_so_and_frees_the_name() {
    let forge = HttpForge::new().await;
    let _jobs = run_jobs(&forge);
    forge
        .kept
        .engine
        .fail_next(Action::EnsureRunning, Fault::Refused, 1);
    let answer = spawn(&forge).await;
    answer.problem(503, "runtime_refused");
    assert!(
        forge
            .control
            .current()
            .state
            .find_database("shop")
            .is_none()
    );
    assert_eq!(spawn(&forge).await.status, 201);
}

#[tokio::test]
async fn a_database_is_shown_with_its_tables_rows_and_indexes() {
    let forge = with_users().await;
    sql(
        &forge,
        "shop",
        "INSERT INTO users (name) VALUES ('Ann'), ('Bob')",
    )
    .await;
    sql(&forge, "shop", "CREATE INDEX by_age ON users (age)").await;
    sql(&forge, "shop", "CREATE TABLE \"odd \"\"name\" (a)").await;
    let answer = forge.get("/admin/databases/shop").await;
    let id = id_of(&forge, "shop");
    let mut shown = answer.json()["database"].clone();
    assert!(
        shown["size_bytes"].take().as_u64().unwrap() > 4096,
        "{}",
        answer.text
    );
    let expected = json!({
        "name": "shop",
        "status": "running",
        "container_id": forge.database(id).worker,
        "created_at": "2026-03-01T12:00:00.000Z",
        "file_path": format!("databases/{id}/main.db"),
        "size_bytes": null,
        "tables": [{"name": "odd \"name", "row_count": 0}, {"name": "users", "row_count": 2}],
        "indexes": ["by_age"],
    });
    assert_eq!(shown, expected);
    let unknown = forge.get("/admin/databases/nothing").await;
    assert_eq!(unknown.json()["detail"], "Database instance not found.");
    forge.submit(Verb::Stop.on(id)).await.unwrap();
    forge.settle().await;
    let stopped = forge.get("/admin/databases/shop").await;
    stopped.problem(409, "database_not_ready");
}

#[tokio::test]
async fn a_deleted_database_says_when_the_trash_lets_go_of_it() {
    let forge = HttpForge::new().await;
    let _jobs = run_jobs(&forge);
    spawn(&forge).await;
    let answer = forge.send("DELETE", "/admin/databases/shop", "").await;
    let expected = json!({
        "message": "Database 'shop' deleted successfully",
        "deleted_at": "2026-03-01T12:00:00.000Z",
        "container_removed": true,
        "file_removed": false,
        "purge_at": "2026-03-08T12:00:00.000Z",
    });
    assert_eq!(answer.json(), expected);
    let again = forge.send("DELETE", "/admin/databases/shop", "").await;
    again.problem(404, "database_not_found");
}

#[tokio::test]
async fn requests_and_errors_are_counted_as_they_happened() {
    let forge = with_users().await;
    for _ in 0..3 {
        forge.get("/admin/databases").await;
    }
    forge
        .post("/api/db/nothing/query", r#"{"sql":"SELECT 1"}"#)
        .await;
    forge.get("/nowhere").await;
    let counted = forge.get("/admin/gateway/stats").await;
    let by_endpoint = json!({
        "GET /admin/databases": 3,
        "GET unmatched": 1,
        "POST /api/db/{db}/query": 1,
        "POST /api/db/{db}/tables": 1,
    });
    assert_eq!(counted.json()["requests_by_endpoint"], by_endpoint);
    assert_eq!(counted.json()["total_requests"], 6);
    assert_eq!(counted.json()["total_errors"], 2);
    let by_type = json!({"database_not_found": 1, "route_not_found": 1});
    assert_eq!(counted.json()["errors_by_type"], by_type);
    assert!(counted.json()["uptime_seconds"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn the_statistics_hold_measured_numbers_alone() {
    let forge = with_users().await;
    let stopped = forge.ready("stopped").await;
    forge.submit(Verb::Stop.on(stopped)).await.unwrap();
    let trashed = forge.ready("trashed").await;
    forge.submit(Verb::Delete.on(trashed)).await.unwrap();
    forge.settle().await;
    let size_of = |id| forge.job_context.data.size_bytes(&forge.database(id));
    let sizes = [id_of(&forge, "shop"), stopped].map(size_of);
    let answer = forge.get("/admin/stats").await;
    let expected = json!({
        "total_count": 2,
        "running_count": 1,
        "stopped_count": 1,
        "total_size_bytes": sizes[0] + sizes[1],
        "average_size_bytes": (sizes[0] + sizes[1]) / 2,
    });
    assert_eq!(answer.json()["databases"], expected);
    assert_eq!(answer.json()["api_metrics"]["total_requests"], 1);
    assert_eq!(answer.json()["api_metrics"]["error_rate_percent"], 0.0);
    assert!(
        answer.json()["api_metrics"]["average_response_time_ms"]
            .as_f64()
            .unwrap()
            > 0.0
    );
    for measured in ["memory_usage", "disk_usage"] {
        let used = &answer.json()["system"][measured]["used_bytes"];
        assert!(used.as_u64().unwrap() > 0, "{}", answer.text);
    }
    assert!(
        answer.json()["system"]["cpu_usage_percent"]
            .as_f64()
            .unwrap()
            >= 0.0
    );
    assert_eq!(
        answer.json()["system"]["timestamp"],
        "2026-03-01T12:00:00.000Z"
    );
}

#[tokio::test]
async fn health_is_told_with_what_was_looked_at() {
    let forge = HttpForge::new().await;
    let well = forge.get("/health").await;
    assert_eq!(well.status, 200, "{}", well.text);
    assert_eq!(well.json()["status"], "healthy");
    let checks = json!({"event_log": "ok", "runtime": "ok", "filesystem": "ok"});
    assert_eq!(well.json()["checks"], checks);
    assert_eq!(well.json()["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(well.json()["errors"], Value::Null);

    let forge = HttpForge::new().await;
    forge
        .kept
        .engine
        .fail_next(Action::Ping, Fault::Unavailable, 1);
    let ill = forge.get("/health").await;
    assert_eq!(ill.status, 503, "{}", ill.text);
    assert_eq!(ill.json()["status"], "unhealthy");
    assert_eq!(ill.json()["checks"]["runtime"], "error");
    assert_eq!(
        ill.json()["errors"],
        json!(["what runs the workers does not answer"])
    );
}

#[tokio::test]
async fn admin_routes_are_for_managers_of_the_database_they_are_about() {
    let forge = with_users().await;
    forge.ready("copy-1").await;
    let manager = forge.token("manager", "\"manage\"", "\"copy-*\"").await;
    let ask = |token: &str, method: &str, path: &str, body: &'static str| {
        let ask = forge.ask(method, path).token(token);
        async move { ask.body(body).await }
    };
    for list in ["/admin/databases", "/admin/discovery"] {
        let listed = ask(&manager, "GET", list, "").await;
        assert_eq!(
            listed.json().as_array().unwrap().len(),
            1,
            "{}",
            listed.text
        );
        assert!(listed.text.contains("copy-1"), "{}", listed.text);
    }
    assert_eq!(
        ask(&manager, "GET", "/admin/databases/copy-1", "")
            .await
            .status,
        200
    );
    for (method, path, body) in [
        ("POST", "/admin/databases/spawn/shop", ""),
        ("GET", "/admin/stats", ""),
        ("GET", "/api/db/copy-1/tables/t/rows", ""),
        ("POST", "/api/db/copy-1/query", r#"{"sql":"SELECT 1"}"#),
    ] {
        let answer = ask(&manager, method, path, body).await;
        answer.problem(403, "insufficient_scope");
    }
    for (method, path) in [
        ("POST", "/admin/databases/prune/shop"),
        ("GET", "/admin/databases/shop"),
        ("DELETE", "/admin/databases/shop"),
    ] {
        let answer = ask(&manager, method, path, "").await;
        answer.problem(404, "database_not_found");
    }

    let reader = forge.token("reader", "\"read\"", "\"*\"").await;
    let rows = "/api/db/shop/tables/users/rows";
    assert_eq!(ask(&reader, "GET", rows, "").await.status, 200);
    let insert = r#"{"rows":[{"name":"Ann"}]}"#;
    ask(&reader, "POST", rows, insert)
        .await
        .problem(403, "insufficient_scope");
    ask(&reader, "GET", "/admin/databases", "")
        .await
        .problem(403, "insufficient_scope");
}
