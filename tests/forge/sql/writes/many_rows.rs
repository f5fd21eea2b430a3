//! Many rows of parameters for one statement.
use crate::support::http::{Answer, HttpForge, ROOT};
use crate::support::sql::{Sql, read_write, soon};
use dbforge::data::{MAX_PARAMETER_ROWS, Params, QueryRequest};
use serde_json::{Value, json};
use std::time::Duration;

const BATCH: &str = "/v1/databases/shop/batch";
const QUERY: &str = "/v1/databases/shop/query";

async fn shop() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let table = "CREATE TABLE t (a INTEGER PRIMARY KEY, b UNIQUE)";
    let made = post(&forge, QUERY, &json!({ "sql": table })).await;
    assert_eq!(made.status, 200, "{}", made.text);
    forge
}

async fn post(forge: &HttpForge, path: &str, body: &Value) -> Answer {
    forge.post(path, &body.to_string()).await
}

async fn insert(forge: &HttpForge, rows: Value) -> Answer {
    let body = json!({"sql": "INSERT INTO t (b) VALUES (?1)", "params_list": rows});
    post(forge, QUERY, &body).await
}

async fn kept(forge: &HttpForge) -> Value {
    let select = json!({"sql": "SELECT b FROM t ORDER BY a"});
    let rows = post(forge, QUERY, &select).await.json()["rows"].take();
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| row[0].clone())
        .collect()
}

