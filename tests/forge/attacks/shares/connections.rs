//! Connections run short: idle ones make room, and probes are answered in any case.
use super::crowd::{Crowd, QUERY, get, post, until_used};
use crate::support::http::ROOT;
use crate::support::stream_client::{PATIENCE, Served};
use dbforge::clock::Deadline;
use dbforge::http::HttpConfig;
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

async fn gateway_of(connections: usize) -> Served {
    Served::with(HttpConfig {
        connection_limit: connections,
        ..HttpConfig::default()
    })
    .await
}

/// Whether the other side closes.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    let reading = stream.read(&mut byte);
    let read = tokio::time::timeout(PATIENCE, reading).await;
    matches!(read.expect("it is closed in time"), Ok(0) | Err(_))
}

/// What is sent up to a word.
async fn read_until(stream: &mut TcpStream, word: &str) -> String {
    let mut told = String::new();
    while !told.contains(word) {
        let mut bytes = [0; 4096];
        let reading = tokio::time::timeout(PATIENCE, stream.read(&mut bytes));
        let count = reading.await.expect("it is answered in time").unwrap();
        assert_ne!(count, 0, "{told}");
        told.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    told
}

#[tokio::test]
async fn silent_connections_and_slow_heads_make_room_for_a_new_client() {
    let served = gateway_of(8).await;
    let mut kept = served.send("GET", "/v1/databases", "", "").await;
    kept.rest().await;
    for silence in ["", "GET /v1/databases HTTP/1.1\r\nhost: x\r\nx-more: "] {
        let mut crowd = Crowd::of(30, &served, silence).await;
        for _ in 0..3 {
            let answer = served.send("GET", "/v1/databases", "", "").await;
            assert_eq!(answer.status, 200);
            assert_eq!(served.send("GET", "/healthz", "", "").await.status, 200);
        }
        assert!(
            is_closed(&mut crowd.0[0]).await,
            "the longest idle one went"
        );
    }
    // One that has had a token goes last.
    use tokio::io::AsyncWriteExt;
    let again = get(ROOT, "/v1/databases", "");
    kept.socket.write_all(again.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    kept.socket.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn where_every_connection_is_busy_probes_are_answered_and_others_told_so() {
    let served = gateway_of(6).await;
    let poll = get(ROOT, "/v1/events?after=3&kind=database_purged&wait=60", "");
    let _crowd = Crowd::of(6, &served, &poll).await;
    until_used(&served.forge, ROOT, "waiting", |used| used >= 5).await;
    for probe in ["/healthz", "/readyz", "/metrics", "/v1/usage"] {
        assert_eq!(
            served.send("GET", probe, "", "").await.status,
            200,
            "{probe}"
        );
    }
    let refused = served.send("GET", "/v1/databases", "", "").await;
    assert_eq!(refused.problem().await, (503, "overloaded".to_owned()));
}

#[tokio::test]
async fn an_answer_that_is_being_read_is_not_taken_for_idle() {
    let served = gateway_of(4).await;
    let query = json!({"sql": "SELECT hex(zeroblob(1000000))"});
    let mut reader = served.send("POST", QUERY, "", &query.to_string()).await;
    let silent = Crowd::of(20, &served, "").await;
    let (bytes, is_whole) = reader.rest().await;
    assert!(is_whole && bytes.len() > 2_000_000);
    drop(silent);
}

#[tokio::test]
async fn a_connection_without_a_token_has_nothing_read_but_its_head() {
    let served = Served::new().await;
    let body = json!({"sql": "x".repeat(500_000)});
    let request = post("dbf_wrong", QUERY, "", &body);
    let large = get(
        "dbf_wrong",
        "/v1/databases",
        &format!("x-large: {}\r\n", "x".repeat(60_000)),
    );
    let docs = get("dbf_wrong", "/openapi.json", "accept-encoding: zstd\r\n");
    for request in [request, large, docs] {
        let crowd = Crowd::of(5, &served, &request).await;
        tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>())
            .await
            .unwrap_err();
        until_used(&served.forge, ROOT, "buffered_bytes", |used| used == 0).await;
        drop(crowd);
    }
}

#[tokio::test]
async fn a_trusted_proxy_says_for_whom_it_asks() {
    let served = Served::with(HttpConfig {
        trusted_proxies: "loopback".parse().unwrap(),
        waiting_limit: 4,
        in_flight_limit: 4,
        ..HttpConfig::default()
    })
    .await;
    // The greeting is open to all; a slow body makes it wait, in the share of its address.
    let slow = |address: &str| {
        format!(
            "GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 198.51.100.9, {address}\r\n\
             content-length: 5\r\n\r\n1"
        )
    };
    let mut one = Crowd::of(4, &served, &slow("192.0.2.1")).await;
    assert_eq!(one.answered(1).await, ["429"], "the address has its share");
    let mut refused = Crowd::of(1, &served, &slow("192.0.2.1")).await;
    let told = read_until(&mut refused.0[0], "request_id").await;
    assert!(told.starts_with("HTTP/1.1 429"), "{told}");
    assert!(told.contains("requests with a token"), "{told}");
    assert!(
        !told.contains("/v1/usage"),
        "nobody without a token may ask that: {told}"
    );
    let other = Crowd::of(1, &served, &slow("192.0.2.2")).await;
    let is_told = other.0[0].readable();
    let waits = tokio::time::timeout(Duration::from_millis(100), is_told).await;
    assert!(waits.is_err(), "another address finds a place to wait");
    drop(one);
}

#[tokio::test]
async fn a_client_behind_a_trusted_proxy_has_a_share_of_its_requests_whatever_its_tokens() {
    let served = Served::with(HttpConfig {
        trusted_proxies: "loopback".parse().unwrap(),
        connection_limit: 8,
        ..HttpConfig::default()
    })
    .await;
    let poll = "/v1/events?after=3&kind=database_purged&wait=60";
    let from = |address: &str| format!("x-forwarded-for: {address}\r\n");
    let mut crowd = Vec::new();
    for number in 0..6 {
        let name = format!("one-{number}");
        let token = served.forge.token(&name, r#""audit""#, r#""*""#).await;
        crowd.push(Crowd::of(1, &served, &get(&token, poll, &from("192.0.2.1"))).await);
        until_used(&served.forge, &token, "waiting", |used| used == 1).await;
    }
    let list = async |address: &str| {
        let headers = from(address);
        served.send("GET", "/v1/databases", &headers, "").await
    };
    let refused = list("192.0.2.1").await;
    let share = refused.header("ratelimit").to_owned();
    assert_eq!(share, r#""forwarded-requests";r=0"#);
    assert_eq!(refused.problem().await, (429, "rate_limited".to_owned()));
    assert_eq!(list("192.0.2.2").await.status, 200, "another client");

    drop(crowd.pop());
    let deadline = Deadline::after(PATIENCE);
    while list("192.0.2.1").await.status != 200 {
        assert!(
            !deadline.has_passed(),
            "a request that ended gives its place back"
        );
    }
}
