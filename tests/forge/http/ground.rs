//! What holds for every route: tokens, problems, strictness, bounds, headers.
use crate::support::http::{HttpForge, ROOT};
use crate::support::with_snapshots_in;
use axum::http::StatusCode;
use dbforge::http::{ErrorCode, HttpConfig};
use std::fmt::Write;
use std::time::Duration;

/// Every operation of the description: method, path with its variables filled in, and whether it
/// is open.
async fn operations(forge: &HttpForge) -> Vec<(String, String, bool)> {
    let description = forge.ask("GET", "/openapi.json").empty().await.json();
    let mut all = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = path
                .replace("{db}", "nothing")
                .replace("{id}", "00000000-0000-7000-8000-00000000ffff")
                .replace("{sequence}", "999")
                .replace("{code}", "internal");
            let is_open = operation["security"] == serde_json::json!([{}]);
            all.push((method.to_uppercase(), path, is_open));
        }
    }
    assert!(all.len() > 15, "{all:?}");
    all
}

#[tokio::test]
async fn every_route_but_the_open_ones_asks_for_a_token() {
    let forge = HttpForge::new().await;
    let mut open = Vec::new();
    for (method, path, is_open) in operations(&forge).await {
        let answer = forge.ask(&method, &path).empty().await;
        if is_open {
            assert_eq!(answer.status, StatusCode::OK, "{method} {path}");
            open.push(path);
        } else {
            let said = answer.problem(401, "unauthenticated");
            assert!(said.contains("X-API-Key"), "{said}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
        }
    }
    assert_eq!(open, ["/", "/healthz", "/problems/internal", "/readyz"]);
    for path in ["/docs/", "/openapi.json"] {
        let answer = forge.ask("GET", path).empty().await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_token_comes_in_either_header_and_nothing_else_is_one() {
    let forge = HttpForge::new().await;
    let asked = |name: &'static str, value: &'static str| {
        let ask = forge.ask("GET", "/v1/databases").header(name, value);
        async move { ask.empty().await.status.as_u16() }
    };
    assert_eq!(asked("authorization", "Bearer dbf_root").await, 200);
    assert_eq!(asked("authorization", "bearer  dbf_root ").await, 200);
    assert_eq!(asked("x-api-key", "dbf_root").await, 200);
    for wrong in ["dbf_roo", "dbf_root2", "DBF_ROOT", "", "Bearer dbf_root"] {
        assert_eq!(asked("x-api-key", wrong).await, 401, "{wrong}");
    }
    for wrong in [
        "dbf_root",
        "Basic dbf_root",
        "Bearer",
        "Bearer ",
        "Bearer x",
    ] {
        assert_eq!(asked("authorization", wrong).await, 401, "{wrong}");
    }
}

#[tokio::test]
async fn the_catalogue_of_problems_is_as_it_was_agreed() {
    let forge = HttpForge::new().await;
    let mut catalogue = String::new();
    let mut codes = ErrorCode::ALL.to_vec();
    codes.sort_by_key(|it| it.status().as_u16());
    for code in codes {
        let later = if code.is_retryable() {
            ", retryable"
        } else {
            ""
        };
        let status = code.status().as_u16();
        writeln!(catalogue, "{status} {code}{later}: {}", code.title()).unwrap();
        writeln!(catalogue, "    {}", code.meaning()).unwrap();
        let page = forge.ask("GET", &code.page()).empty().await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text.contains(code.title()), "{}", page.text);
    }
    with_snapshots_in("http", || {
        insta::assert_snapshot!("catalogue_of_problems", catalogue);
    });
    let unknown = forge.ask("GET", "/problems/no-such-code").empty().await;
    unknown.problem(404, "route_not_found");
}

#[tokio::test]
async fn every_problem_serves_new_and_old_clients() {
    let forge = HttpForge::new().await;
    let answer = forge
        .ask("GET", "/v1/databases/usrs")
        .token(ROOT)
        .header("x-request-id", "0190d2f0-0000-7000-8000-00000000abcd")
        .empty()
        .await;
    with_snapshots_in("http", || {
        insta::assert_snapshot!("a_problem", answer.text);
    });
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let forge = HttpForge::new().await;
    for path in ["/nothing", "/v1", "/v1/databases/", "/v2/databases", "//"] {
        let said = forge.get(path).await.problem(404, "route_not_found");
        assert!(said.contains(path) && said.contains("/docs"), "{said}");
    }
    let long = format!("/v1/databases/{}", "x".repeat(10_000));
    let answer = forge.get(&long).await;
    answer.problem(404, "database_not_found");
    assert!(
        answer.text.len() < 6000,
        "what was sent is not repeated for ever"
    );
    let answer = forge.send("PUT", "/v1/databases", "").await;
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
    let answer = forge.send("BREW", "/healthz", "").await;
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_named() {
    let forge = HttpForge::new().await;
    for (method, path, is_open) in operations(&forge).await {
        // The original ignored what it did not know, or took it for a column.
        let originals = ["/admin/", "/api/", "/health"];
        if originals.iter().any(|it| path.starts_with(it)) && path != "/healthz" {
            continue;
        }
        let path = format!("{path}?mispelt=1");
        // What a create needs in its body, so that only the parameter is wrong.
        let body = match (method.as_str(), path.starts_with("/v1/tokens")) {
            ("POST", true) => r#"{"name":"t","scopes":["read"],"databases":["*"]}"#,
            ("POST" | "PATCH" | "DELETE", _) => "{}",
            _ => "",
        };
        let answer = forge.send(&method, &path, body).await;
        // To routes of rows it is a column, and `1` no filter.
        let said = if path.contains("/rows?") || path.contains("/rest/") {
            assert_eq!(answer.status, 400, "{method} {path}: {}", answer.text);
            answer.text
        } else if path.contains("/rows/") && !path.contains("/{column}") {
            answer.problem(400, "unknown_filter_operator")
        } else {
            answer.problem(400, "invalid_request")
        };
        assert!(
            said.contains("mispelt"),
            "{method} {path} {is_open}: {said}"
        );
    }
    for (path, part) in [
        ("/v1/databases?limit=0", "limit"),
        ("/v1/databases?limit=1001", "1 to 1000"),
        ("/v1/databases?limit=many", "limit"),
        ("/v1/databases?limit=1&limit=2", "limit"),
        ("/v1/databases?order=up", "desc"),
        ("/v1/databases?state=happy", "ready"),
        ("/v1/databases?label=red", "team=red"),
        ("/v1/databases?cursor=zz", "next_cursor"),
        ("/v1/jobs?state=running,happy", "happy"),
        ("/v1/jobs?kind=destroy", "create_database"),
        ("/v1/jobs?created_after=yesterday", "yesterday"),
        ("/v1/events?kind=nothing", "database_ready"),
        ("/v1/events?job=1", "UUID"),
        ("/v1/events?after=-1", "after"),
        ("/v1/state?format=xml", "text"),
    ] {
        let said = forge.get(path).await.problem(400, "invalid_request");
        assert!(said.contains(part), "{path}: {said}");
    }
}

#[tokio::test]
async fn a_body_that_is_wrong_says_what_is_wrong_and_where() {
    let forge = HttpForge::new().await;
    let before = forge.control.current().head;
    let deep = format!("{{\"labels\":{}", "[".repeat(40));
    for (body, part) in [
        (r#"{"nmae":"a"}"#, "`nmae`"),
        (r#"{"name":"a","name":"b"}"#, "duplicate field `name`"),
        (r#"{"name":1}"#, "line 1 column 9"),
        (r#"{"name":"a""#, "line 1 column 11"),
        ("{\n  \"name\": nope\n}", "line 2 column"),
        (r#"{"name":"a"} {}"#, "trailing characters"),
        (r#"["a"]"#, "must be a JSON object"),
        ("7", "expected an object"),
        ("null", "expected an object"),
        (r#"{"name":"a b"}"#, "starts with a letter"),
        (r#"{"name":""}"#, "cannot be empty"),
        (r#"{"name":"../x"}"#, "letters, digits"),
        (r#"{"limits":{"cpus":1}}"#, "`cpus`"),
        (r#"{"limits":{"size_bytes":1}}"#, "limits.size_bytes"),
        (r#"{"limits":{"size_bytes":-1}}"#, "line 1"),
        (r#"{"labels":{"a":1}}"#, "expected a string"),
        (r#"{"engine":"oracle"}"#, "available: sqlite"),
        (r#"{"ttl":"soon"}"#, "`soon`"),
        (r#"{"ttl":"0s"}"#, "one second"),
        (r#"{"durability":"none"}"#, "relaxed"),
        (&deep, "32 levels"),
    ] {
        let answer = forge.post("/v1/databases", body).await;
        let said = answer.problem(400, "invalid_request");
        assert!(said.contains(part), "{body}: {said}");
    }
    assert_eq!(forge.control.current().head, before, "nothing happened");
}

#[tokio::test]
async fn a_body_of_another_type_or_of_too_many_bytes_is_not_read() {
    let config = HttpConfig {
        body_limit: 1000,
        ..HttpConfig::default()
    };
    let forge = HttpForge::with(config).await;
    let post = || forge.ask("POST", "/v1/databases").token(ROOT);
    for wrong in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "json",
        "",
    ] {
        let answer = post().header("content-type", wrong).body("{}").await;
        let said = answer.problem(415, "unsupported_media_type");
        assert!(said.contains("application/json"), "{said}");
    }
    for right in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/x+json",
    ] {
        let answer = post().header("content-type", right).body("{}").await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{right}");
    }
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(1000));
    let said = post().body(&large).await.problem(413, "payload_too_large");
    assert!(said.contains("1000"), "{said}");
    let said = post()
        .header("content-length", "99999999999")
        .body("{}")
        .await;
    said.problem(413, "payload_too_large");
}

#[tokio::test]
async fn a_request_keeps_its_id_or_gets_one() {
    let forge = HttpForge::new().await;
    let id = "0190d2f0-0000-7000-8000-00000000abcd";
    let own = forge
        .ask("GET", "/")
        .header("x-request-id", id)
        .empty()
        .await;
    assert_eq!(own.header("x-request-id"), id);
    assert_eq!(own.text, r#"{"message":"Praetorian DB-Forge is online."}"#);
    assert!(own.header("server-timing").starts_with("total;dur="));
    for wrong in ["", "7", "not a uuid"] {
        let answer = forge
            .ask("GET", "/")
            .header("x-request-id", wrong)
            .empty()
            .await;
        let made: uuid::Uuid = answer.header("x-request-id").parse().unwrap();
        assert_eq!(made.get_version_num(), 7);
    }
    let created = forge
        .ask("POST", "/v1/databases")
        .token(ROOT)
        .header("x-request-id", id)
        .body("{}")
        .await;
    assert_eq!(created.json()["request_id"], id);
    let event = forge.get("/v1/events/3").await.json();
    assert_eq!(event["request_id"], id);
}

#[tokio::test]
async fn a_full_gateway_turns_work_away_and_still_answers_probes() {
    let config = HttpConfig {
        in_flight_limit: 0,
        ..HttpConfig::default()
    };
    let forge = HttpForge::with(config).await;
    let answer = forge.get("/v1/databases").await;
    answer.problem(503, "overloaded");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(forge.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(forge.get("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let config = HttpConfig {
        request_timeout: Duration::from_millis(50),
        ..HttpConfig::default()
    };
    let forge = HttpForge::with(config).await;
    let created = forge.post("/v1/databases", "{}").await.json();
    let path = format!("/v1/jobs/{}?wait=60", created["id"].as_str().unwrap());
    forge.get(&path).await.problem(504, "timed_out");
}

#[tokio::test]
async fn readiness_tells_of_the_log_and_of_the_runtime() {
    let forge = HttpForge::new().await;
    let ready = forge.ask("GET", "/readyz").empty().await;
    assert_eq!(ready.status, StatusCode::OK);
    with_snapshots_in("http", || insta::assert_snapshot!("ready", ready.text));

    let forge = HttpForge::new().await;
    forge.kept.engine.set_away(true);
    let away = forge.ask("GET", "/readyz").empty().await;
    assert_eq!(away.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(away.json()["checks"]["event_log"]["ok"], true);
    with_snapshots_in("http", || {
        insta::assert_snapshot!("not_ready_without_the_runtime", away.text);
    });
    assert_eq!(
        forge.ask("GET", "/healthz").empty().await.text,
        r#"{"status":"alive"}"#
    );
}

#[tokio::test]
async fn the_numbers_are_counted() {
    let forge = HttpForge::new().await;
    forge.post("/v1/databases", "{}").await;
    forge.settle().await;
    forge.get("/v1/databases/none").await;
    let numbers = forge.get("/metrics").await.text;
    for line in [
        r#"dbforge_http_requests_total{method="POST",route="/v1/databases",status="202"} 1"#,
        r#"dbforge_http_requests_total{method="GET",route="/v1/databases/{db}",status="404"} 1"#,
        r#"dbforge_problems_total{code="database_not_found"} 1"#,
        r#"dbforge_databases{state="ready"} 1"#,
        r#"dbforge_unfinished_jobs{state="queued"} 0"#,
        "dbforge_http_in_flight 0",
        "dbforge_log_read_only 0",
    ] {
        assert!(numbers.lines().any(|it| it == line), "{line}\n{numbers}");
    }
}

#[tokio::test]
async fn the_description_names_every_operation_after_its_handler() {
    let forge = HttpForge::new().await;
    let description = forge.ask("GET", "/openapi.json").empty().await.json();
    let mut lines = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let summary = operation["summary"].as_str().unwrap();
            let problem = &operation["responses"]["default"]["content"];
            assert!(problem["application/problem+json"].is_object(), "{id}");
            lines.push(format!(
                "{:6} {path} {id}: {summary}",
                method.to_uppercase()
            ));
        }
    }
    with_snapshots_in("http", || {
        insta::assert_snapshot!("operations", lines.join("\n"));
    });
    let ui = forge
        .ask("GET", "/docs/swagger-initializer.js")
        .empty()
        .await;
    assert!(ui.text.contains("/openapi.json"), "{}", ui.text);
    let page = forge.ask("GET", "/docs/").empty().await.text;
    assert!(
        !page.contains("//unpkg") && !page.contains("https://"),
        "{page}"
    );
}
