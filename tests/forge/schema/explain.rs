//! How a statement is run, what is slow in it, and which index helps.
use crate::support::http::HttpForge;
use serde_json::{Value, json};

async fn shop() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    for statement in [
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, age INT)",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, user INT, total REAL)",
        "CREATE TABLE users_name (taken)",
    ] {
        run(&forge, statement).await;
    }
    forge
}

async fn run(forge: &HttpForge, sql: &str) {
    let body = json!({ "sql": sql }).to_string();
    let ran = forge.post("/v1/databases/shop/query", &body).await;
    assert_eq!(ran.status, 200, "{}", ran.text);
}

async fn explained(forge: &HttpForge, sql: &str) -> Value {
    let body = json!({ "sql": sql }).to_string();
    let told = forge.post("/v1/databases/shop/explain", &body).await;
    assert_eq!(told.status, 200, "{sql}: {}", told.text);
    told.json()
}

#[tokio::test]
async fn a_full_scan_is_flagged_until_the_suggested_index_ends_it() {
    for sql in [
        "SELECT * FROM users WHERE name = ?1",
        "DELETE FROM users WHERE name = 'Ann'",
        "SELECT name, age FROM users WHERE age > 3 ORDER BY age",
        "SELECT * FROM users u JOIN orders o ON o.user = u.id WHERE u.name = :name AND u.age = 3",
    ] {
        let forge = shop().await;
        let before = explained(&forge, sql).await;
        let scans = |told: &Value| told["plan"].to_string().matches("full_scan").count();
        assert!(scans(&before) > 0, "{before}");
        let suggested = before["suggested_indexes"].as_array().unwrap();
        assert!(!suggested.is_empty(), "{sql}: {before}");
        for index in suggested {
            run(&forge, index.as_str().unwrap()).await;
        }
        let after = explained(&forge, sql).await;
        assert!(scans(&after) < scans(&before), "{sql}: {after}");
    }
}

#[tokio::test]
async fn steps_stand_in_the_step_that_they_are_a_part_of() {
    let forge = shop().await;
    let told = explained(
        &forge,
        "SELECT name FROM users UNION ALL SELECT (SELECT max(total) FROM orders) ORDER BY 1",
    )
    .await;
    let text = told["plan"].to_string();
    assert!(
        told["plan"][0]["steps"].as_array().unwrap().len() >= 2,
        "{text}"
    );
    assert!(text.contains("temporary_b_tree"), "{text}");
    let automatic = explained(
        &forge,
        "SELECT * FROM users u, orders o WHERE o.user = u.age",
    )
    .await;
    assert!(
        automatic["plan"].to_string().contains("automatic_index"),
        "{automatic}"
    );
}

#[tokio::test]
async fn what_is_no_statement_is_refused_and_nothing_is_run() {
    let forge = shop().await;
    let path = "/v1/databases/shop/explain";
    for (sql, code) in [
        ("SELECT * FROM nothing", "sql_error"),
        ("SELECT 1; DROP TABLE users", "invalid_request"),
        ("", "sql_error"),
        ("EXPLAIN SELECT 1", "sql_error"),
    ] {
        forge
            .post(path, &json!({ "sql": sql }).to_string())
            .await
            .problem(400, code);
    }
    let reader = forge.token("reader", "\"read\"", "\"shop\"").await;
    let body = json!({ "sql": "DROP TABLE users" }).to_string();
    let told = forge.ask("POST", path).token(&reader).body(&body).await;
    assert!(
        told.status.is_success() || told.status == 403,
        "{}",
        told.text
    );
    explained(&forge, "SELECT * FROM users").await;
}
