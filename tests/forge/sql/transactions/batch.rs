//! Several statements in one request.
use crate::support::http::{Answer, HttpForge, ROOT};
use serde_json::{Value, json};

const BATCH: &str = "/v1/databases/shop/batch";
const QUERY: &str = "/v1/databases/shop/query";

async fn shop() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let table = r#"{"sql":"CREATE TABLE t (a INTEGER PRIMARY KEY)"}"#;
    assert_eq!(forge.post(QUERY, table).await.status, 200);
    forge
}

async fn batch(forge: &HttpForge, transaction: &str, statements: &[&str]) -> Answer {
    let statements: Vec<_> = statements.iter().map(|it| json!({ "sql": it })).collect();
    let body = json!({"statements": statements, "transaction": transaction});
    forge.post(BATCH, &body.to_string()).await
}

/// The numbers in the table, in order.
async fn kept(forge: &HttpForge) -> Value {
    let select = r#"{"sql":"SELECT a FROM t ORDER BY a"}"#;
    let rows = forge.post(QUERY, select).await.json()["rows"].take();
    let first = |row: &Value| row[0].clone();
    rows.as_array().unwrap().iter().map(first).collect()
}

#[tokio::test]
async fn each_statement_of_a_batch_is_answered_as_a_query_is() {
    let forge = shop().await;
    for transaction in ["immediate", "deferred", "none"] {
        let body = json!({"transaction": transaction, "shape": "objects", "int64": "string",
            "max_rows": 2, "statements": [
                {"sql": "INSERT INTO t VALUES (?1), (?2), (?3)", "params": [1, 2, i64::MAX]},
                {"sql": "SELECT a FROM t WHERE a > :least", "params": {"least": 2}},
                {"sql": "SELECT a FROM t"},
                {"sql": "SELECT ?1 AS bytes, ?2 AS large",
                    "params": [{"$base64": "AP8="}, {"$real": "-Infinity"}]},
                {"sql": "DELETE FROM t"}]});
        let answer = forge.post(BATCH, &body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let results = answer.json()["results"].take();
        assert_eq!(results[0]["rows_affected"], 3);
        assert_eq!(results[1]["rows"], json!([{"a": "9223372036854775807"}]));
        assert_eq!(results[2]["rows"], json!([{"a": 1}, {"a": 2}]));
        assert_eq!(results[2]["truncated"], true);
        let values = json!([{"bytes": {"$base64": "AP8="}, "large": {"$real": "-Infinity"}}]);
        assert_eq!(results[3]["rows"], values);
        assert_eq!(results[4]["rows_affected"], 3);
        assert_eq!(results.as_array().unwrap().len(), 5);
        assert!(answer.headers.contains_key("server-timing"));
    }
    let nothing = forge.post(BATCH, r#"{"statements":[]}"#).await;
    assert_eq!(nothing.text, r#"{"results":[]}"#);
}

#[tokio::test]
async fn a_failing_statement_is_named_and_the_batch_keeps_nothing() {
    let forge = shop().await;
    for transaction in ["immediate", "deferred"] {
        let statements = [
            "SELECT 1",
            "INSERT INTO t VALUES (1)",
            "CREATE TABLE u (a)",
            "INSERT INTO t VALUES (1)",
            "SELECT 2",
        ];
        let answer = batch(&forge, transaction, &statements).await;
        let said = answer.problem(409, "constraint_violation");
        assert!(
            said.contains("statement 3 failed; the batch was rolled back"),
            "{said}"
        );
        let problem = answer.json();
        assert_eq!([&problem["statement"], &problem["kept"]], [3, 0]);
        assert_eq!(kept(&forge).await, json!([]));
        let table = forge.post(QUERY, r#"{"sql":"SELECT * FROM u"}"#).await;
        table.problem(400, "sql_error");

        // What ends whole transactions ends nobody else's.
        let rollback = [
            "INSERT INTO t VALUES (1)",
            "INSERT OR ROLLBACK INTO t VALUES (1)",
        ];
        let answer = batch(&forge, transaction, &rollback).await;
        answer.problem(409, "constraint_violation");
        assert_eq!(answer.json()["statement"], 1);
        assert_eq!(kept(&forge).await, json!([]));
    }
}

#[tokio::test]
async fn without_a_transaction_what_ran_before_the_failure_is_kept_and_said() {
    let forge = shop().await;
    let statements = [
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t VALUES (2)",
        "INSERT INTO t VALUES (3), (1)",
        "INSERT INTO t VALUES (4)",
    ];
    let answer = batch(&forge, "none", &statements).await;
    let said = answer.problem(409, "constraint_violation");
    assert!(said.contains("earlier statements were committed"), "{said}");
    let problem = answer.json();
    assert_eq!([&problem["statement"], &problem["kept"]], [2, 2]);
    assert_eq!(kept(&forge).await, json!([1, 2]));
}

#[tokio::test]
async fn a_deferred_foreign_key_may_be_mended_later_in_the_batch_and_not_after_it() {
    let forge = shop().await;
    let table = "CREATE TABLE c (p REFERENCES t DEFERRABLE INITIALLY DEFERRED)";
    batch(&forge, "none", &[table]).await;
    let mended = ["INSERT INTO c VALUES (7)", "INSERT INTO t VALUES (7)"];
    assert_eq!(batch(&forge, "immediate", &mended).await.status, 200);
    for (statements, broken_by) in [
        (
            vec!["INSERT INTO t VALUES (8)", "INSERT INTO c VALUES (9)"],
            1,
        ),
        (vec!["DELETE FROM t", "INSERT INTO t VALUES (8)"], 0),
        (
            vec![
                "INSERT INTO c VALUES (10)",
                "INSERT INTO t VALUES (10)",
                "INSERT INTO c VALUES (9)",
                "INSERT INTO t VALUES (8)",
                "SELECT 1",
            ],
            2,
        ),
        (
            vec![
                "PRAGMA defer_foreign_keys = 1",
                "INSERT INTO now VALUES (9)",
                "INSERT INTO t VALUES (8)",
            ],
            1,
        ),
    ] {
        let table = "CREATE TABLE IF NOT EXISTS now (p REFERENCES t)";
        batch(&forge, "none", &[table]).await;
        for transaction in ["immediate", "deferred"] {
            let answer = batch(&forge, transaction, &statements).await;
            let said = answer.problem(409, "constraint_violation");
            assert!(said.contains("checked at the commit"), "{said}");
            assert_eq!(answer.json()["statement"], broken_by, "{}", answer.text);
            assert_eq!(kept(&forge).await, json!([7]));
        }
    }
    let alone = batch(&forge, "none", &["INSERT INTO c VALUES (9)"]).await;
    let said = alone.problem(409, "constraint_violation");
    assert!(said.contains("checked at the commit"), "{said}");
}

#[tokio::test]
async fn a_batch_that_may_only_read_is_refused_at_the_statement_that_writes() {
    let forge = shop().await;
    let reader = forge.token("reader", "\"read\"", "\"*\"").await;
    let reads = r#"{"statements":[{"sql":"SELECT 1"},{"sql":"SELECT count(*) FROM t"}]}"#;
    let ask = |token: String, body: &'static str| {
        let ask = forge.ask("POST", BATCH).token(&token);
        async move { ask.body(body).await }
    };
    let answer = ask(reader.clone(), reads).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for (token, body) in [
        (
            reader,
            r#"{"statements":[{"sql":"SELECT 1"},{"sql":"INSERT INTO t VALUES (1)"}]}"#,
        ),
        (
            ROOT.to_owned(),
            r#"{"statements":[{"sql":"SELECT 1"},{"sql":"INSERT INTO t VALUES (1)"}],
                "readonly":true}"#,
        ),
    ] {
        let answer = ask(token, body).await;
        answer.problem(403, "read_only");
        assert_eq!(answer.json()["statement"], 1);
    }
    assert_eq!(kept(&forge).await, json!([]));
}

/// The house's own are prepared on the same connections by then.
#[tokio::test]
async fn no_statement_ends_the_transaction_that_it_is_in_however_it_is_written() {
    let forge = shop().await;
    for round in 0..2 {
        let transactions = ["immediate", "deferred", "none"];
        for (number, transaction) in (1..).zip(transactions) {
            let insert = format!("INSERT INTO t VALUES ({})", round * 10 + number);
            assert_eq!(batch(&forge, transaction, &[&insert]).await.status, 200);
            let read = batch(&forge, transaction, &["SELECT 1", "SELECT 2"]).await;
            assert_eq!(read.status, 200);
            for house in [
                "COMMIT",
                "COMMIT;",
                "COMMIT;\u{a0}",
                "\u{a0}COMMIT;",
                ";COMMIT;",
                "BEGIN",
                "BEGIN;",
                "BEGIN IMMEDIATE;",
                "ROLLBACK;",
                "RELEASE request;",
                "SAVEPOINT request;",
                "ROLLBACK TO request;",
                "PRAGMA query_only = 0;",
                "PRAGMA wal_checkpoint(TRUNCATE);",
            ] {
                for first in ["SELECT 1", "INSERT INTO t VALUES (99)"] {
                    let answer = batch(&forge, transaction, &[first, house]).await;
                    assert!(answer.status.is_client_error(), "{house}: {}", answer.text);
                    assert_ne!(
                        answer.json()["detail"],
                        "SQL Error: no such savepoint: request"
                    );
                }
                run_cleanly(&forge).await;
            }
        }
    }
    assert_eq!(kept(&forge).await, json!([1, 2, 3, 11, 12, 13]));
}

/// A batch without a transaction keeps what ran before the one that is refused.
async fn run_cleanly(forge: &HttpForge) {
    let removed = batch(forge, "immediate", &["DELETE FROM t WHERE a = 99"]).await;
    assert_eq!(removed.status, 200, "{}", removed.text);
}

#[tokio::test]
async fn a_batch_has_bounds_and_says_which_one_was_met() {
    let forge = shop().await;
    let many = json!({"statements": vec![json!({"sql": "SELECT 1"}); 1_001]}).to_string();
    let said = forge.post(BATCH, &many).await;
    let said = said.problem(413, "payload_too_large");
    assert!(said.contains("1000"), "{said}");

    // Each answer is within the bound, and all of them together are not.
    let wide = r#"{"statements":[{"sql":"SELECT hex(zeroblob(300))"},
        {"sql":"SELECT hex(zeroblob(300))"},{"sql":"INSERT INTO t VALUES (1)"}],"max_bytes":1000}"#;
    let answer = forge.post(BATCH, wide).await;
    answer.problem(413, "result_too_large");
    assert_eq!(answer.json()["statement"], 1);

    let long = json!({"timeout_ms": 50, "statements": [
        {"sql": "INSERT INTO t VALUES (1)"},
        {"sql": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                 SELECT max(i) FROM n"}]});
    forge
        .post(BATCH, &long.to_string())
        .await
        .problem(422, "statement_timeout");
    assert_eq!(kept(&forge).await, json!([]));

    for (body, part) in [
        (r#"{"statements":[{"sql":"SELECT 1","parms":[]}]}"#, "parms"),
        (r#"{"statements":[],"transaction":"exclusive"}"#, "deferred"),
        (
            r#"{"statements":[],"max_rows":-1}"#,
            "a whole number from 0",
        ),
        (r#"{"statements":[],"max_rows":0}"#, "1 to 100000"),
        (r#"{"statements":7}"#, "a list"),
        ("{}", "statements"),
    ] {
        let said = forge
            .post(BATCH, body)
            .await
            .problem(400, "invalid_request");
        assert!(said.contains(part), "{part}: {said}");
    }
}
