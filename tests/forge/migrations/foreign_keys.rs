//! Foreign keys that do not hold while a migration runs hold again behind it, however it ends.
use super::{apply, apply_with, rows, shop};
use crate::support::http::HttpForge;
use crate::support::sqlite;
use serde_json::json;

const TABLES: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); \
    CREATE TABLE orders (id INTEGER PRIMARY KEY, user INT REFERENCES users ON DELETE CASCADE); \
    INSERT INTO users VALUES (1, 'Ann'), (2, 'Bob'); INSERT INTO orders VALUES (10, 1), (11, 2)";

/// Makes `users` anew, as SQLite's page about ALTER TABLE says.
const REBUILD: &str = "PRAGMA foreign_keys=OFF; CREATE TABLE new_users (id INTEGER PRIMARY KEY, name TEXT NOT NULL); \
    INSERT INTO new_users SELECT * FROM users; DROP TABLE users; ALTER TABLE new_users RENAME TO users; \
    PRAGMA foreign_key_check; PRAGMA foreign_keys=ON";

async fn assert_that_foreign_keys_hold(forge: &HttpForge) {
    let body = json!({ "sql": "INSERT INTO orders VALUES (99, 99)" }).to_string();
    let refused = forge.post("/v1/databases/shop/query", &body).await;
    refused.problem(409, "constraint_violation");
}

async fn with_tables() -> HttpForge {
    let forge = shop().await;
    assert_eq!(apply(&forge, "1", TABLES).await.status, 201);
    forge
}

#[tokio::test]
async fn a_table_that_others_refer_to_is_made_anew_without_losing_their_rows() {
    let forge = with_tables().await;
    let done = apply(&forge, "2", REBUILD).await;
    assert_eq!(done.status, 201, "{}", done.text);
    let left = rows(&forge, "SELECT id FROM orders ORDER BY id").await;
    assert_eq!(left, json!([[10], [11]]));
    assert_that_foreign_keys_hold(&forge).await;
}

#[tokio::test]
async fn references_that_a_migration_breaks_are_named_and_nothing_is_kept() {
    let forge = with_tables().await;
    let broken = apply(
        &forge,
        "2",
        "PRAGMA foreign_keys=OFF; DELETE FROM users WHERE id = 2",
    )
    .await;
    broken.problem(409, "constraint_violation");
    let detail = broken.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("ow 11 of `orders` refers to a row of `users`"),
        "{detail}"
    );
    assert_eq!(
        rows(&forge, "SELECT count(*) FROM users").await,
        json!([[2]])
    );
    assert_that_foreign_keys_hold(&forge).await;
    // Deferred by the text, and broken at its end.
    let deferred = "PRAGMA defer_foreign_keys=ON; INSERT INTO orders VALUES (12, 77)";
    let broken = apply(&forge, "2", deferred).await;
    broken.problem(409, "constraint_violation");
    assert!(broken.text.contains("ow 12 of `orders`"), "{}", broken.text);
}

#[tokio::test]
async fn what_was_broken_before_may_stay_so_but_not_become_more() {
    let forge = with_tables().await;
    let breaks =
        json!({ "name": "2", "sql": "INSERT INTO orders VALUES (12, 77)", "foreign_keys": false });
    apply_with(&forge, breaks)
        .await
        .problem(409, "constraint_violation");
    // As another program would.
    let id = forge
        .control
        .current()
        .state
        .find_database("shop")
        .unwrap()
        .id;
    let file = forge
        .gateway
        .service
        .data
        .folders()
        .living(id)
        .join("main.db");
    let other = sqlite::open(file);
    other
        .execute_batch("PRAGMA foreign_keys=OFF; INSERT INTO orders VALUES (12, 77)")
        .unwrap();
    let done = apply(&forge, "2", REBUILD).await;
    assert_eq!(done.status, 201, "{}", done.text);
    let anew = "PRAGMA foreign_keys=OFF; CREATE TABLE x (id INTEGER PRIMARY KEY, user INT REFERENCES users); \
        INSERT INTO x SELECT * FROM orders; DROP TABLE orders; ALTER TABLE x RENAME TO orders";
    let done = apply(&forge, "3", anew).await;
    assert_eq!(done.status, 201, "{}", done.text);
    let renamed = "PRAGMA foreign_keys=OFF; ALTER TABLE orders RENAME TO sales";
    assert_eq!(apply(&forge, "4", renamed).await.status, 201);
    let one_for_another = "PRAGMA foreign_keys=OFF; UPDATE sales SET user = 1 WHERE id = 12; UPDATE sales SET user = 88 WHERE id = 10";
    let refused = apply(&forge, "5", one_for_another).await;
    refused.problem(409, "constraint_violation");
    assert!(
        refused.text.contains("ow 10 of `sales`"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn foreign_keys_hold_again_after_a_migration_that_failed_ran_out_of_time_or_was_dropped() {
    let forge = with_tables().await;
    apply(&forge, "2", "PRAGMA foreign_keys=OFF; SELECT nothing")
        .await
        .problem(400, "sql_error");
    assert_that_foreign_keys_hold(&forge).await;

    let endless = "PRAGMA foreign_keys=OFF; WITH RECURSIVE n(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT max(a) FROM n";
    let body = json!({ "name": "2", "sql": endless, "timeout_ms": 100 });
    apply_with(&forge, body)
        .await
        .problem(422, "statement_timeout");
    assert_that_foreign_keys_hold(&forge).await;

    let running = apply(&forge, "2", endless);
    let cut = tokio::time::timeout(std::time::Duration::from_millis(200), running).await;
    assert!(cut.is_err(), "its caller goes away");
    assert_that_foreign_keys_hold(&forge).await;
    assert_eq!(super::applied(&forge).await, ["1"]);
}

#[tokio::test]
async fn views_that_use_a_table_survive_the_old_way_to_rename() {
    let forge = with_tables().await;
    assert_eq!(
        apply(&forge, "2", "CREATE VIEW names AS SELECT name FROM users")
            .await
            .status,
        201
    );
    let old_way = REBUILD.replace(
        "PRAGMA foreign_keys=OFF;",
        "PRAGMA foreign_keys=OFF; PRAGMA legacy_alter_table=ON;",
    );
    let done = apply(&forge, "3", &old_way).await;
    assert_eq!(done.status, 201, "{}", done.text);
    assert_eq!(
        rows(&forge, "SELECT count(*) FROM names").await,
        json!([[2]])
    );
    let setting = rows(&forge, "PRAGMA legacy_alter_table").await;
    assert_eq!(setting, json!([[0]]));
}
