//! Tokens through HTTP: made, used within their scopes and patterns, revoked.
use crate::support::http::{Answer, HttpForge};
use crate::support::with_snapshots_in;
use dbforge::http::HttpConfig;
use std::fmt::Write;
use std::time::Duration;

async fn get(forge: &HttpForge, token: &str, path: &str) -> Answer {
    forge.ask("GET", path).token(token).empty().await
}

#[tokio::test]
async fn a_token_is_shown_once_and_kept_as_a_hash() {
    let forge = HttpForge::new().await;
    let body = r#"{"name":"ci","scopes":["write","read"],"databases":["pr-*"],"expires_in":"1h"}"#;
    let made = forge.post("/v1/tokens", body).await;
    assert_eq!(made.status.as_u16(), 201);
    assert_eq!(made.header("cache-control"), "no-store");
    let token = made.json()["token"].as_str().unwrap().to_owned();
    assert_eq!((token.len(), &token[..4]), (47, "dbf_"));
    assert_eq!(made.json()["expires_at"], "2026-03-01T13:00:00.000Z");
    assert_eq!(made.json()["scopes"], serde_json::json!(["read", "write"]));
    for path in [
        "/v1/tokens",
        "/v1/events?limit=1000",
        "/v1/state",
        "/v1/audit/export",
    ] {
        let text = forge.get(path).await.text;
        assert!(
            text.contains("\"ci\"") && !text.contains(&token),
            "{path}: {text}"
        );
    }
    assert_eq!(
        get(&forge, &token, "/v1/databases").await.status.as_u16(),
        200
    );
    forge.kept.clock.advance(Duration::from_secs(3600));
    let said = get(&forge, &token, "/v1/databases")
        .await
        .problem(401, "unauthenticated");
    assert!(said.contains("expired"), "{said}");
}

#[tokio::test]
async fn a_revoked_token_is_accepted_no_longer() {
    let forge = HttpForge::new().await;
    let token = forge.token("ci", "\"read\"", "\"*\"").await;
    let list = forge.get("/v1/tokens").await.json();
    let path = format!("/v1/tokens/{}", list["data"][0]["id"].as_str().unwrap());
    let revoked = forge.send("DELETE", &path, "").await;
    assert_eq!((revoked.status.as_u16(), revoked.text.as_str()), (204, ""));
    get(&forge, &token, "/v1/databases")
        .await
        .problem(401, "unauthenticated");
    forge
        .send("DELETE", &path, "")
        .await
        .problem(404, "token_not_found");
    forge
        .send("DELETE", "/v1/tokens/ci", "")
        .await
        .problem(404, "token_not_found");
    assert_eq!(
        forge.get("/v1/tokens").await.json()["data"],
        serde_json::json!([])
    );
}

#[tokio::test]
async fn a_token_that_breaks_a_rule_is_not_made() {
    let forge = HttpForge::new().await;
    forge.token("ci", "\"read\"", "\"*\"").await;
    for (body, status, code) in [
        (
            r#"{"name":"ci","scopes":["read"],"databases":["*"]}"#,
            409,
            "token_exists",
        ),
        (
            r#"{"name":"a","scopes":["reed"],"databases":["*"]}"#,
            400,
            "invalid_request",
        ),
        (
            r#"{"name":"a","scopes":[],"databases":["*"]}"#,
            400,
            "invalid_request",
        ),
        (
            r#"{"name":"a","scopes":["read"],"databases":[]}"#,
            400,
            "invalid_request",
        ),
        (r#"{"name":"a","scopes":["read"]}"#, 400, "invalid_request"),
        (
            r#"{"name":"a/b","scopes":["read"],"databases":["*"]}"#,
            400,
            "invalid_request",
        ),
        ("{}", 400, "invalid_request"),
    ] {
        forge.post("/v1/tokens", body).await.problem(status, code);
    }
}

#[tokio::test]
async fn a_repeated_request_for_a_token_does_not_show_the_secret_again() {
    let forge = HttpForge::new().await;
    let make = async || {
        let ask = forge.ask("POST", "/v1/tokens").token("dbf_root");
        let body = r#"{"name":"ci","scopes":["read"],"databases":["*"]}"#;
        ask.header("idempotency-key", "k").body(body).await
    };
    let (first, again) = (make().await, make().await);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["id"], first.json()["id"]);
    assert_eq!(again.json().get("token"), None);
}

