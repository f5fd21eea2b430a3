//! PostgreSQL: its databases' files, its servers, and SQL on them through HTTP.
mod answers;
mod files;
mod hostile;
mod life;
mod limits;
mod rows;
mod schema;
mod transactions;

use crate::support::http::{Answer, HttpForge};
use crate::support::test_forge::Kept;
use dbforge::engine::postgres::{Postgres, PostgresConfig};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A forge with the database `shop` on a server of its own.
async fn with_shop() -> HttpForge {
    let forge = HttpForge::found(Kept::with_postgres()).await;
    forge.ready("shop").await;
    forge
}

/// Sends a body to a route of `shop`.
async fn send(forge: &HttpForge, route: &str, body: Value) -> Answer {
    let path = format!("/v1/databases/shop/{route}");
    forge.send("POST", &path, &body.to_string()).await
}

async fn ask(forge: &HttpForge, sql: &str) -> Answer {
    send(forge, "query", json!({ "sql": sql })).await
}

/// Runs what has to work, and returns its rows.
async fn rows(forge: &HttpForge, sql: &str) -> Value {
    let answer = ask(forge, sql).await;
    assert_eq!(answer.status, 200, "{sql}: {}", answer.text);
    answer.json()["rows"].clone()
}

/// An engine whose data folder is `folder`.
pub(crate) fn engine_in(folder: &Path) -> Postgres {
    let is_root = rustix::process::geteuid().is_root();
    for (name, mode) in [("", 0o711), (".forge", 0o700)] {
        let folder = folder.join(name);
        let _ = fs::create_dir(&folder);
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    }
    Postgres::new(PostgresConfig {
        data_dir: folder.to_owned(),
        owner: is_root.then_some((65532, 65532)),
        bin: None,
        image: String::new(),
    })
}