#[tokio::test]
async fn one_answer_tells_of_all_rows() {
    let forge = shop().await;
    let answer = insert(&forge, json!([["x"], [null], [{"$base64": "AP8="}], [1.5]])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let told = answer.json();
    assert_eq!(told["rows_affected"], 4);
    assert_eq!(told["last_insert_rowid"], 4);
    assert_eq!(told["rows"], json!([]));
    assert_eq!(
        kept(&forge).await,
        json!(["x", null, {"$base64": "AP8="}, 1.5])
    );

    let returning = json!({
        "sql": "INSERT INTO t (b) VALUES (:b), (:b || :c) RETURNING a, b",
        "params_list": [{"b": "one", "c": 1}, {":c": 2, ":b": "two"}]});
    let refused = post(&forge, QUERY, &returning).await;
    let said = refused.problem(422, "parameter_mismatch");
    assert!(said.contains("he first row has no `:b`"), "{said}");
    let returning = json!({
        "sql": "INSERT INTO t (b) VALUES (:b), (:b || :c) RETURNING a, b",
        "params_list": [{"b": "one", "c": 1}, {"c": 2, "b": "two"}]});
    let told = post(&forge, QUERY, &returning).await.json();
    assert_eq!(
        told["rows"],
        json!([[5, "one"], [6, "one1"], [7, "two"], [8, "two2"]])
    );
    assert_eq!(
        (&told["row_count"], &told["rows_affected"]),
        (&json!(4), &json!(4))
    );

    let changed = json!({"sql": "UPDATE t SET b = ?2 WHERE a >= ?1",
        "params_list": [[8, "eight"], [99, "none"], [7, null], [5, null]]});
    let failed = post(&forge, QUERY, &changed).await.json();
    assert_eq!(failed["rows_affected"], 1 + 2 + 4);
    let cut = json!({"sql": "DELETE FROM t WHERE a = ?1 RETURNING a", "max_rows": 2,
        "params_list": [[8], [7], [6], [5]]});
    let told = post(&forge, QUERY, &cut).await.json();
    assert_eq!(told["rows"], json!([[8], [7]]));
    assert_eq!(
        (&told["truncated"], &told["rows_affected"]),
        (&json!(true), &json!(4))
    );
    assert_eq!(kept(&forge).await.as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_row_that_fails_is_named_and_none_is_kept() {
    let forge = shop().await;
    for _ in 0..3 {
        let answer = insert(&forge, json!([[1], [2], [1], [3]])).await;
        let said = answer.problem(409, "constraint_violation");
        assert!(said.contains("UNIQUE constraint failed: t.b"), "{said}");
        assert!(said.contains("row 2 of `params_list` failed"), "{said}");
        assert_eq!(answer.json()["params_index"], 2);
        assert_eq!(kept(&forge).await, json!([]));
        // What ends well is run without a savepoint the next time, which changes nothing.
        assert_eq!(
            insert(&forge, json!([[1], [2], [4], [3]])).await.status,
            200
        );
        post(&forge, QUERY, &json!({"sql": "DELETE FROM t"})).await;
    }
    let overflow = json!({"sql": "INSERT INTO t (b) VALUES (abs(?1))",
        "params_list": [[1], [i64::MIN]]});
    let answer = post(&forge, QUERY, &overflow).await;
    answer.problem(400, "sql_error");
    assert_eq!(answer.json()["params_index"], 1);
    let rollback = json!({"sql": "INSERT OR ROLLBACK INTO t (b) VALUES (?1)",
        "params_list": [[1], [1]]});
    let answer = post(&forge, QUERY, &rollback).await;
    answer.problem(409, "constraint_violation");
    let unknown = json!({"sql": "INSERT INTO nothing VALUES (?1)", "params_list": [[1], [2]]});
    let answer = post(&forge, QUERY, &unknown).await;
    answer.problem(400, "sql_error");
    assert_eq!(
        answer.json().get("params_index"),
        None,
        "no row is to blame"
    );
    assert_eq!(kept(&forge).await, json!([]));
}

#[tokio::test]
async fn a_list_that_is_none_is_refused_before_anything_runs() {
    let forge = shop().await;
    let many = vec![json!([1]); MAX_PARAMETER_ROWS + 1];
    for (rows, status, code, says) in [
        (json!([]), 400, "invalid_request", "`params_list` is empty"),
        (
            json!([1]),
            400,
            "invalid_request",
            "a row: a list of values",
        ),
        (
            json!([[1], [[]]]),
            400,
            "invalid_request",
            "row 1 of `params_list`",
        ),
        (
            json!([[1], [2, 3]]),
            422,
            "parameter_mismatch",
            "has 2 values",
        ),
        (
            json!([[1, 2], [3, 4]]),
            422,
            "parameter_mismatch",
            "has 1 parameters, but 2",
        ),
        (
            json!([{"a": 1}]),
            422,
            "parameter_mismatch",
            "o value was given for the parameter ?1",
        ),
        (json!(many), 413, "payload_too_large", "100000"),
    ] {
        let said = insert(&forge, rows).await.problem(status, code);
        assert!(said.contains(says), "{said}");
    }
    let both = json!({"sql": "INSERT INTO t (b) VALUES (?1)", "params": [], "params_list": [[1]]});
    let said = post(&forge, QUERY, &both)
        .await
        .problem(400, "invalid_request");
    assert!(said.contains("not both"), "{said}");
    let answer = post(
        &forge,
        BATCH,
        &json!({"statements": [{"sql": "SELECT 1"}, both]}),
    )
    .await;
    answer.problem(400, "invalid_request");
    assert_eq!(answer.json()["statement"], 1);
    let nothing = json!({"sql": "INSERT INTO t (b) VALUES (1)", "params_list": null});
    assert_eq!(
        post(&forge, QUERY, &nothing).await.json()["rows_affected"],
        1
    );
}

#[tokio::test]
async fn statements_of_batches_and_transactions_take_many_rows() {
    let forge = shop().await;
    let list = |rows: Value| json!({"sql": "INSERT INTO t (b) VALUES (?1)", "params_list": rows});
    for transaction in ["immediate", "deferred", "none"] {
        let good = json!({"transaction": transaction, "statements": [
            {"sql": "SELECT count(*) FROM t"}, list(json!([[1], [2]])),
            {"sql": "SELECT a, b FROM t WHERE b = ?1", "params_list": [[2], [9], [1]]},
            {"sql": "DELETE FROM t WHERE b = ?1", "params_list": [[2], [1]]}]});
        let answer = post(&forge, BATCH, &good).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let results = answer.json()["results"].take();
        assert_eq!(results[1]["rows_affected"], 2, "{transaction}");
        assert_eq!(results[2]["rows"], json!([[2, 2], [1, 1]]), "{transaction}");
        assert_eq!(results[3]["rows_affected"], 2, "{transaction}");
        let bad = json!({"transaction": transaction, "statements": [
            list(json!([["first"]])), list(json!([["x"], ["y"], ["x"]]))]});
        let answer = post(&forge, BATCH, &bad).await;
        let said = answer.problem(409, "constraint_violation");
        assert!(
            said.contains("statement 1 failed at row 2 of `params_list`"),
            "{said}"
        );
        let place = answer.json();
        assert_eq!(
            (&place["statement"], &place["params_index"]),
            (&json!(1), &json!(2))
        );
        let left = if transaction == "none" {
            json!(["first"])
        } else {
            json!([])
        };
        assert_eq!(kept(&forge).await, left, "{transaction}");
    }

    let begun = post(&forge, "/v1/databases/shop/transactions", &json!({})).await;
    let path = format!(
        "/v1/databases/shop/transactions/{}",
        begun.json()["id"].as_str().unwrap()
    );
    let inside = format!("{path}/query");
    let answer = post(&forge, &inside, &list(json!([["in"], ["it"]]))).await;
    assert_eq!(answer.json()["rows_affected"], 2, "{}", answer.text);
    let answer = post(&forge, &inside, &list(json!([["more"], ["it"]]))).await;
    answer.problem(409, "constraint_violation");
    assert_eq!(answer.json()["params_index"], 1);
    let savepoint = json!({"sql": "SAVEPOINT s", "params_list": [[]]});
    post(&forge, &inside, &savepoint)
        .await
        .problem(422, "parameter_mismatch");
    let batch = json!({"statements": [list(json!([["and"]])), list(json!([["so"], ["and"]]))]});
    let answer = post(&forge, &format!("{path}/batch"), &batch).await;
    answer.problem(409, "constraint_violation");
    assert_eq!(
        post(&forge, &format!("{path}/commit"), &json!({}))
            .await
            .status,
        204
    );
    assert_eq!(kept(&forge).await, json!(["first", "in", "it"]));
}

#[tokio::test]
async fn reads_answer_for_each_row_in_order() {
    let forge = shop().await;
    insert(&forge, json!([["a"], ["b"], ["c"]])).await;
    let read = json!({"sql": "SELECT b FROM t WHERE a = ?1", "params_list": [[3], [7], [1]]});
    for _ in 0..4 {
        let answer = post(&forge, QUERY, &read).await;
        assert_eq!(
            answer.json()["rows"],
            json!([["c"], ["a"]]),
            "{}",
            answer.text
        );
    }
    let lines = post(
        &forge,
        &format!("{QUERY}?format=ndjson&shape=objects"),
        &read,
    )
    .await;
    assert_eq!(lines.text, "{\"b\":\"c\"}\n{\"b\":\"a\"}\n");
}

#[tokio::test]
async fn a_list_that_may_not_write_or_has_no_time_leaves_nothing() {
    let forge = shop().await;
    let rows = json!([["x"], ["y"]]);
    let sql = "INSERT INTO t (b) VALUES (?1)";
    let body = json!({"sql": sql, "params_list": rows, "readonly": true});
    post(&forge, QUERY, &body).await.problem(403, "read_only");
    let with = "WITH n AS (SELECT ?1 AS v) INSERT INTO t (b) SELECT v FROM n";
    let body = json!({"sql": with, "params_list": rows, "readonly": true});
    post(&forge, QUERY, &body).await.problem(403, "read_only");
    let reader = forge.token("reader", "\"read\"", "\"*\"").await;
    let body = json!({"sql": with, "params_list": rows}).to_string();
    let answer = forge.ask("POST", QUERY).token(&reader).body(&body).await;
    answer.problem(403, "read_only");
    assert_eq!(
        forge
            .ask("POST", QUERY)
            .token(ROOT)
            .body(&body)
            .await
            .status,
        200
    );
    assert_eq!(kept(&forge).await, json!(["x", "y"]));

    let counts = "INSERT INTO t (b) WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 \
        FROM c WHERE x < ?1) SELECT max(x) FROM c";
    let body = json!({"sql": counts, "params_list": [[1], [2], [i64::MAX]], "timeout_ms": 200});
    post(&forge, QUERY, &body)
        .await
        .problem(422, "statement_timeout");
    assert_eq!(kept(&forge).await, json!(["x", "y"]));
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (b)").await.unwrap();
    let guard = sql.plane.enter(sql.target.database, soon()).await.unwrap();
    let counts = "INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 \
        FROM c WHERE x < ?1) SELECT max(x) FROM c";
    let request = QueryRequest {
        sql: counts.to_owned(),
        params: Params::List(serde_json::from_value(json!([[1], [2], [i64::MAX]])).unwrap()),
        options: read_write(),
    };
    let asked = sql.plane.query(&guard, &sql.target, request);
    let given_up = tokio::time::timeout(Duration::from_millis(100), asked).await;
    assert!(given_up.is_err(), "it runs for ever");
    assert_eq!(sql.rows("SELECT count(*) FROM t").await, json!([[0]]));
    let list = serde_json::from_value(json!([[1], [2]])).unwrap();
    let request = QueryRequest {
        sql: "INSERT INTO t VALUES (?1)".to_owned(),
        params: Params::List(list),
        options: read_write(),
    };
    let answer = sql.plane.query(&guard, &sql.target, request).await.unwrap();
    assert_eq!(answer.rows_affected, 2);
}
