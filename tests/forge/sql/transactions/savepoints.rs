//! Savepoints, batches and scripts in transactions of several requests.
use super::{begin, end, query, run, seen, shop};
use crate::support::http::{Answer, HttpForge, ROOT};
use serde_json::{Value, json};

async fn fine(forge: &HttpForge, transaction: &str, sql: &str) -> Value {
    let answer = query(forge, transaction, sql).await;
    assert_eq!(answer.status, 200, "{sql}: {}", answer.text);
    answer.json()
}

async fn batch(forge: &HttpForge, transaction: &str, mode: &str, statements: &[&str]) -> Answer {
    let statements: Vec<_> = statements.iter().map(|it| json!({ "sql": it })).collect();
    let body = json!({"statements": statements, "transaction": mode}).to_string();
    forge.post(&format!("{transaction}/batch"), &body).await
}

async fn script(forge: &HttpForge, transaction: &str, text: &str) -> Answer {
    let ask = forge.ask("POST", &format!("{transaction}/script"));
    let ask = ask.token(ROOT).header("content-type", "text/plain");
    ask.body(text).await
}

async fn inside(forge: &HttpForge, transaction: &str) -> Value {
    seen(forge, &format!("{transaction}/query")).await
}

#[tokio::test]
async fn savepoints_nest_and_are_undone_released_and_named_as_sqlite_does() {
    for mode in ["immediate", "deferred"] {
        let forge = shop().await;
        let transaction = begin(&forge, &json!({ "mode": mode }).to_string()).await;
        let made = fine(&forge, &transaction, "SAVEPOINT outer").await;
        assert_eq!(made["rows"], json!([]));
        assert_eq!(made["last_insert_rowid"], json!(null));
        for sql in [
            "SELECT count(*) FROM t",
            "/* a */ savepoint \"in ner\";",
            "INSERT INTO t VALUES (1)",
            "SAVEPOINT request",
            "INSERT INTO t VALUES (2)",
            "ROLLBACK TRANSACTION TO SAVEPOINT [in ner]",
            "INSERT INTO t VALUES (3)",
            "SAVEPOINT 'in ner'",
            "INSERT INTO t VALUES (4)",
            "ROLLBACK TO `IN NER`",
            "RELEASE SAVEPOINT \"in ner\"",
        ] {
            fine(&forge, &transaction, sql).await;
        }
        assert_eq!(inside(&forge, &transaction).await, json!([3]));

        // A statement that fails leaves the savepoints as they are.
        let twice = query(&forge, &transaction, "INSERT INTO t VALUES (3)").await;
        twice.problem(409, "constraint_violation");
        let gone = query(&forge, &transaction, "ROLLBACK TO request").await;
        let said = gone.problem(400, "sql_error");
        assert!(said.contains("no such savepoint: request"), "{said}");
        for sql in [
            "ROLLBACK TO outer",
            "INSERT INTO t VALUES (5)",
            "RELEASE outer",
        ] {
            fine(&forge, &transaction, sql).await;
        }
        let none = query(&forge, &transaction, "RELEASE outer").await;
        none.problem(400, "sql_error");
        assert_eq!(end(&forge, &transaction, "commit").await.status, 204);
        assert_eq!(seen(&forge, "/v1/databases/shop/query").await, json!([5]));
    }
}