#[tokio::test]
async fn a_token_sees_and_touches_only_what_its_patterns_cover() {
    let forge = HttpForge::new().await;
    for name in ["pr-1", "shop", "pr-2", "other"] {
        forge.ready(name).await;
    }
    let token = forge
        .token("ci", r#""manage","read","audit""#, "\"pr-*\"")
        .await;
    let names = async |path: &str| {
        let list = get(&forge, &token, path).await.json();
        let rows = list["data"].as_array().unwrap().clone();
        let name = if path.contains("jobs") {
            "database"
        } else {
            "name"
        };
        rows.iter()
            .map(|it| it[name].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("/v1/databases").await, ["pr-1", "pr-2"]);
    assert_eq!(names("/v1/databases?limit=2").await, ["pr-1", "pr-2"]);
    assert_eq!(names("/v1/databases?limit=1").await, ["pr-1"]);
    assert_eq!(names("/v1/jobs").await, ["pr-1", "pr-2"]);
    let shop_job = forge.get("/v1/jobs?database=shop").await.json()["data"][0]["id"].clone();
    let shop_job = format!("/v1/jobs/{}", shop_job.as_str().unwrap());
    let shop_id = forge.get("/v1/databases/shop").await.json()["id"].clone();
    let by_id = format!("/v1/databases/{}", shop_id.as_str().unwrap());
    // What belongs to others is not there: neither a name nor that it exists is told.
    for (path, code) in [
        ("/v1/databases/shop", "database_not_found"),
        ("/v1/databases/none", "database_not_found"),
        (&by_id, "database_not_found"),
        (&shop_job, "job_not_found"),
        ("/v1/jobs?database=shop", "database_not_found"),
        ("/v1/events?database=shop", "database_not_found"),
    ] {
        let answer = get(&forge, &token, path).await;
        let named = path == by_id || path == shop_job;
        assert!(!named || !answer.text.contains("shop"), "{}", answer.text);
        answer.problem(404, code);
    }
    let by_id = format!("/v1/jobs?database={}", shop_id.as_str().unwrap());
    assert_eq!(
        get(&forge, &token, &by_id).await.json()["data"],
        serde_json::json!([])
    );
    for path in [
        "/v1/events",
        "/v1/events/1",
        "/v1/state",
        "/v1/audit/export",
    ] {
        get(&forge, &token, path)
            .await
            .problem(403, "insufficient_scope");
    }
    assert_eq!(
        get(&forge, &token, "/v1/events?database=pr-1")
            .await
            .status
            .as_u16(),
        200
    );
    for (method, path, body) in [
        ("POST", "/v1/databases", r#"{"name":"mine"}"#),
        ("POST", "/v1/databases", "{}"),
        ("DELETE", "/v1/databases/pr-1?purge=true", ""),
    ] {
        let answer = forge.ask(method, path).token(&token).body(body).await;
        answer.problem(403, "insufficient_scope");
    }
    for (method, path, body) in [
        ("DELETE", "/v1/databases/shop", ""),
        ("PATCH", "/v1/databases/shop", "{}"),
        ("POST", "/v1/databases/shop/stop", ""),
        (
            "POST",
            "/v1/plans",
            r#"{"command":{"stop_database":{"database":"shop"}}}"#,
        ),
    ] {
        let answer = forge.ask(method, path).token(&token).body(body).await;
        answer.problem(404, "database_not_found");
    }
    let own = forge.ask("POST", "/v1/databases").token(&token);
    assert_eq!(own.body(r#"{"name":"PR-3"}"#).await.status.as_u16(), 202);
    forge.settle().await;
}

#[tokio::test]
async fn each_scope_opens_its_own_routes() {
    let config = HttpConfig {
        legacy_wait: Duration::ZERO,
        ..HttpConfig::default()
    };
    let forge = HttpForge::with(config).await;
    let description = forge.ask("GET", "/openapi.json").empty().await.json();
    let mut table = String::new();
    let mut tokens = Vec::new();
    for scope in ["read", "write", "manage", "audit", "admin"] {
        tokens.push((
            scope,
            forge.token(scope, &format!("\"{scope}\""), "\"*\"").await,
        ));
    }
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["security"] == serde_json::json!([{}]) {
                continue;
            }
            let method = method.to_uppercase();
            let url = path.replace("{db}", "none").replace("{sequence}", "0");
            // A purge is what `admin` alone may do to a database.
            let url = url.replace("{id}", "none").replace("{t}", "none");
            let mut may = Vec::new();
            for (scope, token) in &tokens {
                // A wrong body is not looked at before the scope, save for its being JSON.
                let body = match operation["operationId"].as_str() {
                    Some("create_token") => r#"{"name":"n","scopes":[],"databases":[]}"#,
                    Some("create_database") => r#"{"name":"!"}"#,
                    Some(
                        "query_database"
                        | "export_query"
                        | "query_history"
                        | "run_original_query"
                        | "query_in_transaction",
                    ) => r#"{"sql":"SELECT 1"}"#,
                    Some("run_batch" | "run_batch_in_transaction") => r#"{"statements":[]}"#,
                    Some("create_original_table") => r#"{"table_name":"t","columns":[]}"#,
                    Some("insert_original_rows") => r#"{"rows":[]}"#,
                    Some("create_webhook") => r#"{"url":""}"#,
                    Some("skip_events") => r#"{"through":1}"#,
                    Some("replay_event") => r#"{"sequence":1}"#,
                    _ => "",
                };
                let answer = forge.ask(&method, &url).token(token).body(body).await;
                if answer.status.as_u16() != 403 {
                    may.push(*scope);
                }
            }
            writeln!(table, "{method:6} {path}: {}", may.join(" ")).unwrap();
        }
    }
    with_snapshots_in("http", || insta::assert_snapshot!("scopes", table));
}
