//! The original's routes, as its clients know them: to the letter.
mod admin;
mod clients;
mod rows;
mod tables;

use crate::support::http::{Answer, HttpForge, ROOT};
use crate::support::with_snapshots_in;
use dbforge::http::HttpConfig;
use dbforge::jobs::runner::Runner;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Ids, and worker ids, differ from run to run, because jobs run on their own.
fn snapshot(name: &str, text: &str) {
    with_snapshots_in("http", || {
        let mut settings = insta::Settings::clone_current();
        settings.add_filter("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>");
        settings.add_filter(r#""container_id":"[^"]+""#, r#""container_id":"<worker>""#);
        settings.bind(|| insta::assert_snapshot!(name, text));
    });
}

/// Lets jobs run by themselves, until what is returned is dropped.
pub(crate) fn run_jobs(forge: &HttpForge) -> DropGuard {
    let stop = CancellationToken::new();
    tokio::spawn(Arc::new(Runner::new(forge.job_context.clone())).run(stop.clone()));
    stop.drop_guard()
}

/// A request with the headers that clients of the original send.
async fn send(forge: &HttpForge, method: &str, path: &str, body: &str) -> Answer {
    let ask = forge.ask(method, path).header("x-api-key", ROOT);
    ask.header("content-type", "application/json")
        .body(body)
        .await
}

/// The original's answer to one statement.
pub(crate) async fn sql(forge: &HttpForge, database: &str, sql: &str) -> Answer {
    let body = json!({ "sql": sql }).to_string();
    forge
        .post(&format!("/api/db/{database}/query"), &body)
        .await
}

/// A forge with a database and a table in it.
pub(crate) async fn with_users() -> HttpForge {
    let forge = HttpForge::with(impatient()).await;
    forge.ready("shop").await;
    let table = r#"{"table_name":"users","columns":[
        {"name":"id","type":"INTEGER","primary_key":true},
        {"name":"name","type":"TEXT","not_null":true,"unique":true},
        {"name":"age","type":"INTEGER","default":18}]}"#;
    let made = forge.post("/api/db/shop/tables", table).await;
    assert_eq!(made.status, 201, "{}", made.text);
    forge
}

/// Waits for no database that is on its way.
fn impatient() -> HttpConfig {
    HttpConfig {
        ready_wait: Duration::ZERO,
        ..HttpConfig::default()
    }
}