#[tokio::test]
async fn a_transaction_that_only_reads_takes_savepoints_too() {
    let forge = shop().await;
    let transaction = begin(&forge, r#"{"mode":"readonly"}"#).await;
    for sql in ["SAVEPOINT a", "SELECT 1", "ROLLBACK TO a", "RELEASE a"] {
        fine(&forge, &transaction, sql).await;
    }
    let gone = query(&forge, &transaction, "RELEASE a").await;
    gone.problem(400, "sql_error");
}

#[tokio::test]
async fn a_savepoint_is_refused_where_there_is_no_transaction_or_it_is_over() {
    let forge = shop().await;
    let transaction = begin(&forge, "{}").await;
    for round in 0..2 {
        fine(&forge, &transaction, "SAVEPOINT a").await;
        fine(&forge, &transaction, "RELEASE a").await;
        for command in ["COMMIT", "ROLLBACK", "BEGIN", "END"] {
            let refused = query(&forge, &transaction, command).await;
            let said = refused.problem(403, "statement_not_allowed");
            assert!(said.contains("…/commit"), "{round}: {said}");
        }
    }
    fine(&forge, &transaction, "SAVEPOINT a").await;
    let conflict = "INSERT OR ROLLBACK INTO t VALUES (1), (1)";
    query(&forge, &transaction, conflict)
        .await
        .problem(409, "constraint_violation");
    let late = query(&forge, &transaction, "ROLLBACK TO a").await;
    late.problem(410, "transaction_ended");
    let late = batch(&forge, &transaction, "none", &["ROLLBACK TO a"]).await;
    late.problem(410, "transaction_ended");
    let late = script(&forge, &transaction, "ROLLBACK TO a").await;
    late.problem(410, "transaction_ended");

    // The one that was run is not found prepared.
    for sql in [
        "SAVEPOINT a",
        "RELEASE a",
        "ROLLBACK TO a",
        "RELEASE \"client a\"",
    ] {
        let alone = run(&forge, "/v1/databases/shop/query", sql).await;
        alone.problem(403, "statement_not_allowed");
        let body = json!({"statements": [{"sql": "INSERT INTO t VALUES (9)"}, {"sql": sql}]});
        let plain = forge
            .post("/v1/databases/shop/batch", &body.to_string())
            .await;
        plain.problem(403, "statement_not_allowed");
    }
    assert_eq!(seen(&forge, "/v1/databases/shop/query").await, json!([]));
}

#[tokio::test]
async fn a_savepoint_is_read_as_sqlite_reads_it_and_there_are_at_most_a_hundred() {
    let forge = shop().await;
    let transaction = begin(&forge, "{}").await;
    for wrong in [
        "SAVEPOINT",
        "SAVEPOINT a b",
        "RELEASE",
        "ROLLBACK TO",
        "SAVEPOINT select",
    ] {
        query(&forge, &transaction, wrong)
            .await
            .problem(400, "sql_error");
    }
    let two = query(&forge, &transaction, "SAVEPOINT a; SAVEPOINT b").await;
    two.problem(400, "invalid_request");
    let many = vec!["SAVEPOINT a"; 100];
    assert_eq!(batch(&forge, &transaction, "none", &many).await.status, 200);
    let over = query(&forge, &transaction, "SAVEPOINT a").await;
    let said = over.problem(400, "sql_error");
    assert!(said.contains("100 savepoints"), "{said}");
    fine(&forge, &transaction, "RELEASE a").await;
    fine(&forge, &transaction, "SAVEPOINT b").await;
    assert_eq!(end(&forge, &transaction, "commit").await.status, 204);
}

#[tokio::test]
async fn a_batch_in_a_transaction_is_kept_in_it_whole_or_as_far_as_it_came() {
    let forge = shop().await;
    for mode in ["immediate", "deferred"] {
        let transaction = begin(&forge, &json!({ "mode": mode }).to_string()).await;
        fine(&forge, &transaction, "SAVEPOINT a").await;
        let statements = ["INSERT INTO t VALUES (1)", "SELECT a FROM t"];
        let answer = batch(&forge, &transaction, "immediate", &statements).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["results"][1]["rows"], json!([[1]]));

        let fails = [
            "INSERT INTO t VALUES (2)",
            "SAVEPOINT b",
            "INSERT INTO t VALUES (1)",
            "INSERT INTO t VALUES (3)",
        ];
        let answer = batch(&forge, &transaction, "immediate", &fails).await;
        let said = answer.problem(409, "constraint_violation");
        assert!(
            said.contains("statement 2 failed; the batch was rolled back"),
            "{said}"
        );
        let problem = answer.json();
        assert_eq!([&problem["statement"], &problem["kept"]], [2, 0]);
        assert_eq!(inside(&forge, &transaction).await, json!([1]));
        let undone = query(&forge, &transaction, "RELEASE b").await;
        undone.problem(400, "sql_error");

        let answer = batch(&forge, &transaction, "none", &fails).await;
        answer.problem(409, "constraint_violation");
        let problem = answer.json();
        assert_eq!([&problem["statement"], &problem["kept"]], [2, 2]);
        assert_eq!(inside(&forge, &transaction).await, json!([1, 2]));
        fine(&forge, &transaction, "ROLLBACK TO b").await;

        fine(&forge, &transaction, "ROLLBACK TO a").await;
        assert_eq!(inside(&forge, &transaction).await, json!([]));
        assert_eq!(end(&forge, &transaction, "rollback").await.status, 204);
    }
    let nothing = begin(&forge, "{}").await;
    let answer = batch(&forge, &nothing, "immediate", &[]).await;
    assert_eq!(answer.text, r#"{"results":[]}"#);
}

#[tokio::test]
async fn statements_kept_together_end_their_own_savepoints_and_leave_open_ones_open() {
    let forge = shop().await;
    let transaction = begin(&forge, "{}").await;
    fine(&forge, &transaction, "SAVEPOINT a").await;
    let refused = batch(
        &forge,
        &transaction,
        "immediate",
        &["SELECT 1", "RELEASE a"],
    )
    .await;
    let said = refused.problem(400, "sql_error");
    assert!(said.contains("kept together cannot undo"), "{said}");
    let statements = [
        "INSERT INTO t VALUES (1)",
        "SAVEPOINT b",
        "INSERT INTO t VALUES (2)",
        "ROLLBACK TO b",
        "INSERT INTO t VALUES (3)",
    ];
    let answer = batch(&forge, &transaction, "immediate", &statements).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(inside(&forge, &transaction).await, json!([1, 3]));
    // Another request, whose own savepoint has the same name as that batch's.
    let fails = batch(
        &forge,
        &transaction,
        "immediate",
        &["DELETE FROM t", "SELEC"],
    )
    .await;
    fails.problem(400, "sql_error");
    assert_eq!(inside(&forge, &transaction).await, json!([1, 3]));
    fine(&forge, &transaction, "ROLLBACK TO b").await;
    assert_eq!(inside(&forge, &transaction).await, json!([1]));
    let each = ["RELEASE b", "ROLLBACK TO a", "INSERT INTO t VALUES (4)"];
    assert_eq!(batch(&forge, &transaction, "none", &each).await.status, 200);
    assert_eq!(end(&forge, &transaction, "commit").await.status, 204);
    assert_eq!(seen(&forge, "/v1/databases/shop/query").await, json!([4]));
}

#[tokio::test]
async fn a_script_in_a_transaction_is_kept_in_it_or_not_at_all() {
    let forge = shop().await;
    let transaction = begin(&forge, "{}").await;
    let text = "SAVEPOINT s; INSERT INTO t VALUES (1), (2);\nRELEASE s; SELECT * FROM t";
    let answer = script(&forge, &transaction, text).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let said = answer.json();
    assert_eq!([&said["statements"], &said["rows_affected"]], [4, 2]);
    let text = "INSERT INTO t VALUES (3);\nINSERT INTO t VALUES (1)";
    let answer = script(&forge, &transaction, text).await;
    let said = answer.problem(409, "constraint_violation");
    assert!(said.contains("statement 1, at line 2, failed"), "{said}");
    assert_eq!(answer.json()["offset"], 26);
    assert_eq!(inside(&forge, &transaction).await, json!([1, 2]));

    let reader = forge.token("reader", "\"read\"", "\"*\"").await;
    for path in ["batch", "script"] {
        let ask = forge.ask("POST", &format!("{transaction}/{path}"));
        let (kind, body) = match path {
            "batch" => ("application/json", r#"{"statements":[]}"#),
            _ => ("text/plain", "SELECT 1"),
        };
        let ask = ask.token(&reader).header("content-type", kind);
        assert!(matches!(ask.body(body).await.status.as_u16(), 403 | 404));
    }
    let reads = begin(&forge, r#"{"mode":"readonly"}"#).await;
    let write = batch(&forge, &reads, "none", &["SELECT 1", "DELETE FROM t"]).await;
    write.problem(403, "read_only");
    assert_eq!(write.json()["statement"], 1);
    assert_eq!(end(&forge, &transaction, "commit").await.status, 204);
}
