//! Migrations: applied once, in order, whole or not at all.
mod foreign_keys;
mod once;
mod tools;

use crate::support::http::{Answer, HttpForge};
use serde_json::{Value, json};

/// A forge with a database.
async fn shop() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    forge
}

/// Applies a migration as root.
async fn apply(forge: &HttpForge, name: &str, sql: &str) -> Answer {
    apply_with(forge, json!({ "name": name, "sql": sql })).await
}

async fn apply_with(forge: &HttpForge, body: Value) -> Answer {
    forge
        .post("/v1/databases/shop/migrations", &body.to_string())
        .await
}

/// The rows that a statement answers.
async fn rows(forge: &HttpForge, sql: &str) -> Value {
    let body = json!({ "sql": sql }).to_string();
    let answer = forge.post("/v1/databases/shop/query", &body).await;
    assert_eq!(answer.status, 200, "{sql}: {}", answer.text);
    answer.json()["rows"].take()
}

/// The names that were applied, in that order.
async fn applied(forge: &HttpForge) -> Vec<String> {
    let listed = forge.get("/v1/databases/shop/migrations").await.json();
    let listed = listed["data"].as_array().unwrap().iter();
    listed
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect()
}
