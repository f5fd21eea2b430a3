//! SQL over HTTP: one statement on one database.
use crate::support::http::{Answer, HttpForge};
use crate::support::test_forge::create;
use crate::support::with_snapshots_in;
use dbforge::clock::Deadline;
use dbforge::domain::command::Command;
use dbforge::domain::ids::DatabaseId;
use dbforge::domain::verb::Verb;
use dbforge::http::HttpConfig;
use serde_json::json;
use std::time::Duration;

/// A forge with a database and a table in it.
async fn shop() -> HttpForge {
    let forge = HttpForge::with(impatient()).await;
    forge.ready("shop").await;
    let table = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT UNIQUE, age INTEGER)";
    let made = run(&forge, "shop", table).await;
    assert_eq!(made.status, 200, "{}", made.text);
    forge
}

/// Root's answer to one statement without parameters.
async fn run(forge: &HttpForge, database: &str, sql: &str) -> Answer {
    let body = json!({ "sql": sql }).to_string();
    let path = format!("/v1/databases/{database}/query");
    forge.post(&path, &body).await
}

fn id_of(forge: &HttpForge, name: &str) -> DatabaseId {
    let current = forge.control.current();
    current.state.find_database(name).unwrap().id
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// Waits for no database that is on its way.
fn impatient() -> HttpConfig {
    HttpConfig {
        ready_wait: Duration::ZERO,
        ..HttpConfig::default()
    }
}

fn snapshot(name: &str, text: &str) {
    with_snapshots_in("http", || {
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(r#""elapsed_ms":[0-9.]+"#, r#""elapsed_ms":"…""#);
        settings.add_filter("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "…");
        settings.bind(|| insta::assert_snapshot!(name, text));
    });
}

#[tokio::test]
async fn every_statement_that_returns_rows_is_answered_with_them() {
    let forge = shop().await;
    let mut story = String::new();
    for body in [
        r#"{"sql":"INSERT INTO users (name, age) VALUES (?, ?), ('Bob', 24)","params":["Ann",30]}"#,
        r#"{"sql":"SELECT id, name, age + 1 AS next FROM users ORDER BY id"}"#,
        r#"{"sql":"SELECT name FROM users WHERE age > :age","params":{"age":25},"shape":"objects"}"#,
        r#"{"sql":"SELECT id FROM users ORDER BY id","max_rows":1}"#,
        r#"{"sql":"UPDATE users SET age = 25 WHERE id = 2 RETURNING name, age"}"#,
        r#"{"sql":"SELECT 9007199254740993 AS big, x'00ff' AS bytes, 1e999 AS large, NULL AS none"}"#,
        r#"{"sql":"SELECT 9007199254740993 AS big, 7 AS small","int64":"string"}"#,
        r#"{"sql":"SELECT ?1 AS bytes","params":[{"$base64":"AP8="}]}"#,
        r#"{"sql":"PRAGMA table_info(users)","readonly":true,"timeout_ms":1000}"#,
        r#"{"sql":"WITH n AS (SELECT 1 AS a) SELECT a FROM n"}"#,
        r#"{"sql":"DELETE FROM users"}"#,
    ] {
        let answer = forge.post("/v1/databases/shop/query", body).await;
        story += &format!("{body}\n{} {}\n\n", answer.status.as_u16(), answer.text);
    }
    snapshot("statements_and_their_answers", &story);
}

#[tokio::test]
async fn what_a_statement_cannot_do_is_told_with_its_code_and_a_hint() {
    let forge = shop().await;
    run(&forge, "shop", "INSERT INTO users VALUES (1, 'Ann', 30)").await;
    let mut story = String::new();
    for body in [
        r#"{"sql":"SELECT * FROM usrs"}"#,
        r#"{"sql":"SELEC 1"}"#,
        r#"{"sql":""}"#,
        r#"{"sql":"SELECT 1; SELECT 2"}"#,
        r#"{"sql":"SELECT ?1, ?2","params":[1]}"#,
        r#"{"sql":"SELECT :a","params":{"b":1}}"#,
        r#"{"sql":"INSERT INTO users (name) VALUES ('Ann')"}"#,
        r#"{"sql":"ATTACH 'x' AS y"}"#,
        r#"{"sql":"DELETE FROM users","readonly":true}"#,
        r#"{"sql":"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n","timeout_ms":50}"#,
        r#"{"sql":"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10001) SELECT i FROM n"}"#,
        r#"{"sql":"SELECT 'a text longer than that'","max_bytes":10}"#,
    ] {
        let answer = forge.post("/v1/databases/shop/query", body).await;
        let problem = answer.json();
        let code = problem["code"].as_str().unwrap();
        let said = answer.problem(answer.status.as_u16(), code);
        assert!(answer.status.is_client_error(), "{body}\n{said}");
        story += &format!("{body}\n{} {code}: {said}\n\n", answer.status.as_u16());
    }
    snapshot("statements_and_their_problems", &story);
}

#[tokio::test]
async fn a_request_that_is_not_understood_names_what_is_wrong() {
    let forge = shop().await;
    let huge = format!(r#"{{"sql":"{}"}}"#, "x".repeat(1 << 20));
    for (body, status, code, named) in [
        (
            r#"{"sql":"SELECT 1","readOnly":true}"#,
            400,
            "invalid_request",
            "readOnly",
        ),
        (r#"{"params":[]}"#, 400, "invalid_request", "sql"),
        (r#"{"sql":7}"#, 400, "invalid_request", "string"),
        (
            r#"{"sql":"SELECT 1","params":7}"#,
            400,
            "invalid_request",
            "list",
        ),
        (
            r#"{"sql":"SELECT ?","params":[[1]]}"#,
            400,
            "invalid_request",
            "number",
        ),
        (
            r#"{"sql":"SELECT 1","int64":"text"}"#,
            400,
            "invalid_request",
            "number",
        ),
        (
            r#"{"sql":"SELECT 1","shape":"columns"}"#,
            400,
            "invalid_request",
            "objects",
        ),
        (
            r#"{"sql":"SELECT 1","timeout_ms":60001}"#,
            400,
            "invalid_request",
            "timeout_ms",
        ),
        (
            r#"{"sql":"SELECT 1","timeout_ms":0}"#,
            400,
            "invalid_request",
            "timeout_ms",
        ),
        (
            r#"{"sql":"SELECT 1","max_rows":100001}"#,
            400,
            "invalid_request",
            "max_rows",
        ),
        (
            r#"{"sql":"SELECT 1","max_bytes":67108865}"#,
            400,
            "invalid_request",
            "max_bytes",
        ),
        (r#"{"sql":"SELECT 1"#, 400, "invalid_request", "column"),
        (r#"["SELECT 1"]"#, 400, "invalid_request", "object"),
        (&huge, 413, "payload_too_large", "1048576 bytes"),
    ] {
        let answer = forge.post("/v1/databases/shop/query", body).await;
        let said = answer.problem(status, code);
        assert!(said.contains(named), "{named}: {said}");
    }
    let answer = forge
        .post("/v1/databases/shop/query?pretty=1", r#"{"sql":"SELECT 1"}"#)
        .await;
    answer.problem(400, "invalid_request");
    forge
        .get("/v1/databases/shop/query")
        .await
        .problem(405, "method_not_allowed");
}

#[tokio::test]
async fn a_token_reaches_no_further_than_its_scopes_and_patterns() {
    let forge = shop().await;
    run(&forge, "shop", "INSERT INTO users VALUES (1, 'Ann', 30)").await;
    let insert = r#"{"sql":"INSERT INTO users (name) VALUES ('Bob')"}"#;
    let count = r#"{"sql":"SELECT count(*) FROM users"}"#;
    let ask = |token: &str, path: &str, body: &'static str| {
        let ask = forge.ask("POST", path).token(token);
        async move { ask.body(body).await }
    };
    let (sql, other) = ("/v1/databases/shop/query", "/v1/databases/other/query");

    let reader = forge.token("reader", "\"read\"", "\"*\"").await;
    assert_eq!(ask(&reader, sql, count).await.json()["rows"], json!([[1]]));
    ask(&reader, sql, insert).await.problem(403, "read_only");
    ask(&reader, "/api/db/shop/query", insert)
        .await
        .problem(403, "read_only");

    let writer = forge.token("writer", "\"write\"", "\"sh*\"").await;
    assert_eq!(ask(&writer, sql, insert).await.status, 200);
    ask(&writer, other, count)
        .await
        .problem(404, "database_not_found");

    let manager = forge.token("manager", "\"manage\"", "\"*\"").await;
    ask(&manager, sql, count)
        .await
        .problem(403, "insufficient_scope");
    assert_eq!(ask(&reader, sql, count).await.json()["rows"], json!([[2]]));
}

#[tokio::test]
async fn a_database_that_does_not_answer_says_why_and_what_to_do() {
    let forge = shop().await;
    let database = id_of(&forge, "shop");
    let ask = || run(&forge, "shop", "SELECT 1");

    let nothing = run(&forge, "nothing", "SELECT 1").await;
    nothing.problem(404, "database_not_found");
    assert_eq!(
        run(&forge, &database.to_string(), "SELECT 1").await.status,
        200
    );

    forge.submit(Verb::Stop.on(database)).await.unwrap();
    assert_eq!(ask().await.status, 200, "until the job has its files");
    forge.settle().await;
    let stopped = ask().await;
    stopped.problem(409, "database_not_ready");
    assert_eq!(
        stopped.json()["hint"],
        "POST /v1/databases/shop/start starts it"
    );

    let start = forge.submit(Verb::Start.on(database)).await.unwrap();
    let starting = ask().await;
    starting.problem(409, "database_not_ready");
    let job = format!("GET /v1/jobs/{}", start.job().unwrap());
    assert!(
        starting.json()["hint"].as_str().unwrap().contains(&job),
        "{}",
        starting.text
    );
    forge.settle().await;
    assert_eq!(ask().await.status, 200);

    forge.submit(Verb::Delete.on(database)).await.unwrap();
    forge.settle().await;
    let trashed = ask().await;
    trashed.problem(410, "database_deleted");
    assert_eq!(
        trashed.json()["hint"],
        "POST /v1/databases/shop/undelete restores it"
    );
    let restore = forge.submit(Verb::Undelete.on(database)).await.unwrap();
    ask().await.problem(409, "database_not_ready");
    forge.settle().await;
    assert!(restore.job().is_some());
    assert_eq!(ask().await.status, 200);
}

#[tokio::test]
async fn sql_waits_for_a_database_that_is_being_created() {
    let forge = HttpForge::new().await;
    forge.request("shop").await;
    let (answer, ()) = tokio::join!(run(&forge, "shop", "SELECT 1"), forge.settle());
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_time_to_live_that_is_over_ends_sql_before_the_trash_has_the_database() {
    let forge = HttpForge::with(impatient()).await;
    let mut wanted = create("shop");
    if let Command::CreateDatabase(it) = &mut wanted {
        it.ttl = Some(Duration::from_secs(60));
    }
    forge.submit(wanted).await.unwrap();
    forge.settle().await;
    assert_eq!(run(&forge, "shop", "SELECT 1").await.status, 200);
    forge.kept.clock.advance(Duration::from_secs(61));
    run(&forge, "shop", "SELECT 1")
        .await
        .problem(410, "database_expired");
}

#[tokio::test]
async fn a_missing_file_is_said_and_never_replaced_by_an_empty_one() {
    let forge = shop().await;
    let database = id_of(&forge, "shop");
    let target = forge
        .job_context
        .data
        .target(&forge.database(database))
        .unwrap();
    let guard = forge.job_context.data.take(&target, soon()).await.unwrap();
    let folder = forge.job_context.data.folders().living(database);
    std::fs::remove_dir_all(&folder).unwrap();
    drop(guard);
    let answer = run(&forge, "shop", "SELECT 1").await;
    answer.problem(503, "data_missing");
    assert!(
        !answer
            .text
            .contains(folder.parent().unwrap().to_str().unwrap())
    );
    assert!(!folder.exists());
}

#[tokio::test]
async fn sql_waits_behind_a_step_that_has_the_files_and_looks_again() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let database = id_of(&forge, "shop");
    forge.submit(Verb::Delete.on(database)).await.unwrap();
    let target = forge
        .job_context
        .data
        .target(&forge.database(database))
        .unwrap();
    let guard = forge.job_context.data.take(&target, soon()).await.unwrap();
    let behind = run(&forge, "shop", "SELECT 1");
    let delete = async {
        tokio::task::yield_now().await;
        drop(guard);
        forge.settle().await;
    };
    let (answer, ()) = tokio::join!(behind, delete);
    if answer.status != 200 {
        answer.problem(410, "database_deleted");
    }
    run(&forge, "shop", "SELECT 1")
        .await
        .problem(410, "database_deleted");
}

#[tokio::test]
async fn a_statement_whose_client_went_away_is_ended_and_keeps_nothing() {
    let forge = shop().await;
    let endless = "INSERT INTO users (age) WITH RECURSIVE n(i) AS \
                   (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let body = json!({"sql": endless, "timeout_ms": 60_000}).to_string();
    let asked = forge.post("/v1/databases/shop/query", &body);
    let gone = tokio::time::timeout(Duration::from_millis(50), asked).await;
    assert!(gone.is_err(), "nobody waits for its answer any more");
    // Behind it in the line of writes, with 5 s of patience.
    let next = run(&forge, "shop", "INSERT INTO users (age) VALUES (7)").await;
    assert_eq!(next.status, 200, "{}", next.text);
    let left = run(&forge, "shop", "SELECT age FROM users").await;
    assert_eq!(left.json()["rows"], json!([[7]]));
}

#[tokio::test]
async fn an_answer_says_how_long_it_waited_and_how_long_it_took() {
    let forge = shop().await;
    let answer = run(&forge, "shop", "SELECT 1").await;
    let timing: Vec<_> = answer.headers.get_all("server-timing").iter().collect();
    let timing = format!("{timing:?}");
    for part in ["queue;dur=", "exec;dur=", "total;dur="] {
        assert!(timing.contains(part), "{timing}");
    }
    assert_eq!(answer.headers["content-type"], "application/json");
}
