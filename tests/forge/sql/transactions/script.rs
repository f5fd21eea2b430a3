//! Many statements in one text.
use crate::support::http::{Answer, HttpForge, ROOT};
use serde_json::{Value, json};

const SCRIPT: &str = "/v1/databases/shop/script";

async fn shop() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    forge
}

async fn run(forge: &HttpForge, script: &str) -> Answer {
    let ask = forge.ask("POST", SCRIPT).token(ROOT);
    ask.header("content-type", "text/plain; charset=utf-8")
        .body(script)
        .await
}

async fn rows(forge: &HttpForge, sql: &str) -> Value {
    let body = json!({ "sql": sql }).to_string();
    let answer = forge.post("/v1/databases/shop/query", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["rows"].take()
}

#[tokio::test]
async fn a_script_runs_whole_and_says_how_much_it_did() {
    let forge = shop().await;
    let script = "
        -- what a tool would write; with a ; in a comment
        CREATE TABLE t (id INTEGER PRIMARY KEY, note TEXT);
        CREATE TABLE seen (id);
        CREATE TRIGGER watch AFTER INSERT ON t BEGIN
            INSERT INTO seen VALUES (new.id);
            SELECT CASE new.id WHEN 1 THEN 2 END;
        END;
        INSERT INTO t VALUES (1, 'a; b'), (2, 'it''s');;
        UPDATE t SET note = \"id\" WHERE id = 2 RETURNING note; /* ; */
        SELECT * FROM t";
    let answer = run(&forge, script).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let said = answer.json();
    assert_eq!([&said["statements"], &said["rows_affected"]], [6, 3]);
    let found = rows(&forge, "SELECT note FROM t UNION ALL SELECT id FROM seen").await;
    assert_eq!(found, json!([["a; b"], ["2"], [1], [2]]));
    for empty in ["", " ;; -- nothing\n"] {
        assert_eq!(run(&forge, empty).await.json()["statements"], 0);
    }
}

#[tokio::test]
async fn a_script_that_fails_keeps_nothing_and_says_where() {
    let forge = shop().await;
    let script =
        "CREATE TABLE é (a UNIQUE);\nINSERT INTO é VALUES (1);\n\nINSERT INTO é VALUES (1)";
    let answer = run(&forge, script).await;
    let said = answer.problem(409, "constraint_violation");
    assert!(said.contains("at line 4"), "{said}");
    let problem = answer.json();
    assert_eq!([&problem["statement"], &problem["kept"]], [2, 0]);
    let offset = problem["offset"].as_u64().unwrap();
    let rest = &script[usize::try_from(offset).unwrap()..];
    assert_eq!(rest, "INSERT INTO é VALUES (1)");
    assert_eq!(
        rows(&forge, "SELECT name FROM sqlite_schema").await,
        json!([])
    );

    let misspelt = "CREATE TABLE users (id);\nSELECT 1; SELECT * FROM usrs";
    let said = run(&forge, misspelt).await.problem(400, "sql_error");
    let place = "statement 2, at line 2, failed; the script was rolled back";
    assert!(
        said.contains(&format!("{place}; did you mean")),
        "its place comes before the hint: {said}"
    );

    let deferred = "CREATE TABLE p (a PRIMARY KEY);\n\
                    CREATE TABLE c (p REFERENCES p DEFERRABLE INITIALLY DEFERRED);\n\
                    INSERT INTO c VALUES (1);\nINSERT INTO p VALUES (2)";
    let answer = run(&forge, deferred).await;
    let said = answer.problem(409, "constraint_violation");
    assert!(
        said.contains("statement 2, at line 3, violated a deferred"),
        "{said}"
    );
    assert_eq!(answer.json()["statement"], 2);

    let long = "CREATE TABLE t (a); INSERT INTO t WITH RECURSIVE n(i) AS \
                (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let ask = forge.ask("POST", &format!("{SCRIPT}?timeout_ms=50"));
    let ask = ask.token(ROOT).header("content-type", "application/sql");
    ask.body(long).await.problem(422, "statement_timeout");
    assert_eq!(
        rows(&forge, "SELECT name FROM sqlite_schema").await,
        json!([])
    );
}

#[tokio::test]
async fn a_script_may_do_no_more_than_a_query() {
    let forge = shop().await;
    for (script, statement, code) in [
        ("SELECT 1; BEGIN", 1, "statement_not_allowed"),
        (
            "CREATE TABLE t (a); COMMIT; SELECT 1",
            1,
            "statement_not_allowed",
        ),
        ("ATTACH 'x' AS y", 0, "statement_not_allowed"),
        ("SELECT 1; VACUUM", 1, "statement_not_allowed"),
    ] {
        let answer = run(&forge, script).await;
        answer.problem(403, code);
        assert_eq!(answer.json()["statement"], statement, "{script}");
    }
    for (script, status, code) in [
        ("SELECT 1; SELEC 2", 400, "sql_error"),
        ("SELECT 'never closed; SELECT 1", 400, "sql_error"),
        ("SELECT ?1", 422, "parameter_mismatch"),
        (
            &*format!("SELECT 1; SELECT {}1", " ".repeat(1 << 20)),
            413,
            "payload_too_large",
        ),
        (&*"SELECT 1;".repeat(10_001), 413, "payload_too_large"),
        (&*" ".repeat(1 << 20 | 1), 413, "payload_too_large"),
    ] {
        run(&forge, script).await.problem(status, code);
    }
    assert_eq!(
        rows(&forge, "SELECT name FROM sqlite_schema").await,
        json!([])
    );

    let json = forge.post(SCRIPT, r#"{"sql":"SELECT 1"}"#).await;
    json.problem(415, "unsupported_media_type");
    let reader = forge.token("reader", "\"read\"", "\"*\"").await;
    let ask = forge.ask("POST", SCRIPT).token(&reader);
    let ask = ask.header("content-type", "text/plain");
    ask.body("SELECT 1")
        .await
        .problem(403, "insufficient_scope");
}
