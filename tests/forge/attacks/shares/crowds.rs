//! A crowd of one token's requests that wait leaves room for another token, and for its own.
use super::crowd::{Crowd, QUERY, ask, get, post, until_used, usage};
use crate::support::stream_client::{ENDLESS, Served};
use dbforge::http::HttpConfig;
use serde_json::json;
use std::time::Duration;

/// More than the gateway of these tests takes of anything.
const MANY: usize = 100;

async fn small_gateway() -> (Served, String, String) {
    let served = Served::with(HttpConfig {
        in_flight_limit: 8,
        waiting_limit: 64,
        body_timeout: Duration::from_secs(60),
        ..HttpConfig::default()
    })
    .await;
    served.run("CREATE TABLE t (a)").await;
    served.run("INSERT INTO t VALUES (7)").await;
    let scopes = r#""write", "audit""#;
    let one = served.forge.token("one", scopes, r#""*""#).await;
    let other = served.forge.token("other", scopes, r#""*""#).await;
    (served, one, other)
}

/// The other token's reads succeed: of a text that was seen before and of those that never were.
async fn reads_succeed(served: &Served, token: &str) {
    for number in 0..20 {
        for sql in [
            "SELECT a FROM t",
            &format!("SELECT a + {number} - {number} FROM t"),
        ] {
            let answer = ask(&served.forge, token, sql).await;
            assert_eq!(answer.status, 200, "{sql}: {}", answer.text);
            assert_eq!(answer.json()["rows"], json!([[7]]));
        }
    }
}

/// A crowd of a token's requests comes to rest: none is worked on, those that wait are no more than
/// its share, and the others are told so.
async fn waits_in_its_share(served: &Served, token: &str, crowd: &mut Crowd) {
    let refused = crowd.come_to_rest(&served.forge, token).await;
    assert!(refused.iter().all(|it| it == "429"), "{refused:?}");
    let [waiting, share, limit] = usage(&served.forge, token, "waiting").await;
    assert_eq!((share, limit), (48, 64));
    assert!(waiting <= share && waiting as usize + refused.len() == MANY);
    assert_eq!(usage(&served.forge, token, "working").await, [0, 6, 8]);
}

#[tokio::test]
async fn slow_bodies_have_no_place_among_the_requests_that_are_worked_on() {
    let (served, one, other) = small_gateway().await;
    let slow = post(&one, QUERY, "", &json!({"sql": "SELECT 1"}));
    let mut crowd = Crowd::of(MANY, &served, slow.trim_end_matches('}')).await;
    waits_in_its_share(&served, &one, &mut crowd).await;
    reads_succeed(&served, &other).await;
    let quick = ask(&served.forge, &one, "SELECT a FROM t").await;
    assert_eq!(quick.status, 200, "its body is here: {}", quick.text);
}

#[tokio::test]
async fn writes_behind_a_transaction_wait_in_their_tokens_share() {
    let (served, one, other) = small_gateway().await;
    let begun = served.forge.ask("POST", "/v1/databases/shop/transactions");
    let begun = begun.token(&one).body("{}").await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let write = json!({"sql": "INSERT INTO t VALUES (8)", "timeout_ms": 60_000});
    let mut crowd = Crowd::of(MANY, &served, &post(&one, QUERY, "", &write)).await;
    waits_in_its_share(&served, &one, &mut crowd).await;
    reads_succeed(&served, &other).await;
    let quick = ask(&served.forge, &one, "SELECT a FROM t").await;
    assert_eq!(quick.status, 200, "it waits for nothing: {}", quick.text);
}

#[tokio::test]
async fn long_polls_wait_in_their_tokens_share_and_what_is_past_it_is_told_so() {
    let (served, one, other) = small_gateway().await;
    let poll = get(&one, "/v1/events?after=5&kind=database_purged&wait=60", "");
    let mut crowd = Crowd::of(MANY, &served, &poll).await;
    waits_in_its_share(&served, &one, &mut crowd).await;
    reads_succeed(&served, &other).await;
    let quick = ask(&served.forge, &one, "SELECT a FROM t").await;
    assert_eq!(quick.status, 200, "it waits for nothing: {}", quick.text);

    // Some were refused while others were about to wait: one after the other, all places are taken.
    let mut more = Vec::new();
    while usage(&served.forge, &one, "waiting").await[0] < 48 {
        let mut another = Crowd::of(1, &served, &poll).await;
        another.come_to_rest(&served.forge, &one).await;
        more.push(another);
        assert!(more.len() < 1000, "the places are taken in the end");
    }
    let path = "/v1/events?after=5&kind=database_purged&wait=60";
    let refused = served.forge.ask("GET", path).token(&one).empty().await;
    let said = refused.problem(429, "rate_limited");
    assert!(said.contains("/v1/usage"), "{said}");
    assert_eq!(refused.header("retry-after"), "1");
    let policy = r#""waiting-requests";q=48;qu="concurrent-requests""#;
    assert_eq!(refused.header("ratelimit-policy"), policy);
    assert_eq!(refused.header("ratelimit"), r#""waiting-requests";r=0"#);
}

#[tokio::test]
async fn endless_reads_leave_a_turn_at_their_database_to_others() {
    let (served, one, other) = small_gateway().await;
    let sql = format!("{ENDLESS} SELECT count(*) FROM n");
    let endless = json!({"sql": sql, "timeout_ms": 60_000});
    let _crowd = Crowd::of(MANY, &served, &post(&one, QUERY, "", &endless)).await;
    until_used(&served.forge, &one, "waiting", |used| used >= 45).await;
    reads_succeed(&served, &other).await;
}

#[tokio::test]
async fn event_streams_leave_some_to_others() {
    let served = Served::with(HttpConfig {
        stream_limit: 8,
        ..HttpConfig::default()
    })
    .await;
    let one = served.forge.token("one", r#""audit""#, r#""*""#).await;
    let watch = get(&one, "/v1/events", "accept: text/event-stream\r\n");
    let _crowd = Crowd::of(20, &served, &watch).await;
    until_used(&served.forge, &one, "event_streams", |used| used == 6).await;
    let other = served.send("GET", "/v1/events", "accept: text/event-stream\r\n", "");
    assert_eq!(other.await.status, 200);
    assert_eq!(usage(&served.forge, &one, "event_streams").await[0], 6);
    let ask = served.forge.ask("GET", "/v1/events").token(&one);
    let refused = ask.header("accept", "text/event-stream").empty().await;
    refused.problem(429, "rate_limited");
    assert_eq!(refused.header("ratelimit"), r#""event-streams";r=0"#);
    assert!(refused.header("ratelimit-policy").contains(";q=6;"));
}

#[tokio::test]
async fn a_token_alone_has_three_quarters_of_the_transactions() {
    let (served, one, other) = small_gateway().await;
    for database in 1..=6 {
        served.forge.ready(&format!("db{database}")).await;
    }
    let begin = async |token: &str, number: usize| {
        let path = format!("/v1/databases/db{}/transactions", number % 6 + 1);
        let body = r#"{"mode":"deferred"}"#;
        served
            .forge
            .ask("POST", &path)
            .token(token)
            .body(body)
            .await
    };
    for number in 0..75 {
        assert_eq!(begin(&one, number).await.status, 201, "{number}");
    }
    let refused = begin(&one, 75).await;
    refused.problem(429, "rate_limited");
    assert_eq!(refused.header("ratelimit"), r#""transactions";r=0"#);
    assert!(refused.header("ratelimit-policy").contains(";q=75;"));
    assert_eq!(begin(&other, 76).await.status, 201);
}
