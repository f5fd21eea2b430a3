//! Transactions of several requests: what they see, what they hold, what they refuse.
mod batch;
mod ends;
mod savepoints;
mod script;

use crate::support::http::{Answer, HttpForge, ROOT};
use serde_json::{Value, json};

pub(crate) const QUERY: &str = "/v1/databases/shop/query";
pub(crate) const BEGIN: &str = "/v1/databases/shop/transactions";

/// A forge with a database and a table of unique numbers in it.
pub(crate) async fn shop() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let made = run(&forge, QUERY, "CREATE TABLE t (a INTEGER PRIMARY KEY)").await;
    assert_eq!(made.status, 200, "{}", made.text);
    forge
}

pub(crate) async fn run(forge: &HttpForge, path: &str, sql: &str) -> Answer {
    forge.post(path, &json!({ "sql": sql }).to_string()).await
}

/// A statement with little patience.
async fn run_soon(forge: &HttpForge, path: &str, sql: &str) -> Answer {
    let body = json!({"sql": sql, "timeout_ms": 100});
    forge.post(path, &body.to_string()).await
}

/// The path of a transaction that has just begun.
pub(crate) async fn begin(forge: &HttpForge, body: &str) -> String {
    let answer = forge.post(BEGIN, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let path = format!("{BEGIN}/{}", answer.json()["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), path);
    path
}

pub(crate) async fn query(forge: &HttpForge, transaction: &str, sql: &str) -> Answer {
    run(forge, &format!("{transaction}/query"), sql).await
}

pub(crate) async fn end(forge: &HttpForge, transaction: &str, how: &str) -> Answer {
    forge.post(&format!("{transaction}/{how}"), "").await
}

/// The numbers that a statement sees in the table.
pub(crate) async fn seen(forge: &HttpForge, path: &str) -> Value {
    let answer = run(forge, path, "SELECT a FROM t ORDER BY a").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let rows = answer.json()["rows"].take();
    rows.as_array()
        .unwrap()
        .iter()
        .map(|it| it[0].clone())
        .collect()
}

#[tokio::test]
async fn what_a_transaction_does_is_seen_by_others_once_it_is_committed() {
    let forge = shop().await;
    for mode in ["{}", r#"{"mode":"immediate"}"#, r#"{"mode":"deferred"}"#] {
        let transaction = begin(&forge, mode).await;
        let inside = format!("{transaction}/query");
        let inserted = query(&forge, &transaction, "INSERT INTO t VALUES (1)").await;
        assert_eq!(inserted.json()["last_insert_rowid"], 1, "{}", inserted.text);
        assert_eq!(seen(&forge, &inside).await, json!([1]));
        assert_eq!(seen(&forge, QUERY).await, json!([]));

        assert_eq!(end(&forge, &transaction, "commit").await.status, 204);
        assert_eq!(seen(&forge, QUERY).await, json!([1]));
        let again = end(&forge, &transaction, "commit").await;
        let said = again.problem(410, "transaction_ended");
        assert!(said.contains("it was committed"), "{said}");

        let transaction = begin(&forge, mode).await;
        query(&forge, &transaction, "DELETE FROM t").await;
        assert_eq!(end(&forge, &transaction, "rollback").await.status, 204);
        assert_eq!(seen(&forge, QUERY).await, json!([1]));
        let late = query(&forge, &transaction, "SELECT 1").await;
        let said = late.problem(410, "transaction_ended");
        assert!(said.contains("it was rolled back"), "{said}");
        run(&forge, QUERY, "DELETE FROM t").await;
    }
    let numbers = forge.get("/metrics").await.text;
    for line in [
        "dbforge_sql_open_transactions 0",
        r#"dbforge_sql_transactions_total{end="committed"} 3"#,
        r#"dbforge_sql_transactions_total{end="rolled_back"} 3"#,
    ] {
        assert!(numbers.lines().any(|it| it == line), "{line}\n{numbers}");
    }
}

#[tokio::test]
async fn a_write_waits_for_the_transaction_that_writes_and_no_longer_than_its_time() {
    let forge = shop().await;
    let transaction = begin(&forge, "{}").await;
    query(&forge, &transaction, "INSERT INTO t VALUES (1)").await;

    let locked = run_soon(&forge, QUERY, "INSERT INTO t VALUES (2)").await;
    locked.problem(423, "database_locked");
    assert_eq!(locked.header("retry-after"), "1");
    assert_eq!(locked.json()["retryable"], true);
    let second = forge.post(BEGIN, r#"{"timeout_ms":100}"#).await;
    second.problem(423, "database_locked");

    let waits = run(&forge, QUERY, "INSERT INTO t VALUES (3)");
    let commits = async {
        tokio::task::yield_now().await;
        end(&forge, &transaction, "commit").await
    };
    let (waited, committed) = tokio::join!(waits, commits);
    assert_eq!(
        [waited.status.as_u16(), committed.status.as_u16()],
        [200, 204]
    );
    // Who was refused has left nothing behind.
    assert_eq!(seen(&forge, QUERY).await, json!([1, 3]));
    assert_eq!(forge.job_context.data.open_transactions(), 0);
}

#[tokio::test]
async fn transactions_and_writes_take_turns() {
    let forge = shop().await;
    let first = begin(&forge, "{}").await;
    let second = async { begin(&forge, "{}").await };
    let writes = async {
        tokio::task::yield_now().await;
        run(&forge, QUERY, "INSERT INTO t VALUES (1)").await
    };
    let ends = async {
        tokio::task::yield_now().await;
        end(&forge, &first, "commit").await
    };
    // The write came behind the second transaction, and does not have to wait for its end.
    let (second, written, _) = tokio::join!(second, writes, ends);
    assert_eq!(written.status, 200, "{}", written.text);
    assert_eq!(end(&forge, &second, "rollback").await.status, 204);
}

#[tokio::test]
async fn writes_that_wait_for_transactions_hold_up_no_other_database() {
    let forge = shop().await;
    // More of them than there are threads for SQL.
    let mut begun = Vec::new();
    for number in 0..40 {
        let name = format!("busy-{number}");
        forge.request(&name).await;
    }
    forge.settle().await;
    for number in 0..40 {
        let path = format!("/v1/databases/busy-{number}/transactions");
        let answer = forge.post(&path, r#"{"timeout_ms":60000}"#).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        begun.push(format!(
            "{path}/{}/commit",
            answer.json()["id"].as_str().unwrap()
        ));
    }
    let waiting = (0..40).map(|number| {
        let forge = &forge;
        async move {
            let path = format!("/v1/databases/busy-{number}/query");
            run(forge, &path, "CREATE TABLE waited (a)").await
        }
    });
    let others = async {
        for number in 0..20 {
            let insert = format!("INSERT INTO t VALUES ({number})");
            let answer = run(&forge, QUERY, &insert).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        for commit in &begun {
            assert_eq!(forge.post(commit, "").await.status, 204);
        }
    };
    let (waited, ()) = tokio::join!(futures_util::future::join_all(waiting), others);
    for answer in waited {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_transaction_that_reads_sees_one_moment_and_nobody_waits_for_it() {
    let forge = shop().await;
    run(&forge, QUERY, "INSERT INTO t VALUES (1)").await;
    let transaction = begin(&forge, r#"{"mode":"readonly"}"#).await;
    let inside = format!("{transaction}/query");
    for number in 2..10 {
        let insert = format!("INSERT INTO t VALUES ({number})");
        assert_eq!(run(&forge, QUERY, &insert).await.status, 200);
        assert_eq!(seen(&forge, &inside).await, json!([1]));
    }
    let write = query(&forge, &transaction, "INSERT INTO t VALUES (99)").await;
    write.problem(403, "read_only");
    assert_eq!(end(&forge, &transaction, "commit").await.status, 204);
    assert_eq!(seen(&forge, QUERY).await.as_array().unwrap().len(), 9);
}

#[tokio::test]
async fn a_deferred_transaction_writes_only_on_top_of_what_it_has_read() {
    let forge = shop().await;
    let transaction = begin(&forge, r#"{"mode":"deferred"}"#).await;
    let inside = format!("{transaction}/query");
    assert_eq!(
        run(&forge, QUERY, "INSERT INTO t VALUES (1)").await.status,
        200
    );
    assert_eq!(
        seen(&forge, &inside).await,
        json!([1]),
        "from its first read on"
    );
    assert_eq!(
        query(&forge, &transaction, "INSERT INTO t VALUES (2)")
            .await
            .status,
        200
    );
    assert_eq!(end(&forge, &transaction, "commit").await.status, 204);

    let transaction = begin(&forge, r#"{"mode":"deferred"}"#).await;
    let inside = format!("{transaction}/query");
    assert_eq!(seen(&forge, &inside).await, json!([1, 2]));
    assert_eq!(
        run(&forge, QUERY, "INSERT INTO t VALUES (3)").await.status,
        200
    );
    let write = "WITH n AS (SELECT 4 AS a) INSERT INTO t SELECT a FROM n";
    let outdated = query(&forge, &transaction, write).await;
    outdated.problem(423, "database_locked");
    assert_eq!(outdated.json()["retryable"], false);
    assert_eq!(
        seen(&forge, &inside).await,
        json!([1, 2]),
        "it may go on reading"
    );
    assert_eq!(
        run(&forge, QUERY, "INSERT INTO t VALUES (5)").await.status,
        200
    );
    assert_eq!(end(&forge, &transaction, "commit").await.status, 204);
    assert_eq!(seen(&forge, QUERY).await, json!([1, 2, 3, 5]));
}

#[tokio::test]
async fn a_statement_that_fails_leaves_nothing_and_the_transaction_goes_on() {
    let forge = shop().await;
    let child = "CREATE TABLE c (p REFERENCES t DEFERRABLE INITIALLY DEFERRED)";
    run(&forge, QUERY, child).await;
    let transaction = begin(&forge, "{}").await;
    let inside = format!("{transaction}/query");
    query(&forge, &transaction, "INSERT INTO t VALUES (1)").await;
    for (sql, status, code) in [
        ("INSERT INTO t VALUES (2), (1)", 409, "constraint_violation"),
        ("INSERT INTO t SELECT a + 1 FROM nothing", 400, "sql_error"),
        ("COMMIT", 403, "statement_not_allowed"),
        ("ROLLBACK", 403, "statement_not_allowed"),
        (
            "CREATE VIEW v AS SELECT load_extension('x')",
            403,
            "statement_not_allowed",
        ),
        ("SELECT 1; SELECT 2", 400, "invalid_request"),
    ] {
        query(&forge, &transaction, sql).await.problem(status, code);
    }
    let wide =
        json!({"sql": "INSERT INTO t VALUES (3) RETURNING hex(zeroblob(99))", "max_bytes": 50});
    let wide = forge.post(&inside, &wide.to_string()).await;
    wide.problem(413, "result_too_large");
    let careful = json!({"sql": "INSERT INTO t VALUES (4)", "readonly": true});
    let careful = forge.post(&inside, &careful.to_string()).await;
    careful.problem(403, "read_only");
    assert_eq!(seen(&forge, &inside).await, json!([1]));

    // What is checked at the end is told there, and can still be mended.
    query(&forge, &transaction, "INSERT INTO c VALUES (9)").await;
    let broken = end(&forge, &transaction, "commit").await;
    let said = broken.problem(409, "constraint_violation");
    assert!(
        said.contains("broken at the end of the transaction"),
        "{said}"
    );
    query(&forge, &transaction, "INSERT INTO t VALUES (9)").await;
    assert_eq!(end(&forge, &transaction, "commit").await.status, 204);
    assert_eq!(seen(&forge, QUERY).await, json!([1, 9]));
}

#[tokio::test]
async fn a_statement_that_ends_transactions_ends_this_one_and_says_so() {
    let forge = shop().await;
    let endless = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                   SELECT max(i) FROM n";
    for (sql, status, code) in [
        (
            "INSERT OR ROLLBACK INTO t VALUES (1)",
            409,
            "constraint_violation",
        ),
        (endless, 422, "statement_timeout"),
    ] {
        let transaction = begin(&forge, "{}").await;
        query(&forge, &transaction, "INSERT INTO t VALUES (1)").await;
        let body = json!({"sql": sql, "timeout_ms": 100}).to_string();
        let failed = forge.post(&format!("{transaction}/query"), &body).await;
        let said = failed.problem(status, code);
        assert!(said.contains("the transaction was rolled back"), "{said}");
        let late = end(&forge, &transaction, "commit").await;
        late.problem(410, "transaction_ended");
        assert_eq!(seen(&forge, QUERY).await, json!([]));
        // The writer is free again.
        let next = run(&forge, QUERY, "INSERT INTO t VALUES (7)").await;
        assert_eq!(next.status, 200, "{}", next.text);
        run(&forge, QUERY, "DELETE FROM t").await;
    }
}

#[tokio::test]
async fn a_transaction_answers_to_the_token_that_began_it_alone() {
    let forge = shop().await;
    forge.ready("other").await;
    let transaction = begin(&forge, r#"{"mode":"readonly"}"#).await;
    let id = transaction.rsplit('/').next().unwrap();
    assert!(id.len() >= 32, "nobody can guess it: {id}");
    let writer = forge.token("writer", "\"write\"", "\"*\"").await;
    for action in ["query", "commit", "rollback"] {
        let body = if action == "query" {
            r#"{"sql":"SELECT 1"}"#
        } else {
            ""
        };
        let ask = forge.ask("POST", &format!("{transaction}/{action}"));
        let answer = ask.token(&writer).body(body).await;
        answer.problem(404, "transaction_not_found");
        let elsewhere = format!("/v1/databases/other/transactions/{id}/{action}");
        forge
            .post(&elsewhere, body)
            .await
            .problem(404, "transaction_not_found");
    }
    assert_eq!(end(&forge, &transaction, "commit").await.status, 204);
    let ask = forge.ask("POST", &format!("{transaction}/commit"));
    ask.token(&writer)
        .empty()
        .await
        .problem(404, "transaction_not_found");

    // And the other way round: root is not let into a token's.
    let begun = forge.ask("POST", BEGIN).token(&writer).body("{}").await;
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    let path = format!("{BEGIN}/{id}/rollback");
    forge
        .post(&path, "")
        .await
        .problem(404, "transaction_not_found");
    assert_eq!(
        forge.ask("POST", &path).token(&writer).empty().await.status,
        204
    );

    let reader = forge.token("reader", "\"read\"", "\"sh*\"").await;
    let ask = |path: &'static str, body: &'static str| {
        let ask = forge.ask("POST", path).token(&reader);
        async move { ask.body(body).await }
    };
    ask(BEGIN, "{}").await.problem(403, "read_only");
    ask("/v1/databases/other/transactions", r#"{"mode":"readonly"}"#)
        .await
        .problem(404, "database_not_found");
    for mode in [r#"{"mode":"readonly"}"#, r#"{"mode":"deferred"}"#] {
        let begun = ask(BEGIN, mode).await;
        assert_eq!(begun.status, 201, "{}", begun.text);
        let path = format!("{BEGIN}/{}/query", begun.json()["id"].as_str().unwrap());
        let write = forge.ask("POST", &path).token(&reader);
        let write = write.body(r#"{"sql":"INSERT INTO t VALUES (1)"}"#).await;
        write.problem(403, "read_only");
    }
}

#[tokio::test]
async fn no_more_transactions_are_open_than_allowed() {
    let forge = shop().await;
    let readonly = r#"{"mode":"readonly"}"#;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(begin(&forge, readonly).await);
    }
    let said = forge.post(BEGIN, readonly).await.problem(503, "overloaded");
    assert!(
        said.contains("limit reached (16) on this database"),
        "{said}"
    );
    let write = run(&forge, QUERY, "INSERT INTO t VALUES (1)").await;
    assert_eq!(write.status, 200, "{}", write.text);
    end(&forge, &open[0], "rollback").await;
    begin(&forge, readonly).await;

    for (body, part) in [
        (r#"{"mode":"exclusive"}"#, "readonly"),
        (r#"{"idle_timeout_ms":10001}"#, "1 to 10000"),
        (r#"{"total_timeout_ms":0}"#, "1 to 60000"),
        (r#"{"timeout":7}"#, "timeout_ms"),
    ] {
        let said = forge
            .post(BEGIN, body)
            .await
            .problem(400, "invalid_request");
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_one_transaction_run_one_after_another() {
    let forge = shop().await;
    let transaction = begin(&forge, "{}").await;
    let inserts = (0..20).map(|number| {
        let (forge, transaction) = (&forge, &transaction);
        async move {
            let insert = format!("INSERT INTO t VALUES ({number})");
            query(forge, transaction, &insert).await.status.as_u16()
        }
    });
    let statuses = futures_util::future::join_all(inserts).await;
    assert_eq!(statuses, vec![200; 20]);
    assert_eq!(end(&forge, &transaction, "commit").await.status, 204);
    assert_eq!(seen(&forge, QUERY).await.as_array().unwrap().len(), 20);
    let ask = forge.ask("POST", &format!("{transaction}/query"));
    let late = ask.token(ROOT).body(r#"{"sql":"SELECT 1"}"#).await;
    late.problem(410, "transaction_ended");
}
