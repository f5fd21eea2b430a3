//! Transactions of several requests.
use super::{rows, send, with_shop};
use crate::support::http::{Answer, HttpForge};
use serde_json::json;

async fn begin(forge: &HttpForge, mode: &str) -> String {
    let begun = send(forge, "transactions", json!({ "mode": mode })).await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    begun.json()["id"].as_str().unwrap().to_owned()
}

async fn inside(forge: &HttpForge, id: &str, sql: &str) -> Answer {
    send(
        forge,
        &format!("transactions/{id}/query"),
        json!({ "sql": sql }),
    )
    .await
}

async fn end(forge: &HttpForge, id: &str, how: &str) -> Answer {
    send(forge, &format!("transactions/{id}/{how}"), json!({})).await
}

#[tokio::test]
async fn a_transaction_is_kept_by_its_commit_and_goes_on_after_a_statement_that_fails() {
    let forge = with_shop().await;
    rows(&forge, "create table t(a int primary key)").await;
    let id = begin(&forge, "immediate").await;
    assert_eq!(
        inside(&forge, &id, "insert into t values (1)").await.status,
        200
    );
    inside(&forge, &id, "insert into t values (1)")
        .await
        .problem(409, "constraint_violation");
    inside(&forge, &id, "select nothing")
        .await
        .problem(400, "sql_error");
    assert_eq!(
        inside(&forge, &id, "insert into t values (2)").await.status,
        200
    );
    assert_eq!(
        rows(&forge, "select count(*) from t").await,
        json!([[0]]),
        "others see nothing"
    );
    for control in ["commit", "rollback", "begin"] {
        inside(&forge, &id, control)
            .await
            .problem(403, "statement_not_allowed");
    }
    let readonly = json!({"sql": "delete from t", "readonly": true});
    let readonly = send(&forge, &format!("transactions/{id}/query"), readonly).await;
    readonly.problem(403, "read_only");
    let late = json!({"sql": "select pg_sleep(9)", "timeout_ms": 100});
    let late = send(&forge, &format!("transactions/{id}/query"), late).await;
    late.problem(422, "statement_timeout");
    assert_eq!(end(&forge, &id, "commit").await.status, 204);
    assert_eq!(
        rows(&forge, "select a from t order by a").await,
        json!([[1], [2]])
    );
    inside(&forge, &id, "select 1")
        .await
        .problem(410, "transaction_ended");
}

#[tokio::test]
async fn savepoints_of_clients_work_and_what_is_kept_together_is() {
    let forge = with_shop().await;
    rows(&forge, "create table t(a int primary key)").await;
    let id = begin(&forge, "deferred").await;
    for sql in [
        "insert into t values (1)",
        "savepoint a",
        "insert into t values (2)",
    ] {
        let answer = inside(&forge, &id, sql).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text);
    }
    inside(&forge, &id, "rollback to nosuch")
        .await
        .problem(400, "sql_error");
    assert_eq!(
        inside(&forge, &id, "rollback to savepoint A").await.status,
        200
    );
    let batch = json!({"statements": [
        {"sql": "insert into t values (3)"}, {"sql": "insert into t values (1)"},
    ]});
    let batch = send(&forge, &format!("transactions/{id}/batch"), batch).await;
    batch.problem(409, "constraint_violation");
    assert_eq!(
        inside(&forge, &id, "insert into t values (4)").await.status,
        200
    );
    assert_eq!(inside(&forge, &id, "release a").await.status, 200);
    let read = inside(&forge, &id, "select a from t order by a")
        .await
        .json();
    assert_eq!(read["rows"], json!([[1], [4]]));
    assert_eq!(end(&forge, &id, "rollback").await.status, 204);
    assert_eq!(rows(&forge, "select count(*) from t").await, json!([[0]]));
}

#[tokio::test]
async fn a_transaction_that_reads_sees_one_moment_and_a_constraint_is_checked_at_the_commit() {
    let forge = with_shop().await;
    rows(
        &forge,
        "create table t(a int primary key, parent int references t deferrable initially deferred)",
    )
    .await;
    let reads = begin(&forge, "readonly").await;
    let count = "select count(*) from t";
    assert_eq!(
        inside(&forge, &reads, count).await.json()["rows"],
        json!([[0]])
    );
    rows(&forge, "insert into t values (1, 1)").await;
    assert_eq!(
        inside(&forge, &reads, count).await.json()["rows"],
        json!([[0]])
    );
    inside(&forge, &reads, "insert into t values (9, 9)")
        .await
        .problem(403, "read_only");
    assert_eq!(end(&forge, &reads, "rollback").await.status, 204);

    let writes = begin(&forge, "immediate").await;
    assert_eq!(
        inside(&forge, &writes, "insert into t values (2, 3)")
            .await
            .status,
        200
    );
    end(&forge, &writes, "commit")
        .await
        .problem(409, "constraint_violation");
    assert_eq!(
        inside(&forge, &writes, "insert into t values (3, 3)")
            .await
            .status,
        200
    );
    assert_eq!(end(&forge, &writes, "commit").await.status, 204);
    assert_eq!(rows(&forge, count).await, json!([[3]]));
}
