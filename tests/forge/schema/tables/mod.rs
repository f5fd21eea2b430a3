//! Tables and indexes, made, changed and removed without SQL.
mod anew;
mod made;

use crate::support::http::{Answer, HttpForge};
use serde_json::{Value, json};

async fn shop(statements: &[&str]) -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    for statement in statements {
        rows(&forge, statement).await;
    }
    forge
}

/// The rows that a statement answers.
async fn rows(forge: &HttpForge, sql: &str) -> Value {
    let body = json!({ "sql": sql }).to_string();
    let answer = forge.post("/v1/databases/shop/query", &body).await;
    assert_eq!(answer.status, 200, "{sql}: {}", answer.text);
    answer.json()["rows"].take()
}

async fn create(forge: &HttpForge, body: Value) -> Answer {
    forge
        .post("/v1/databases/shop/tables", &body.to_string())
        .await
}

/// Changes a table, whose name is encoded already.
async fn alter(forge: &HttpForge, table: &str, body: Value) -> Answer {
    let path = format!("/v1/databases/shop/tables/{table}");
    forge.send("PATCH", &path, &body.to_string()).await
}

#[track_caller]
fn assert_done(answer: &Answer) {
    assert!(answer.status.is_success(), "{}", answer.text);
}