#[tokio::test]
async fn a_client_of_the_original_finds_every_word_as_it_was() {
    let forge = HttpForge::new().await;
    let _jobs = run_jobs(&forge);
    let mut story = String::new();
    for (method, path, body) in [
        ("GET", "/", ""),
        ("GET", "/admin/databases", ""),
        ("POST", "/admin/databases/spawn/test_db_1", ""),
        ("POST", "/admin/databases/spawn/test_db_1", ""),
        ("GET", "/admin/databases", ""),
        ("GET", "/admin/discovery", ""),
        (
            "POST",
            "/api/db/test_db_1/tables",
            r#"{"table_name":"users","columns":[{"name":"id","type":"INTEGER","primary_key":true},{"name":"name","type":"TEXT","not_null":true},{"name":"age","type":"INTEGER"}]}"#,
        ),
        (
            "POST",
            "/api/db/test_db_1/tables/users/rows",
            r#"{"rows":[{"name":"Alice","age":30},{"name":"Bob","age":24}]}"#,
        ),
        ("GET", "/api/db/test_db_1/tables/users/rows", ""),
        ("GET", "/api/db/test_db_1/tables/users/rows?age=24", ""),
        (
            "POST",
            "/api/db/test_db_1/query",
            r#"{"sql":"SELECT * FROM 'users' WHERE age > ?","params":[25]}"#,
        ),
        (
            "POST",
            "/api/db/test_db_1/query",
            r#"{"sql":"UPDATE 'users' SET age = ? WHERE name = ?","parameters":[31,"Alice"]}"#,
        ),
        (
            "POST",
            "/api/db/test_db_1/query",
            r#"{"sql":"SELECT * FROM non_existent_table"}"#,
        ),
        ("POST", "/api/db/nothing/query", r#"{"sql":"SELECT 1"}"#),
        ("POST", "/admin/databases/spawn/wrong%20name!", ""),
        ("POST", "/admin/databases/prune/nothing", ""),
        ("POST", "/admin/databases/prune/test_db_1", ""),
        ("POST", "/admin/databases/prune/test_db_1", ""),
        ("GET", "/admin/databases", ""),
        ("POST", "/admin/databases/spawn/test_db_1", ""),
        ("GET", "/api/db/test_db_1/tables/users/rows?name=Alice", ""),
        ("DELETE", "/admin/databases/test_db_1", ""),
        ("GET", "/admin/databases/test_db_1", ""),
        ("GET", "/api/db/test_db_1/tables/users/rows", ""),
    ] {
        let answer = send(&forge, method, path, body).await;
        let asked = format!("{method} {path} {body}");
        story += &format!(
            "{}\n{} {}\n\n",
            asked.trim(),
            answer.status.as_u16(),
            answer.text
        );
    }
    snapshot("the_original_told_from_spawn_to_delete", &story);
}

#[tokio::test]
async fn whatever_sqlite_refuses_is_a_bad_request_that_begins_with_sql_error() {
    let forge = with_users().await;
    let rows = "/api/db/shop/tables/users/rows";
    forge.post(rows, r#"{"rows":[{"name":"Ann"}]}"#).await;
    let mut told = String::new();
    for (method, path, body) in [
        ("POST", "/api/db/shop/query", r#"{"sql":"SELEC 1"}"#),
        ("POST", "/api/db/shop/query", r#"{"sql":"SELECT ?"}"#),
        (
            "POST",
            "/api/db/shop/query",
            r#"{"sql":"INSERT INTO users (name) VALUES ('Ann')"}"#,
        ),
        (
            "POST",
            "/api/db/shop/tables",
            r#"{"table_name":"users","columns":[{"name":"a","type":"INT"}]}"#,
        ),
        (
            "POST",
            "/api/db/shop/tables",
            r#"{"table_name":"empty","columns":[]}"#,
        ),
        (
            "POST",
            "/api/db/shop/tables",
            r#"{"table_name":"t","columns":[{"name":"a","type":"INT); DROP TABLE users; --"}]}"#,
        ),
        (
            "POST",
            "/api/db/shop/tables",
            r#"{"table_name":"","columns":[{"name":"a","type":"INT"}]}"#,
        ),
        (
            "POST",
            "/api/db/shop/tables",
            r#"{"table_name":"t","columns":[{"name":"","type":"INT"}]}"#,
        ),
        ("POST", rows, r#"{"rows":[{"name":"Bob"},{"name":"Ann"}]}"#),
        ("POST", rows, r#"{"rows":[{"nam":"Bob"}]}"#),
        (
            "POST",
            "/api/db/shop/tables/usrs/rows",
            r#"{"rows":[{"name":"Bob"}]}"#,
        ),
        ("GET", "/api/db/shop/tables/usrs/rows", ""),
        ("GET", "/api/db/shop/tables/users/rows?nam=Bob", ""),
    ] {
        let answer = send(&forge, method, path, body).await;
        answer.problem(400, "sql_error");
        let detail = answer.json()["detail"].clone();
        told += &format!("{path} {body}\n{}\n\n", detail.as_str().unwrap());
    }
    snapshot("what_sqlite_refuses_in_the_originals_words", &told);
    let left = forge.get(rows).await.json();
    assert_eq!(
        left["rows_affected"], 1,
        "a row that is refused takes the others with it"
    );

    let nothing = forge.post(rows, r#"{"rows":[]}"#).await;
    nothing.problem(400, "invalid_request");
    assert_eq!(nothing.json()["detail"], "No rows provided for insertion.");
}

#[tokio::test]
async fn filters_compare_as_their_column_does_and_pages_are_cut_out() {
    let forge = with_users().await;
    let rows = "/api/db/shop/tables/users/rows";
    let people = r#"{"rows":[{"name":"Ann","age":30},{"name":"Bob"},{"name":"24","age":24}]}"#;
    assert_eq!(forge.post(rows, people).await.json()["rows_affected"], 3);
    let names = |query: &'static str| {
        let forge = &forge;
        async move {
            let answer = forge.get(&format!("{rows}{query}")).await;
            let data = answer.json()["data"].clone();
            let all = data.as_array().unwrap();
            assert_eq!(answer.json()["rows_affected"], all.len(), "{}", answer.text);
            let name = |it: &Value| it["name"].as_str().unwrap().to_owned();
            all.iter().map(name).collect::<Vec<_>>().join(" ")
        }
    };
    assert_eq!(names("").await, "Ann Bob 24");
    assert_eq!(names("?age=18").await, "Bob", "the default of its column");
    assert_eq!(names("?age=24").await, "24", "as a number");
    assert_eq!(names("?name=24").await, "24", "as a text");
    assert_eq!(names("?name=Ann&age=24").await, "");
    assert_eq!(names("?limit=1&offset=1").await, "Bob");
    assert_eq!(names("?offset=2").await, "24");
    assert_eq!(names("?limit=0").await, "");
    let wrong = forge.get(&format!("{rows}?limit=many")).await;
    wrong.problem(400, "invalid_request");
}

#[tokio::test]
async fn bytes_are_plain_base64_infinities_null_and_unknown_fields_are_ignored() {
    let forge = with_users().await;
    let query = r#"{"sql":"SELECT x'00ff' AS bytes, -9e999 AS least","stream":false}"#;
    let answer = forge.post("/api/db/shop/query", query).await;
    assert_eq!(
        answer.text,
        r#"{"data":[{"bytes":"AP8=","least":null}],"rows_affected":1,"message":null}"#
    );
    let change = forge
        .post("/api/db/shop/query", r#"{"sql":"CREATE TABLE t (a)"}"#)
        .await;
    assert_eq!(
        change.text,
        r#"{"data":null,"rows_affected":0,"message":"Query executed successfully."}"#
    );
}

#[tokio::test]
async fn a_result_that_is_too_large_is_told_with_what_these_routes_can_do_about_it() {
    let forge = with_users().await;
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10001) \
                SELECT i FROM n";
    let answer = sql(&forge, "shop", many).await;
    let said = answer.problem(413, "result_too_large");
    assert!(
        said.contains("LIMIT") && !said.contains("max_rows"),
        "{said}"
    );
}
