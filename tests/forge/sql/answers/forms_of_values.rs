//! What JSON and CSV have no form for: two columns of one name, text that is no UTF-8, and that an
//! answer was cut.
use crate::support::http::{Answer, HttpForge, ROOT};
use crate::support::stream_client::Served;
use serde_json::{Value, json};

const QUERY: &str = "/v1/databases/shop/query";
const BROKEN: &str = "SELECT CAST(x'ff41' AS TEXT) AS a, 'b' AS b";

async fn shop() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let table = json!({"sql": "CREATE TABLE t (id INTEGER PRIMARY KEY, n)"});
    assert_eq!(ask(&forge, QUERY, &table).await.status, 200);
    forge
}

async fn ask(forge: &HttpForge, path: &str, body: &Value) -> Answer {
    forge.post(path, &body.to_string()).await
}

#[tokio::test]
async fn objects_with_two_columns_of_one_name_are_refused_and_nothing_is_kept() {
    let forge = shop().await;
    for sql in [
        "SELECT 1 AS a, 2 AS a",
        "SELECT * FROM t AS x JOIN t AS y",
        "SELECT 1 AS a, 2 AS a WHERE 0",
        "INSERT INTO t VALUES (1, 2) RETURNING id, n, id",
    ] {
        for parameters in ["", "?format=ndjson", "?stream=true"] {
            let body = json!({"sql": sql, "shape": "objects"});
            let answer = ask(&forge, &format!("{QUERY}{parameters}"), &body).await;
            let said = answer.problem(400, "invalid_request");
            assert!(said.contains("AS, or ask for"), "{said}");
        }
        let batch = json!({"statements": [{"sql": sql}], "shape": "objects"});
        let answer = ask(&forge, "/v1/databases/shop/batch", &batch).await;
        answer.problem(400, "invalid_request");
    }
    let count = ask(&forge, QUERY, &json!({"sql": "SELECT count(*) FROM t"})).await;
    assert_eq!(count.json()["rows"], json!([[0]]));

    let both = json!({"sql": "SELECT 1 AS a, 2 AS A, 3 AS b", "shape": "objects"});
    let rows = ask(&forge, QUERY, &both).await.json()["rows"].take();
    assert_eq!(rows, json!([{"a": 1, "A": 2, "b": 3}]));
    let lists = ask(&forge, QUERY, &json!({"sql": "SELECT 1 AS a, 2 AS a"})).await;
    assert_eq!(lists.json()["rows"], json!([[1, 2]]));
    let body = json!({"sql": "SELECT 1 AS a, 2 AS a", "shape": "objects"});
    let csv = ask(&forge, &format!("{QUERY}?format=csv"), &body).await;
    assert_eq!(csv.text, "a,a\r\n1,2\r\n");
}

#[tokio::test]
async fn the_original_routes_write_a_name_once_with_the_last_value() {
    let forge = shop().await;
    let body = json!({"sql": "SELECT 1 AS id, 'x' AS name, 2 AS id"});
    let answer = ask(&forge, "/api/db/shop/query", &body).await;
    assert_eq!(
        answer.text,
        r#"{"data":[{"name":"x","id":2}],"rows_affected":1,"message":null}"#
    );
}

#[tokio::test]
async fn text_that_is_no_utf8_has_a_form_in_every_format() {
    let forge = shop().await;
    let marked = json!({"$text_base64": "/0E="});
    for (shape, row) in [
        ("rows", json!([marked, "b"])),
        ("objects", json!({"a": marked, "b": "b"})),
    ] {
        let body = json!({"sql": BROKEN, "shape": shape});
        let answer = ask(&forge, QUERY, &body).await;
        assert_eq!(answer.json()["rows"][0], row);
        let lines = ask(&forge, &format!("{QUERY}?format=ndjson"), &body)
            .await
            .text;
        let lines: Vec<Value> = lines
            .lines()
            .map(|it| serde_json::from_str(it).unwrap())
            .collect();
        assert!(lines.contains(&row), "{lines:?}");
    }
    let csv = ask(
        &forge,
        &format!("{QUERY}?format=csv"),
        &json!({"sql": BROKEN}),
    )
    .await;
    assert_eq!(csv.text, "a,b\r\n/0E=,b\r\n");

    let original = ask(&forge, "/api/db/shop/query", &json!({"sql": BROKEN})).await;
    let said = original.problem(400, "sql_error");
    assert!(
        said.contains("Could not decode to UTF-8 column 'a'"),
        "{said}"
    );

    let body = json!({"sql": "INSERT INTO t (n) VALUES (?1) RETURNING n", "params": [marked]});
    let kept = ask(&forge, QUERY, &body).await;
    assert_eq!(kept.json()["rows"], json!([[marked]]));
    let rows = forge.get("/api/db/shop/tables/t/rows").await;
    rows.problem(400, "sql_error");
    for wrong in [
        json!({"$text_base64": "?"}),
        json!({"$text_base64": 1}),
        json!({"a": 1}),
    ] {
        let body = json!({"sql": "SELECT ?1", "params": [wrong]});
        ask(&forge, QUERY, &body)
            .await
            .problem(400, "invalid_request");
    }
    let body = json!({"sql": "SELECT ?1", "params": [{"a": 1}]});
    let answer = ask(&forge, QUERY, &body).await;
    let said = answer.problem(400, "invalid_request");
    assert!(said.contains("null, a number, text"), "{said}");
}

