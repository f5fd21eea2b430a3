//! Answers that nobody reads take memory, of which there is so much and no more.
use super::crowd::{Crowd, QUERY, ask, post, until_used, usage};
use crate::support::http::ROOT;
use crate::support::stream_client::{NUMBERS, Served};
use dbforge::http::HttpConfig;
use http_body_util::BodyExt as _;
use serde_json::json;

const MEBIBYTE: usize = 1 << 20;
const ALL: &str = "SELECT a FROM t";

/// A gateway with so much memory for answers, and a table of nearly 4 MiB.
async fn gateway_of(bytes: usize) -> Served {
    let served = Served::with(HttpConfig {
        buffered_bytes: bytes,
        ..HttpConfig::default()
    })
    .await;
    served.run("CREATE TABLE t (a)").await;
    let rows = format!("{NUMBERS} INSERT INTO t SELECT hex(randomblob(5000)) FROM n");
    served.run(&rows.replace("?1", "400")).await;
    served
}

#[tokio::test]
async fn a_crowd_that_reads_nothing_has_its_share_of_the_memory_and_gives_it_back() {
    let served = gateway_of(24 * MEBIBYTE).await;
    let one = served.forge.token("one", r#""read""#, r#""*""#).await;
    let other = served.forge.token("other", r#""read""#, r#""*""#).await;
    for (parameters, headers) in [
        ("", ""),
        ("", "accept-encoding: zstd\r\n"),
        ("?format=csv&stream=false", "accept-encoding: gzip\r\n"),
    ] {
        let path = format!("{QUERY}{parameters}");
        let request = post(
            &one,
            &path,
            headers,
            &json!({"sql": ALL, "timeout_ms": 30_000}),
        );
        let crowd = Crowd::of(8, &served, &request).await;
        let [_, _, limit] = usage(&served.forge, &one, "buffered_bytes").await;
        until_used(&served.forge, &one, "buffered_bytes", |used| {
            used > limit / 2
        })
        .await;
        // As long as they stay, the share is not passed, and another token finds room.
        let answer = ask(&served.forge, &other, ALL).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let [used, ..] = usage(&served.forge, &one, "buffered_bytes").await;
        assert!(used <= limit * 3 / 4, "{path}: {used}");

        drop(crowd);
        until_used(&served.forge, &one, "buffered_bytes", |used| used == 0).await;
    }
}

#[tokio::test]
async fn every_sort_of_answer_is_counted_until_it_is_gone() {
    let served = gateway_of(64 * MEBIBYTE).await;
    for number in 0..5 {
        served.forge.ready(&format!("db{number}")).await;
    }
    let one = json!({"sql": ALL, "timeout_ms": 30_000}).to_string();
    let several = json!({"statements": [{ "sql": ALL }], "readonly": true}).to_string();
    let history = json!({"sql": "SELECT data FROM events"}).to_string();
    for (path, body) in [
        (QUERY, one.as_str()),
        (&format!("{QUERY}?format=csv&stream=false"), &one),
        (&format!("{QUERY}?format=ndjson&stream=false"), &one),
        (&format!("{QUERY}?format=ndjson"), &one),
        (&format!("{QUERY}?format=csv"), &one),
        (&format!("{QUERY}?stream=true"), &one),
        ("/v1/databases/shop/batch", &several),
        ("/api/db/shop/query", &one),
        ("/v1/audit/query", &history),
        ("/v1/audit/export", ""),
        ("/v1/events?limit=1000", ""),
        ("/v1/jobs", ""),
        ("/v1/state", ""),
        ("/v1/state?format=text", ""),
        ("/metrics", ""),
    ] {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let ask = served.forge.ask(method, path).token(ROOT);
        let answer = ask.unread(body).await;
        assert_eq!(answer.status(), 200, "{path}");
        let mut answer = answer.into_body();
        let piece = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        let [used, ..] = usage(&served.forge, ROOT, "buffered_bytes").await;
        let is_small = piece.len() < 4096;
        // What stands behind the rows is not counted.
        let is_counted = used + 256 >= piece.len() as u64;
        assert!(is_small || is_counted, "{path}: {used}");
        drop((answer, piece));
        until_used(&served.forge, ROOT, "buffered_bytes", |used| used == 0).await;
    }
}

#[tokio::test]
async fn a_whole_answer_that_finds_no_room_is_refused_and_says_what_to_do() {
    let served = gateway_of(6 * MEBIBYTE).await;
    let body = json!({"sql": ALL, "timeout_ms": 30_000}).to_string();
    let ask_all = || served.forge.ask("POST", QUERY).token(ROOT);
    let unread = ask_all().unread(&body).await;
    assert_eq!(unread.status(), 200);
    for path in [QUERY, "/api/db/shop/query"] {
        let refused = served.forge.ask("POST", path).token(ROOT).body(&body).await;
        let said = refused.problem(503, "overloaded");
        assert!(said.contains("/v1/usage"), "{said}");
        assert_eq!(refused.header("retry-after"), "1");
    }
    let small = ask(&served.forge, ROOT, "SELECT 1").await;
    assert_eq!(small.status, 200, "small ones are always answered");
    drop(unread);
    assert_eq!(ask_all().body(&body).await.status, 200);
}

#[tokio::test]
async fn bodies_that_arrive_slowly_take_memory_as_they_come() {
    let served = gateway_of(4 * MEBIBYTE).await;
    let one = served.forge.token("one", r#""read""#, r#""*""#).await;
    let text = "x".repeat(MEBIBYTE * 9 / 10);
    let slow = post(&one, QUERY, "", &json!({ "sql": text }));
    let mut crowd = Crowd::of(5, &served, slow.trim_end_matches('}')).await;
    let refused = crowd.answered(1).await;
    assert!(refused.iter().all(|it| it == "503"), "{refused:?}");
    let [used, ..] = usage(&served.forge, &one, "buffered_bytes").await;
    assert!(used > 1 << 20 && used <= 3 << 20, "{used}");
    drop(crowd);
    until_used(&served.forge, &one, "buffered_bytes", |used| used == 0).await;
}
