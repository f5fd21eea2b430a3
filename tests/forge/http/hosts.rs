//! Hosts of databases: `{label}.{domain}`.
use super::serving::{Served, rest, send};
use crate::support::http::{Answer, HttpForge, ROOT};
use dbforge::domain::verb::Verb;
use dbforge::http::HttpConfig;
use serde_json::json;

const SELECT: &str = r#"{"sql":"SELECT name FROM sqlite_schema"}"#;

async fn ask(forge: &HttpForge, host: &str, request: &str, body: &str) -> Answer {
    let (method, path) = request.split_once(' ').unwrap();
    let ask = forge.ask(method, path).token(ROOT).header("host", host);
    ask.body(body).await
}

#[tokio::test]
async fn a_database_is_asked_at_the_root_of_its_host() {
    let forge = HttpForge::new().await;
    let id = forge.ready("Till_1").await;
    let host = "till-1.db.localhost";
    let shown = ask(&forge, host, "GET /", "").await;
    assert_eq!(shown.json()["id"], id.to_string());
    assert_eq!(shown.json()["host"], host);
    let script = forge.ask("POST", "/script").token(ROOT);
    let script = script
        .header("host", host)
        .header("content-type", "text/plain");
    let script = script
        .body("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        .await;
    assert_eq!(script.status, 200, "{}", script.text);
    let batch = r#"{"statements":[{"sql":"INSERT INTO t VALUES (2)"}]}"#;
    assert_eq!(ask(&forge, host, "POST /batch", batch).await.status, 200);
    let begun = ask(&forge, host, "POST /transactions", "{}").await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let transaction = begun.json()["id"].as_str().unwrap().to_owned();
    for (path, body, status) in [
        ("query", r#"{"sql":"INSERT INTO t VALUES (3)"}"#, 200),
        ("commit", "", 204),
    ] {
        let request = format!("POST /transactions/{transaction}/{path}");
        let answer = ask(&forge, host, &request, body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    let sum = r#"{"sql":"SELECT sum(a) FROM t"}"#;
    let rows = ask(&forge, host, "POST /query?format=csv", sum).await;
    assert_eq!(rows.text, "sum(a)\r\n6\r\n");
    let changed = ask(&forge, host, "PATCH /", r#"{"labels":{"a":"b"}}"#).await;
    assert_eq!(changed.json()["labels"], json!({"a": "b"}));
    let stop = ask(&forge, host, "POST /stop", "").await;
    assert_eq!(stop.json()["kind"], "stop_database");
    for spelling in [
        "till-1.db.localhost:8080",
        "TILL-1.DB.localhost",
        "till-1.db.localhost.",
        "till-1.db.localhost.:80",
    ] {
        let answer = ask(&forge, spelling, "GET /", "").await;
        assert_eq!(answer.json()["id"], id.to_string(), "{spelling}");
    }
    for elsewhere in [
        "db.localhost",
        "localhost",
        "till-1.db.localhost.example",
        "x",
    ] {
        let answer = ask(&forge, elsewhere, "POST /query", SELECT).await;
        answer.problem(404, "route_not_found");
    }
    let counted = ask(&forge, "x", "GET /admin/gateway/stats", "").await;
    let by_route = &counted.json()["requests_by_endpoint"];
    assert_eq!(by_route["POST /v1/databases/{db}/script"], 1, "{by_route}");
}

#[tokio::test]
async fn other_paths_are_answered_on_a_host_as_on_the_domain() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let host = "shop.db.localhost";
    let stop = ask(&forge, host, "POST /stop", "").await;
    let job = stop.header("location").to_owned();
    assert_eq!(
        ask(&forge, host, &format!("GET {job}"), "").await.status,
        200
    );
    for path in [
        "/healthz",
        "/problems/sql-error",
        "/openapi.json",
        "/v1/databases/shop",
        "/admin/databases/",
    ] {
        let answer = ask(&forge, host, &format!("GET {path}"), "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    for (request, status, code) in [
        ("GET /nothing", 404, "route_not_found"),
        ("GET /query/", 404, "route_not_found"),
        ("GET /query", 405, "method_not_allowed"),
    ] {
        ask(&forge, host, request, "").await.problem(status, code);
    }
}

#[tokio::test]
async fn a_host_without_a_database_and_one_of_another_token_look_the_same() {
    let forge = HttpForge::new().await;
    forge.ready("secret_payroll").await;
    let reader = forge.token("reader", "\"read\"", "\"copy-*\"").await;
    let (there, nowhere) = ("secret-payroll.db.localhost", "nothing.db.localhost");
    for (request, body) in [("POST /query", SELECT), ("GET /", "")] {
        let (method, path) = request.split_once(' ').unwrap();
        let told = |host: &'static str, token: String| {
            let ask = forge.ask(method, path).token(&token).header("host", host);
            async move {
                let answer = ask.body(body).await;
                let label = host.split('.').next().unwrap();
                let mut told = answer.json();
                told["request_id"].take();
                (answer.status, told.to_string().replace(label, "{label}"))
            }
        };
        assert_eq!(
            told(there, reader.clone()).await,
            told(nowhere, reader.clone()).await
        );
        let by_name = forge.ask("GET", "/v1/databases/secret_payroll");
        by_name
            .token(&reader)
            .empty()
            .await
            .problem(404, "database_not_found");
        let unsigned = told(there, "dbf_wrong".to_owned()).await;
        assert_eq!(unsigned.0, 401, "{}", unsigned.1);
        assert_eq!(unsigned, told(nowhere, "dbf_wrong".to_owned()).await);
        ask(&forge, nowhere, request, body)
            .await
            .problem(404, "database_not_found");
    }
    for host in [
        "a.secret-payroll.db.localhost",
        "secret_payroll.db.localhost",
        "%2F.db.localhost",
        "host:secret-payroll.db.localhost",
    ] {
        let answer = ask(&forge, host, "POST /query", SELECT).await;
        answer.problem(404, "database_not_found");
    }
}

#[tokio::test]
async fn a_host_follows_its_label_and_not_a_name() {
    let forge = HttpForge::new().await;
    let dotted = forge.ready("a.b").await;
    let dashed = forge.ready("a-b").await;
    let id_at = |host: &'static str| {
        let forge = &forge;
        async move { ask(forge, host, "GET /", "").await.json()["id"].clone() }
    };
    assert_eq!(id_at("a-b.db.localhost").await, dotted.to_string());
    assert_eq!(id_at("a-b-2.db.localhost").await, dashed.to_string());

    forge.submit(Verb::Delete.on(dotted)).await.unwrap();
    forge.settle().await;
    ask(&forge, "a-b.db.localhost", "GET /", "")
        .await
        .problem(404, "database_not_found");
    let undelete = ask(
        &forge,
        "db.localhost",
        "POST /v1/databases/a.b/undelete",
        "",
    )
    .await;
    assert_eq!(undelete.status, 202, "{}", undelete.text);
    forge.settle().await;
    assert_eq!(id_at("a-b.db.localhost").await, dotted.to_string());
    assert_eq!(id_at("a-b-2.db.localhost").await, dashed.to_string());
}

#[tokio::test]
async fn a_deleted_database_is_gone_at_its_host_until_it_is_back_or_another_has_it() {
    let forge = HttpForge::new().await;
    let first = forge.ready("shop").await;
    let host = "shop.db.localhost";
    assert_eq!(ask(&forge, host, "DELETE /", "").await.status, 202);
    forge.settle().await;
    ask(&forge, host, "POST /query", SELECT)
        .await
        .problem(410, "database_deleted");
    assert_eq!(ask(&forge, host, "POST /undelete", "").await.status, 202);
    forge.settle().await;
    let shown = ask(&forge, host, "GET /", "").await;
    assert_eq!(shown.json()["id"], first.to_string());

    forge.submit(Verb::Delete.on(first)).await.unwrap();
    forge.settle().await;
    let second = forge.ready("SHOP").await;
    let shown = ask(&forge, host, "GET /", "").await;
    assert_eq!(shown.json()["id"], second.to_string());
}

#[tokio::test]
async fn a_key_of_a_request_on_one_host_is_not_that_of_one_on_another() {
    let forge = HttpForge::new().await;
    forge.ready("a").await;
    forge.ready("b").await;
    let stop = |host: &'static str| {
        let ask = forge.ask("POST", "/stop").token(ROOT).header("host", host);
        ask.header("idempotency-key", "one").empty()
    };
    let first = stop("a.db.localhost").await;
    assert_eq!(first.status, 202, "{}", first.text);
    let again = stop("a.db.localhost").await;
    assert_eq!(again.json()["id"], first.json()["id"]);
    stop("b.db.localhost")
        .await
        .problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_request_over_a_connection_names_its_database_by_its_host_once() {
    let served = Served::with(HttpConfig::default()).await;
    served.forge.ready("shop").await;
    for (line, hosts, status) in [
        ("POST /query", "host: shop.db.localhost:8080\r\n", 200),
        ("POST /query", "host: SHOP.db.localhost.\r\n", 200),
        (
            "POST http://shop.db.localhost/query",
            "host: shop.db.localhost\r\n",
            200,
        ),
        // The address of the request counts, as RFC 9112 says.
        (
            "POST http://shop.db.localhost:80/query",
            "host: other.db.localhost\r\n",
            200,
        ),
        (
            "POST http://db.localhost/query",
            "host: shop.db.localhost\r\n",
            404,
        ),
        ("POST /query", "host: other.db.localhost\r\n", 404),
        (
            "POST /query",
            "host: shop.db.localhost\r\nhost: shop.db.localhost\r\n",
            400,
        ),
        ("POST /query", "", 400),
        ("POST http://shop.db.localhost/query", "", 400),
    ] {
        let mut stream = served.connect().await;
        let head = format!(
            "{line} HTTP/1.1\r\n{hosts}authorization: Bearer {ROOT}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{SELECT}",
            SELECT.len()
        );
        send(&mut stream, &head).await;
        let answer = rest(&mut stream).await;
        let said = answer.lines().next().unwrap_or_default();
        assert!(
            said.contains(&format!(" {status} ")),
            "{line} {hosts}: {answer}"
        );
    }
}
