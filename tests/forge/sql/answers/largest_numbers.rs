//! Numbers at the edge of 64 bits: what is sent, and what AUTOINCREMENT gives.
use crate::sql::transactions::begin;
use crate::support::http::{Answer, HttpForge, ROOT};
use serde_json::json;

async fn run(forge: &HttpForge, sql: &str) -> Answer {
    let body = json!({ "sql": sql }).to_string();
    forge.post("/v1/databases/shop/query", &body).await
}

#[tokio::test]
async fn a_whole_number_beyond_64_bits_is_refused_with_its_place_wherever_it_is_sent() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    run(&forge, "CREATE TABLE t (a)").await;
    let begun = forge.post("/v1/databases/shop/transactions", "{}").await;
    let transaction = begun.json()["id"].as_str().unwrap().to_owned();
    let inside = format!("/v1/databases/shop/transactions/{transaction}/query");
    for (path, body, place) in [
        (
            "/v1/databases/shop/query",
            r#"{"sql":"SELECT ?,?,?","params":[1,"9",18446744073709551615]}"#,
            "params[2]",
        ),
        (
            "/v1/databases/shop/query",
            r#"{"sql":"SELECT :far","params":{"far":-9223372036854775809}}"#,
            "params.far",
        ),
        (
            "/v1/databases/shop/batch",
            r#"{"statements":[{"sql":"SELECT 1"},{"sql":"SELECT ?","params":[99999999999999999999]}]}"#,
            "statements[1].params[0]",
        ),
        (
            inside.as_str(),
            r#"{"sql":"SELECT ?","params":[9223372036854775808]}"#,
            "params[0]",
        ),
        (
            "/v1/audit/query",
            r#"{"sql":"SELECT ?","params":[9223372036854775808]}"#,
            "params[0]",
        ),
        (
            "/api/db/shop/query",
            r#"{"sql":"SELECT ?","parameters":[9223372036854775808]}"#,
            "parameters[0]",
        ),
        (
            "/api/db/shop/tables/t/rows",
            r#"{"rows":[{"a":1},{"a":9223372036854775808}]}"#,
            "rows[1].a",
        ),
    ] {
        let answer = forge.post(path, body).await;
        answer.problem(400, "invalid_request");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        let start = format!("`{place}` is the integer ");
        assert!(detail.starts_with(&start), "{path}: {detail}");
        let range = "which is out of range (-9223372036854775808 to 9223372036854775807).";
        assert!(detail.ends_with(range), "{path}: {detail}");
        let hint = answer.json()["hint"].take();
        assert!(hint.as_str().unwrap().contains("1e19"), "{path}: {hint}");
    }
    let body = r#"{"sql":"SELECT ?1, ?2, typeof(?2)","params":[-9223372036854775808,1e19]}"#;
    let answer = forge.post("/v1/databases/shop/query", body).await;
    assert_eq!(answer.json()["rows"], json!([[i64::MIN, 1e19, "real"]]));
}

#[tokio::test]
async fn a_table_that_has_given_its_last_number_is_a_constraint_and_no_full_disk() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    run(
        &forge,
        "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, b)",
    )
    .await;
    run(&forge, "CREATE TABLE other (b)").await;
    run(&forge, "INSERT INTO t VALUES (9223372036854775807, 'last')").await;
    for _ in 0..2 {
        let answer = run(&forge, "INSERT INTO t (b) VALUES ('next')").await;
        let detail = answer.problem(409, "constraint_violation");
        assert!(
            detail.contains("the table t has given its largest"),
            "{detail}"
        );
    }
    let by_trigger =
        "CREATE TRIGGER r AFTER INSERT ON other BEGIN INSERT INTO T (b) VALUES (1); END";
    assert_eq!(run(&forge, by_trigger).await.status, 200);
    let answer = run(&forge, "INSERT INTO other VALUES (1)").await;
    answer.problem(409, "constraint_violation");
    let given = run(&forge, "INSERT INTO t VALUES (5, 'given')").await;
    assert_eq!(given.status, 200, "{}", given.text);
}

#[tokio::test]
async fn a_number_that_is_used_up_within_the_transaction_is_a_constraint_too() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let made = "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, b)";
    run(&forge, made).await;
    run(&forge, "INSERT INTO t (b) VALUES ('first')").await;
    for used_up in [
        [
            "UPDATE sqlite_sequence SET seq = 9e999",
            "INSERT INTO t (b) VALUES (2)",
        ],
        [
            "INSERT INTO t VALUES (9223372036854775807, 2)",
            "INSERT INTO t (b) SELECT b FROM t",
        ],
        // What it was used up in is gone with the transaction.
        [
            "CREATE TABLE u (a INTEGER PRIMARY KEY AUTOINCREMENT, b)",
            "INSERT INTO u (a, b) VALUES (9223372036854775807, 1), (NULL, 2)",
        ],
    ] {
        let statements = used_up.map(|sql| json!({ "sql": sql }));
        for transaction in ["immediate", "deferred"] {
            let body = json!({"statements": statements, "transaction": transaction}).to_string();
            let batch = forge.post("/v1/databases/shop/batch", &body);
            batch.await.problem(409, "constraint_violation");
        }
        let script = forge.ask("POST", "/v1/databases/shop/script");
        let script = script.token(ROOT).header("content-type", "text/plain");
        let answer = script.body(&used_up.join(";")).await;
        let detail = answer.problem(409, "constraint_violation");
        assert!(detail.contains("AUTOINCREMENT"), "{detail}");

        let transaction = begin(&forge, "{}").await;
        for (sql, status) in used_up.iter().zip([200, 409]) {
            let body = json!({ "sql": sql }).to_string();
            let answer = forge.post(&format!("{transaction}/query"), &body).await;
            assert_eq!(answer.status, status, "{sql}: {}", answer.text);
        }
    }
    let kept = run(&forge, "SELECT a, b FROM t").await;
    assert_eq!(kept.json()["rows"], json!([[1, "first"]]));
}
