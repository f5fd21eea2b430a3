//! A load in the running program: cancelled, killed and stopped in the middle.
use crate::support::TempFolder;
use crate::support::children::{children, is_alive, kill_children};
use crate::support::gateway_process::GatewayProcess;
use serde_json::{Value, json};
use std::fs;

/// It does not end by itself, so that its middle can be met.
const ENDLESS: &str = "CREATE TABLE t(a);
    INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)
    SELECT count(*) FROM c;";

/// A gateway with an empty database `shop`, into which a file is loaded that has no end; and the
/// path of its job.
fn loading(folder: &TempFolder) -> (GatewayProcess, String) {
    loading_in(folder, "")
}

fn loading_in(folder: &TempFolder, mode: &str) -> (GatewayProcess, String) {
    let gateway = GatewayProcess::start(folder.path());
    gateway.post("/v1/databases", &json!({"name": "shop"}));
    gateway.poll("shop is ready", || {
        let shop = gateway.get("/v1/databases/shop");
        shop.is_some_and(|(_, it)| it["state"] == "ready")
    });
    // JSON text is no SQL, so the file is an upload of its own.
    let upload = upload(&gateway);
    let body = json!({"upload": upload});
    let path = format!("/v1/databases/shop/import{mode}");
    let (status, job) = gateway.post(&path, &body).unwrap();
    assert_eq!(status, 202, "{job}");
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    gateway.poll("a child works", || !children(&gateway).is_empty());
    (gateway, path)
}

fn upload(gateway: &GatewayProcess) -> Value {
    let mut answer = ureq::post(format!("{}/v1/uploads", gateway.url))
        .header("X-API-Key", &gateway.token)
        .header("Content-Type", "application/sql")
        .send(ENDLESS)
        .unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["id"].clone()
}

fn state(gateway: &GatewayProcess, job: &str) -> Value {
    let (_, job) = gateway.get(job).unwrap_or_default();
    job["state"].clone()
}

/// Cancels the job, and looks whether everything is as it was before.
fn cancel(gateway: &GatewayProcess, folder: &TempFolder, job: &str) {
    gateway.post(&format!("{job}/cancel"), &json!({}));
    gateway.poll("the job is cancelled", || {
        state(gateway, job) == "cancelled"
    });
    assert_eq!(children(gateway), [0; 0], "its child is gone");
    let databases = fs::read_dir(folder.path().join("databases")).unwrap();
    assert_eq!(databases.count(), 1, "nothing but the database is left");
    let trash = fs::read_dir(folder.path().join("trash")).unwrap();
    assert_eq!(trash.count(), 0);
    let query = json!({"sql": "SELECT count(*) FROM sqlite_schema"});
    let (_, answer) = gateway.post("/v1/databases/shop/query", &query).unwrap();
    assert_eq!(answer["rows"], json!([[0]]));
}

#[test]
fn a_load_is_cancelled_in_the_middle_while_the_database_answers() {
    let folder = TempFolder::new();
    let (gateway, job) = loading(&folder);
    let query = json!({"sql": "SELECT 1"});
    let (status, _) = gateway.post("/v1/databases/shop/query", &query).unwrap();
    assert_eq!(status, 200, "it answers meanwhile");
    cancel(&gateway, &folder, &job);
}

#[test]
fn sql_waits_for_a_load_as_long_as_it_says_and_is_told_of_it() {
    let folder = TempFolder::new();
    let (gateway, job) = loading_in(&folder, "?mode=insert");
    let told = |(status, answer): (u16, Value)| {
        assert_eq!(
            (status, &answer["code"]),
            (409, &json!("database_not_ready"))
        );
        let detail = answer["detail"].as_str().unwrap();
        assert_eq!(detail, "Database `shop` is being loaded.");
        assert!(
            answer["hint"].as_str().unwrap().contains("/v1/jobs/"),
            "{answer}"
        );
    };
    let column = json!([{"name": "a"}]);
    for (route, body) in [
        ("query", json!({"sql": "SELECT 1", "timeout_ms": 200})),
        ("transactions", json!({"timeout_ms": 200})),
        (
            "tables?timeout_ms=200",
            json!({"name": "u", "columns": column}),
        ),
    ] {
        let path = format!("/v1/databases/shop/{route}");
        told(gateway.post(&path, &body).unwrap());
    }
    // What has no `timeout_ms` waits for as long as it always does.
    told(gateway.get("/v1/databases/shop/schema").unwrap());
    // The load goes on: nothing here has waited for it.
    assert!(!children(&gateway).is_empty());
    cancel(&gateway, &folder, &job);
}

#[test]
fn a_child_that_is_killed_is_started_again() {
    let folder = TempFolder::new();
    let (gateway, job) = loading(&folder);
    let first = children(&gateway);
    kill_children(&gateway);
    gateway.poll("another child works", || {
        children(&gateway).iter().any(|id| !first.contains(id))
    });
    let (_, shown) = gateway.get(&job).unwrap();
    let told = shown["attempts"][0]["error"]["detail"].as_str().unwrap();
    assert!(told.contains("SIGKILL"), "{shown}");
    cancel(&gateway, &folder, &job);
}

#[test]
fn a_load_goes_on_after_a_kill_and_after_a_stop() {
    let folder = TempFolder::new();
    let (gateway, job) = loading(&folder);
    let child = children(&gateway)[0];
    gateway.kill();
    let gateway = GatewayProcess::start(folder.path());
    gateway.poll("the child of the dead gateway is gone", || !is_alive(child));
    gateway.poll("the load goes on", || !children(&gateway).is_empty());
    let child = children(&gateway)[0];
    assert!(gateway.stop(), "it does not wait for the load");
    assert!(!is_alive(child));
    let gateway = GatewayProcess::start(folder.path());
    gateway.poll("the load goes on", || !children(&gateway).is_empty());
    let (_, shown) = gateway.get(&job).unwrap();
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1, "{shown}");
    cancel(&gateway, &folder, &job);
}