#[tokio::test]
async fn an_answer_that_was_cut_says_so_in_every_format() {
    let served = Served::new().await;
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000) \
                   SELECT i FROM n";
    for (max_rows, is_cut) in [(3, "true"), (4_999, "true"), (5_000, "false")] {
        for (parameters, shape) in [
            ("?format=csv", "rows"),
            ("?format=csv&stream=true", "rows"),
            ("?format=ndjson", "objects"),
            ("?format=ndjson&stream=true", "objects"),
        ] {
            let body = json!({"sql": numbers, "max_rows": max_rows, "shape": shape});
            let reply = served.query(parameters, "", &body).await;
            assert_eq!(reply.header("x-dbforge-truncated"), is_cut, "{parameters}");
            let headers = usize::from(parameters.contains("csv"));
            let lines = reply.text().await.lines().count();
            assert_eq!(lines, max_rows + headers, "{parameters}");
        }
        let body = json!({"sql": numbers, "max_rows": max_rows});
        let text = served.query("?format=ndjson", "", &body).await.text().await;
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["truncated"].to_string(), is_cut);
    }
    let history = json!({"sql": "SELECT sequence FROM events", "max_rows": 1}).to_string();
    let path = "/v1/audit/query?format=csv";
    let reply = served.send("POST", path, "", &history).await;
    assert_eq!(reply.header("x-dbforge-truncated"), "true");
}

#[tokio::test]
async fn the_original_routes_say_of_a_deferred_foreign_key_what_they_say_of_any() {
    let forge = shop().await;
    let table = json!({"sql": "CREATE TABLE c (t REFERENCES t DEFERRABLE INITIALLY DEFERRED)"});
    assert_eq!(ask(&forge, QUERY, &table).await.status, 200);
    for (path, body) in [
        ("query", json!({"sql": "INSERT INTO c VALUES (9)"})),
        ("tables/c/rows", json!({"rows": [{"t": null}, {"t": 9}]})),
    ] {
        let answer = ask(&forge, &format!("/api/db/shop/{path}"), &body).await;
        let said = answer.problem(400, "sql_error");
        assert!(
            said.contains("SQL Error: FOREIGN KEY constraint failed"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn too_many_rows_are_spoken_of_as_rows() {
    let forge = shop().await;
    let rows = json!({"rows": vec![json!({"n": 1}); 100_001]}).to_string();
    let ask = forge.ask("POST", "/api/db/shop/tables/t/rows").token(ROOT);
    let answer = ask.body(&rows).await;
    let said = answer.problem(413, "payload_too_large");
    assert!(
        said.contains("number of rows is larger than 100000"),
        "{said}"
    );
}

#[tokio::test]
async fn a_reader_may_have_a_write_explained_and_nothing_is_written() {
    let forge = shop().await;
    let reader = forge.token("reader", "\"read\"", "\"*\"").await;
    for _ in 0..2 {
        for sql in [
            "EXPLAIN QUERY PLAN DELETE FROM t WHERE n = 1",
            "EXPLAIN INSERT INTO t VALUES (1, 2)",
            "/* why */ explain query plan UPDATE t SET n = 2",
            "EXPLAIN CREATE TABLE u (a)",
            "EXPLAIN PRAGMA user_version = 3",
            "EXPLAIN WITH x AS (SELECT 1) INSERT INTO t SELECT 1, 2 FROM x",
        ] {
            let ask = forge.ask("POST", QUERY).token(&reader);
            let answer = ask.body(&json!({ "sql": sql }).to_string()).await;
            assert_eq!(answer.status, 200, "{sql}: {}", answer.text);
            let readonly = json!({"sql": sql, "readonly": true}).to_string();
            assert_eq!(forge.post(QUERY, &readonly).await.status, 200, "{sql}");
        }
        for sql in [
            "DELETE FROM t",
            "EXPLAIN ATTACH 'x' AS y",
            "EXPLAIN SELECT load_extension('x')",
        ] {
            let ask = forge.ask("POST", QUERY).token(&reader);
            let answer = ask.body(&json!({ "sql": sql }).to_string()).await;
            assert_eq!(answer.status, 403, "{sql}: {}", answer.text);
        }
    }
    let left = json!({"sql": "SELECT (SELECT count(*) FROM t), count(*) FROM sqlite_schema"});
    assert_eq!(
        ask(&forge, QUERY, &left).await.json()["rows"],
        json!([[0, 1]])
    );
}
