//! Requests as they arrive: hosts and tokens that are sent twice, compressed bodies, cursors.
use super::serving::{Served, rest, send};
use crate::support::http::{HttpForge, ROOT};
use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use dbforge::http::HttpConfig;
use serde_json::json;
use tokio::io::AsyncReadExt;

/// The answer to a head, on a connection of its own.
async fn answered(served: &Served, head: &str, body: &[u8]) -> String {
    use tokio::io::AsyncWriteExt;
    let mut stream = served.connect().await;
    send(
        &mut stream,
        &format!(
            "{head}connection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ),
    )
    .await;
    stream.write_all(body).await.unwrap();
    rest(&mut stream).await
}

#[tokio::test]
async fn a_request_names_its_host_and_its_token_once() {
    let served = Served::with(HttpConfig::default()).await;
    let list = "GET /v1/databases HTTP/1.1\r\n";
    let bearer = format!("authorization: Bearer {ROOT}\r\n");
    let key = format!("x-api-key: {ROOT}\r\n");
    for (head, status) in [
        (format!("{list}host: a\r\n{bearer}"), 200),
        (format!("{list}host: a\r\n{bearer}{key}"), 200),
        (format!("GET /v1/databases HTTP/1.0\r\n{bearer}"), 200),
        (format!("{list}{bearer}"), 400),
        (format!("{list}host: a\r\nhost: a\r\n{bearer}"), 400),
        (
            format!("GET /v1/databases HTTP/1.0\r\nhost: a\r\nhost: b\r\n{bearer}"),
            400,
        ),
        (format!("{list}host: a\r\n{bearer}{bearer}"), 400),
        (format!("{list}host: a\r\n{key}{key}"), 400),
        (
            format!("{list}host: a\r\n{bearer}x-api-key: other\r\n"),
            400,
        ),
        ("GET /healthz HTTP/1.1\r\n".to_owned(), 400),
        (
            "GET /nothing HTTP/1.1\r\nhost: a\r\nhost: b\r\n".to_owned(),
            400,
        ),
    ] {
        let answer = answered(&served, &head, b"").await;
        let line = answer.lines().next().unwrap_or_default();
        assert!(line.contains(&format!(" {status} ")), "{head}: {answer}");
    }
}

async fn packed(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    if coding == "zstd" {
        let mut encoder = ZstdEncoder::new(bytes);
        encoder.read_to_end(&mut packed).await.unwrap();
    } else {
        let mut encoder = GzipEncoder::new(bytes);
        encoder.read_to_end(&mut packed).await.unwrap();
    }
    packed
}

#[tokio::test]
async fn a_compressed_body_is_unpacked_within_the_bounds_of_a_plain_one() {
    let config = HttpConfig {
        body_limit: 1 << 20,
        ..HttpConfig::default()
    };
    let served = Served::with(config).await;
    served.forge.ready("shop").await;
    let query = json!({"sql": "SELECT ?", "params": ["x".repeat(100_000)]}).to_string();
    let bomb = vec![b' '; 8 << 20];
    let head = |coding: &str| {
        format!(
            "POST /v1/databases/shop/query HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {ROOT}\r\n\
             content-type: application/json\r\ncontent-encoding: {coding}\r\n"
        )
    };
    for coding in ["gzip", "x-gzip", "GZIP", "zstd"] {
        let kind = coding.to_ascii_lowercase();
        let whole = packed(&kind, query.as_bytes()).await;
        let cut = &whole[..whole.len() / 2];
        for (body, status) in [
            (whole.as_slice(), 200),
            (cut, 400),
            (query.as_bytes(), 400),
            (packed(&kind, &bomb).await.as_slice(), 413),
        ] {
            let answer = answered(&served, &head(coding), body).await;
            let line = answer.lines().next().unwrap_or_default();
            assert!(line.contains(&format!(" {status} ")), "{coding}: {line}");
        }
    }
    for coding in ["br", "gzip, zstd", "gzip\r\ncontent-encoding: zstd"] {
        let answer = answered(&served, &head(coding), query.as_bytes()).await;
        assert!(
            answer.contains("unsupported_media_type"),
            "{coding}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused_by_every_list() {
    let forge = HttpForge::new().await;
    for list in [
        "databases",
        "jobs",
        "tokens",
        "events",
        "plans",
        "schedules",
        "webhooks",
        "audit/checkpoints",
    ] {
        for cursor in ["x", "%00", "0", "-1"] {
            let answer = forge.get(&format!("/v1/{list}?cursor={cursor}")).await;
            answer.problem(400, "invalid_request");
        }
    }
}

#[tokio::test]
async fn a_label_with_an_equals_sign_is_found_and_one_that_ends_a_line_is_refused() {
    let forge = HttpForge::new().await;
    let longest = "ü".repeat(128);
    for (name, key, value) in [
        ("a", "k", "v=w"),
        ("b", "k=v", "w"),
        ("c", "k", longest.as_str()),
    ] {
        let body = json!({"name": name, "labels": {key: value}}).to_string();
        let made = forge.post("/v1/databases", &body).await;
        assert_eq!(made.status, 202, "{}", made.text);
    }
    let names = async |label: &str| -> Vec<String> {
        let path = format!("/v1/databases?label={label}&order=asc&limit=1");
        let first = forge.get(&path).await.json();
        let mut names = vec![first["data"][0]["name"].as_str().unwrap().to_owned()];
        if let Some(cursor) = first["next_cursor"].as_str() {
            let next = forge.get(&format!("{path}&cursor={cursor}")).await.json();
            names.push(next["data"][0]["name"].as_str().unwrap().to_owned());
        }
        names
    };
    assert_eq!(names("k%3Dv%3Dw").await, ["a", "b"]);
    assert_eq!(names(&format!("k%3D{}", "%C3%BC".repeat(128))).await, ["c"]);
    for label in ["a\nb", "\u{1b}[2J", "\u{202e}x"] {
        for labels in [json!({"k": label}), json!({label: "v"})] {
            let body = json!({"name": "d", "labels": labels}).to_string();
            let refused = forge.post("/v1/databases", &body).await;
            refused.problem(400, "invalid_request");
        }
    }
    let hook = json!({"url": "https://example.com/\nx"}).to_string();
    let refused = forge.post("/v1/webhooks", &hook).await;
    refused.problem(400, "invalid_request");
    forge.settle().await;
}

#[tokio::test]
async fn a_cancel_and_its_undo_wait_when_the_caller_prefers_that() {
    let forge = HttpForge::new().await;
    for by_undo in [false, true] {
        let name = if by_undo { "a" } else { "b" };
        let body = json!({ "name": name }).to_string();
        let made = forge.post("/v1/databases", &body).await.json();
        let path = if by_undo {
            let events = forge
                .get("/v1/events?kind=job_enqueued&order=desc&limit=1")
                .await;
            let sequence = events.json()["data"][0]["sequence"].clone();
            format!("/v1/events/{sequence}/undo")
        } else {
            format!("/v1/jobs/{}/cancel", made["id"].as_str().unwrap())
        };
        let asked = forge.ask("POST", &path).token(ROOT);
        let ended = asked.header("prefer", "wait=20").empty().await;
        assert_eq!(ended.status, 200, "{}", ended.text);
        assert_eq!(ended.json()["state"], "cancelled");
        assert_eq!(ended.header("preference-applied"), "wait=20");
    }
    forge.settle().await;
}
