//! Rows that come from files into tables.
mod files;
mod hostile;
mod interrupted;
mod modes;

use crate::support::http::{Answer, HttpForge, ROOT};
use serde_json::{Value, json};

/// A forge with a database `shop`.
async fn shop() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    forge
}

async fn run(forge: &HttpForge, sql: &str) -> Value {
    let body = json!({ "sql": sql }).to_string();
    let answer = forge.post("/v1/databases/shop/query", &body).await;
    assert_eq!(answer.status, 200, "{sql}: {}", answer.text);
    answer.json()
}

async fn rows(forge: &HttpForge, sql: &str) -> Value {
    run(forge, sql).await["rows"].take()
}

/// Sends a file, and answers its request.
async fn send(forge: &HttpForge, path: &str, content_type: &str, file: &[u8]) -> Answer {
    let path = format!("/v1/databases/shop/tables/{path}");
    let ask = forge.ask("POST", &path).token(ROOT);
    ask.header("content-type", content_type).bytes(file).await
}

/// Imports a file, and answers its job.
async fn import(forge: &HttpForge, path: &str, content_type: &str, file: &[u8]) -> Value {
    let answer = send(forge, path, content_type, file).await;
    assert_eq!(answer.status, 202, "{path}: {}", answer.text);
    forge.settle().await;
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let job = forge.get(&format!("/v1/jobs/{id}")).await.json();
    assert_eq!(
        left(forge).await,
        json!([]),
        "nothing of an import's own is left"
    );
    job
}

/// What an import brought that ends well.
async fn brought(forge: &HttpForge, path: &str, content_type: &str, file: &[u8]) -> Value {
    let mut job = import(forge, path, content_type, file).await;
    assert_eq!(job["state"], "succeeded", "{path}: {job}");
    job["result"].take()
}

/// Why an import was refused.
async fn refused(forge: &HttpForge, path: &str, content_type: &str, file: &[u8]) -> String {
    let job = import(forge, path, content_type, file).await;
    assert_eq!(job["state"], "failed", "{path}: {job}");
    assert_eq!(job["problem"]["code"], "import_refused", "{job}");
    job["problem"]["detail"].as_str().unwrap().to_owned()
}

async fn csv(forge: &HttpForge, path: &str, file: &str) -> Value {
    brought(forge, path, "text/csv", file.as_bytes()).await
}

async fn refused_csv(forge: &HttpForge, path: &str, file: &str) -> String {
    refused(forge, path, "text/csv", file.as_bytes()).await
}

/// Tables of imports' own.
async fn left(forge: &HttpForge) -> Value {
    rows(
        forge,
        "SELECT name FROM sqlite_schema WHERE name LIKE '%dbforge%'",
    )
    .await
}

async fn schema_of(forge: &HttpForge, table: &str) -> String {
    let sql = format!("SELECT sql FROM sqlite_schema WHERE name = '{table}'");
    rows(forge, &sql).await[0][0]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
