//! Whole databases that come in: uploads, and what is loaded from them.
mod dumps;
mod exchange;
mod files;
mod running;
mod uploads;

use crate::support::http::HttpForge;
use serde_json::Value;

/// A forge with an empty database `shop`.
async fn forge() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    forge
}

/// Imports a file into `shop`, and returns its job when that has ended.
async fn import(forge: &HttpForge, query: &str, file: &[u8]) -> Value {
    let path = format!("/v1/databases/shop/import{query}");
    let ask = forge.ask("POST", &path).token(crate::support::http::ROOT);
    let answer = ask.header("content-type", "application/octet-stream");
    let answer = answer.bytes(file).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    forge.settle().await;
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    forge.get(&format!("/v1/jobs/{id}")).await.json()
}

/// Imports a file that is accepted, and returns the result.
#[track_caller]
fn result(job: &Value) -> &Value {
    assert_eq!(job["state"], "succeeded", "{job}");
    &job["result"]
}

/// The problem of a job that has failed because of its file.
#[track_caller]
fn refused(job: &Value) -> &str {
    assert_eq!(job["state"], "failed", "{job}");
    assert_eq!(job["problem"]["code"], "import_refused", "{job}");
    job["problem"]["detail"].as_str().unwrap()
}

/// The rows of a query on `shop`.
async fn rows(forge: &HttpForge, sql: &str) -> Value {
    let body = serde_json::json!({ "sql": sql }).to_string();
    let answer = forge.post("/v1/databases/shop/query", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["rows"].clone()
}
