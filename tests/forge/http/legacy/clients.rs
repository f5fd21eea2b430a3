//! What clients of the original send beside what its routes are about, and what its documents
//! promise them.
use super::{run_jobs, sql, with_users};
use crate::support::http::{HttpForge, ROOT};
use dbforge::domain::verb::Verb;
use serde_json::{Value, json};

const SPAWN: &str = "/admin/databases/spawn/shop";
const PRUNE: &str = "/admin/databases/prune/shop";

#[tokio::test]
async fn a_body_that_a_route_has_no_use_for_is_ignored_whatever_it_is() {
    let forge = HttpForge::new().await;
    let _jobs = run_jobs(&forge);
    // The C++ client sends as many bytes as its last request had, of memory that is no longer its.
    let stale: &[u8] = b"{\"rows\":[{\"na\x00\xff\xfe\x80";
    let large = vec![b'['; 3 << 20];
    for (headers, body) in [
        (&[("content-type", "application/json")][..], stale),
        (&[("content-type", "application/json")], b"{"),
        (
            &[("content-type", "application/json")],
            br#"[{"name":"x"}]"#,
        ),
        (&[("content-type", "text/html")], b"<p>"),
        (&[("content-encoding", "gzip")], b"not packed"),
        (&[("content-encoding", "br")], b"{}"),
        (&[], &large),
    ] {
        for (method, path) in [
            ("POST", SPAWN),
            ("POST", PRUNE),
            ("POST", SPAWN),
            ("DELETE", "/admin/databases/shop"),
        ] {
            let mut ask = forge.ask(method, path).header("x-api-key", ROOT);
            for (name, value) in headers {
                ask = ask.header(name, value);
            }
            let answer = ask.bytes(body).await;
            assert!(answer.status.is_success(), "{headers:?} {}", answer.text);
        }
    }
    assert_eq!(forge.post(SPAWN, "").await.status, 201);
    for body in [stale, b"{}"] {
        let ask = forge.ask("POST", PRUNE).token(ROOT);
        let answer = ask.header("idempotency-key", "one").bytes(body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_trailing_slash_leads_to_the_same_route() {
    let forge = with_users().await;
    for path in [
        "/admin/databases",
        "/admin/discovery",
        "/admin/databases/shop",
        "/admin/gateway/stats",
        "/admin/stats",
        "/health",
        "/api/db/shop/schema",
        "/api/db/shop/tables/users/rows",
    ] {
        let answer = forge.get(&format!("{path}/")).await;
        assert_eq!(answer.status, 200, "{path}/: {}", answer.text);
    }
    let filtered = forge.get("/api/db/shop/tables/users/rows/?age=3").await;
    assert_eq!(filtered.json()["rows_affected"], 0);
    let asked = forge.post("/api/db/shop/query/", r#"{"sql":"SELECT 1"}"#);
    assert_eq!(asked.await.status, 200);
    let pruned = forge.post("/admin/databases/prune/nothing/", "").await;
    pruned.problem(404, "database_not_found");

    let counted = forge.get("/admin/gateway/stats/").await;
    let by_route = &counted.json()["requests_by_endpoint"];
    assert_eq!(by_route["GET /admin/databases"], 1, "{by_route}");

    for path in [
        "/v1/databases/",
        "/admin/databases//",
        "/admin/",
        "/api/db/shop/",
    ] {
        forge.get(path).await.problem(404, "route_not_found");
    }
}

#[tokio::test]
async fn the_list_shows_what_its_parameters_ask_for() {
    let forge = HttpForge::new().await;
    for name in ["a", "b", "c"] {
        forge.ready(name).await;
    }
    let stopped = forge.ready("d").await;
    forge.submit(Verb::Stop.on(stopped)).await.unwrap();
    forge.settle().await;
    let names = |query: &'static str| {
        let forge = &forge;
        async move {
            let answer = forge.get(&format!("/admin/databases{query}")).await;
            let all = answer.json();
            let told = |it: &Value| {
                assert!(it["container_id"].is_string(), "{it}");
                format!(
                    "{} {}",
                    it["name"].as_str().unwrap(),
                    it["status"].as_str().unwrap()
                )
            };
            let all: Vec<_> = all.as_array().unwrap().iter().map(told).collect();
            all.join(", ")
        }
    };
    assert_eq!(names("").await, "a running, b running, c running");
    assert_eq!(
        names("?status=running&limit=50&offset=0").await,
        names("").await
    );
    assert_eq!(names("?limit=1&offset=1").await, "b running");
    assert_eq!(names("?offset=2").await, "c running");
    assert_eq!(names("?limit=0").await, "");
    assert_eq!(names("?status=stopped").await, "d stopped");
    assert_eq!(names("?status=error").await, "");
    assert_eq!(names("?page=3").await, names("").await);
    for wrong in [
        "?status=gone",
        "?limit=-1",
        "?offset=many",
        "?offset=9223372036854775808",
    ] {
        let answer = forge.get(&format!("/admin/databases{wrong}")).await;
        answer.problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_query_is_cut_at_its_limit_and_answered_in_its_format() {
    let forge = with_users().await;
    let rows = json!({"rows": [{"name": "Ann"}, {"name": "B,b"}, {"name": "Cy"}]});
    forge
        .post("/api/db/shop/tables/users/rows", &rows.to_string())
        .await;
    let ask = |body: Value| {
        let forge = &forge;
        async move { forge.post("/api/db/shop/query", &body.to_string()).await }
    };
    let names = "SELECT name FROM users ORDER BY name";
    let cut = ask(json!({"sql": names, "limit": 2, "format": "json"})).await;
    assert_eq!(
        cut.text,
        r#"{"data":[{"name":"Ann"},{"name":"B,b"}],"rows_affected":2,"message":null}"#
    );
    assert_eq!(cut.header("x-dbforge-truncated"), "true");
    let whole = ask(json!({"sql": names, "limit": 3})).await;
    assert_eq!(whole.json()["rows_affected"], 3);
    assert_eq!(whole.header("x-dbforge-truncated"), "false");

    let csv = ask(json!({"sql": names, "format": "csv", "limit": 2})).await;
    assert_eq!(csv.text, "name\r\nAnn\r\n\"B,b\"\r\n");
    assert!(csv.header("content-type").starts_with("text/csv"));
    assert_eq!(csv.header("x-dbforge-truncated"), "true");
    let changed = ask(json!({"sql": "DELETE FROM users", "format": "csv", "limit": null})).await;
    assert_eq!((changed.status.as_u16(), changed.text.as_str()), (200, ""));

    let many = json!({"sql": names, "limit": 100_001});
    let said = ask(many).await.problem(400, "invalid_request");
    assert!(said.contains("`limit` must be 1 to 100000"), "{said}");
    let said = ask(json!({"sql": names, "format": "xml"})).await;
    let said = said.problem(400, "invalid_request");
    assert!(said.contains("`json` or `csv`"), "{said}");
}

#[tokio::test]
async fn rows_come_in_the_order_and_under_the_condition_that_is_asked_for() {
    let forge = with_users().await;
    let rows = json!({"rows": [
        {"name": "Ann", "age": 30}, {"name": "Bob", "age": 18}, {"name": "Cy", "age": 24},
    ]});
    forge
        .post("/api/db/shop/tables/users/rows", &rows.to_string())
        .await;
    sql(
        &forge,
        "shop",
        "CREATE TABLE pairs (a, b, PRIMARY KEY (b, a)) WITHOUT ROWID",
    )
    .await;
    sql(
        &forge,
        "shop",
        "INSERT INTO pairs VALUES (1, 2), (2, 1), (1, 1)",
    )
    .await;
    let values = |table: &'static str, query: &'static str| {
        let forge = &forge;
        async move {
            let path = format!("/api/db/shop/tables/{table}/rows?{query}");
            let answer = forge.get(&path).await;
            assert_eq!(answer.status, 200, "{query}: {}", answer.text);
            let told = |it: &Value| match &it["name"] {
                Value::String(name) => name.clone(),
                _ => format!("{}{}", it["a"], it["b"]),
            };
            let all = answer.json()["data"].clone();
            let all: Vec<_> = all.as_array().unwrap().iter().map(told).collect();
            all.join(" ")
        }
    };
    assert_eq!(values("users", "order_by=age").await, "Bob Cy Ann");
    assert_eq!(
        values("users", "order_by=age&order=desc").await,
        "Ann Cy Bob"
    );
    assert_eq!(
        values("users", "order_by=age&order=DESC&limit=1&offset=1").await,
        "Cy"
    );
    assert_eq!(values("users", "order=desc").await, "Cy Bob Ann");
    assert_eq!(values("pairs", "order=asc").await, "11 21 12");
    assert_eq!(values("pairs", "order=desc").await, "12 21 11");
    assert_eq!(
        values("users", "where=age%20%3E%2020&order_by=age").await,
        "Cy Ann"
    );
    assert_eq!(
        values("users", "where=age%3E20%20OR%20age%3D18&name=Bob").await,
        "Bob",
        "other conditions hold for both sides of an OR"
    );
    for (query, said) in [
        ("order_by=price", "no such column"),
        ("where=price%3E1", "no such column: price"),
        ("where=", "syntax error"),
        ("where=1)%20OR%20(1", "`where` is not one SQL expression"),
        ("where=1%20--&age=1", "`where` is not one SQL expression"),
        ("where=age%3D%3F1", "`where` is not one SQL expression"),
        ("where=1;DELETE%20FROM%20users", "`where` is not one SQL"),
    ] {
        let path = format!("/api/db/shop/tables/users/rows?{query}");
        let answer = forge.get(&path).await.problem(400, "sql_error");
        assert!(answer.contains(said), "{query}: {answer}");
    }
    let upwards = forge.get("/api/db/shop/tables/users/rows?order=up").await;
    upwards.problem(400, "invalid_request");
}

#[tokio::test]
async fn the_schema_tells_tables_columns_indexes_and_numbers_of_rows() {
    let forge = with_users().await;
    for made in [
        "CREATE TABLE \"odd \"\"name\" (b TEXT DEFAULT 'x', a INT, c AS (a + 1), PRIMARY KEY (b, a)) WITHOUT ROWID",
        "CREATE UNIQUE INDEX by_age ON users (age, lower(name))",
        "CREATE TABLE numbered (n INTEGER PRIMARY KEY DESC, code, UNIQUE (code))",
        "CREATE VIEW adults AS SELECT * FROM users WHERE age > 17",
        "INSERT INTO users (name) VALUES ('Ann')",
    ] {
        let answer = sql(&forge, "shop", made).await;
        assert_eq!(answer.status, 200, "{made}: {}", answer.text);
    }
    let answer = forge.get("/api/db/shop/schema").await;
    let shown = serde_json::to_string_pretty(&answer.json()).unwrap();
    super::snapshot("a_schema_in_the_originals_shape", &shown);

    let one = forge.get("/api/db/shop/schema?table=USERS").await;
    assert_eq!(one.json()["tables"].as_array().unwrap().len(), 1);
    assert_eq!(one.json()["tables"][0], answer.json()["tables"][2]);
    let none = forge.get("/api/db/shop/schema?table=adults").await;
    let said = none.problem(400, "sql_error");
    assert!(said.contains("no such table: adults"), "{said}");
    let unknown = forge.get("/api/db/nothing/schema").await;
    assert_eq!(unknown.json()["detail"], "Database not found.");
    let manager = forge.token("manager", "\"manage\"", "\"*\"").await;
    let refused = forge.ask("GET", "/api/db/shop/schema").token(&manager);
    refused.empty().await.problem(403, "insufficient_scope");
}
