//! What was true at an earlier moment, and what changed between two of them.
use crate::support::http::HttpForge;
use axum::http::StatusCode;
use dbforge::domain::state::State;
use dbforge::event_log::canonical::export_line;
use dbforge::event_log::import::read_export;
use serde_json::{Value, json};
use std::time::Duration;

/// A forge in which all sorts of things happened, each a second after the one before.
async fn eventful() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    forge.kept.clock.advance(Duration::from_secs(1));
    forge.ready("blog").await;
    forge.token("ci", "\"read\"", "\"shop\"").await;
    forge.kept.clock.advance(Duration::from_secs(1));
    forge.send("DELETE", "/v1/databases/blog", "").await;
    forge.settle().await;
    forge
}

#[tokio::test]
async fn the_state_at_every_sequence_is_what_a_replay_of_the_export_says() {
    let forge = eventful().await;
    let export = forge.get("/v1/audit/export").await.text;
    let mut state = State::default();
    let empty = forge.get("/v1/state?at=0&format=text").await;
    assert_eq!(empty.text, state.to_string());
    for event in read_export(export.as_bytes()) {
        let event = event.unwrap();
        state.evolve(&event);
        let at = event.sequence;
        let text = forge.get(&format!("/v1/state?at={at}&format=text")).await;
        assert_eq!(text.text, state.to_string(), "at {at}");
        let json = forge.get(&format!("/v1/state?at={at}")).await.json();
        assert_eq!(json["as_of"], at.0);
        let names = json["databases"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|it| it["name"].clone()).collect();
        let expected: Vec<_> = state.databases().map(|it| json!(it.name)).collect();
        assert_eq!(names, expected, "at {at}");
    }
}

#[tokio::test]
async fn a_time_means_the_last_event_of_that_time_or_before() {
    let forge = eventful().await;
    let events = forge
        .kept
        .log
        .read_after(dbforge::domain::ids::Sequence(0), 1000);
    let events = events.unwrap();
    for event in &events {
        let time = event.commit.time;
        let last = events.iter().rfind(|it| it.commit.time <= time).unwrap();
        let answer = forge.get(&format!("/v1/state?at={time}")).await.json();
        assert_eq!(answer["as_of"], last.sequence.0, "{}", export_line(event));
    }
    let before = forge.get("/v1/state?at=1999-12-31T23:59:59Z").await.json();
    assert_eq!(before["as_of"], 0);
    assert_eq!(before["databases"], json!([]));
}

#[tokio::test]
async fn what_is_still_to_come_and_what_is_no_moment_is_refused() {
    let forge = HttpForge::new().await;
    let next = forge.control.current().head.sequence.0 + 1;
    let to_come = (404, "event_not_found");
    let no_moment = (400, "invalid_request");
    for (at, (status, code)) in [
        (&*next.to_string(), to_come),
        ("2199-01-01T00:00:00Z", to_come),
        ("yesterday", no_moment),
        ("-1", no_moment),
        ("", no_moment),
    ] {
        for path in [
            format!("/v1/state?at={at}"),
            format!("/v1/state/diff?from={at}"),
            format!("/v1/state/diff?from=0&to={at}"),
        ] {
            let refused = forge.get(&path).await;
            assert!(!refused.problem(status, code).ends_with("null"));
        }
    }
    let backward = forge.get("/v1/state/diff?from=2&to=1").await;
    backward.problem(400, "invalid_request");
    let backward = "/v1/state/diff?from=2&to=1999-12-31T23:59:59Z";
    forge.get(backward).await.problem(400, "invalid_request");
}

#[tokio::test]
async fn the_past_is_for_those_who_may_see_the_whole_history() {
    let forge = HttpForge::new().await;
    for (scope, covers, status) in [
        ("\"read\"", "\"*\"", StatusCode::FORBIDDEN),
        ("\"audit\"", "\"shop\"", StatusCode::FORBIDDEN),
        ("\"audit\"", "\"*\"", StatusCode::OK),
    ] {
        let name = format!("t{}", forge.control.current().head.sequence.0);
        let token = forge.token(&name, scope, covers).await;
        for path in ["/v1/state?at=1", "/v1/state/diff?from=1"] {
            let answer = forge.ask("GET", path).token(&token).empty().await;
            assert_eq!(answer.status, status, "{scope} on {covers}: {path}");
        }
    }
}

#[tokio::test]
async fn a_diff_says_what_was_added_removed_and_changed() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    forge.token("old", "\"read\"", "\"shop\"").await;
    let from = forge.control.current().head.sequence.0;
    forge.ready("blog").await;
    let revoked = &forge.get("/v1/tokens").await.json()["data"][0]["id"];
    let path = format!("/v1/tokens/{}", revoked.as_str().unwrap());
    forge.send("DELETE", &path, "").await;
    forge
        .send("PATCH", "/v1/databases/shop", r#"{"protect":true}"#)
        .await;
    let to = forge.control.current().head.sequence.0;

    let diff = forge
        .get(&format!("/v1/state/diff?from={from}"))
        .await
        .json();
    assert_eq!((&diff["from"], &diff["to"]), (&json!(from), &json!(to)));
    let names = |of: &str, which: &str| -> Vec<Value> {
        let entries = diff[of][which].as_array().unwrap().iter();
        entries.map(|it| it["name"].clone()).collect()
    };
    assert_eq!(names("databases", "added"), [json!("blog")]);
    assert_eq!(diff["databases"]["removed"], json!([]));
    let fields = json!({
        "protected": {"from": false, "to": true},
        "sequence": {"from": diff["databases"]["changed"][0]["fields"]["sequence"]["from"], "to": to},
    });
    assert_eq!(names("databases", "changed"), [json!("shop")]);
    assert_eq!(diff["databases"]["changed"][0]["fields"], fields);
    assert_eq!(names("tokens", "removed"), [json!("old")]);
    assert_eq!(diff["tokens"]["added"], json!([]));
    let nothing = json!({"added": [], "removed": [], "changed": []});
    assert_eq!(diff["jobs"], nothing);

    let path = format!("/v1/state/diff?from={from}&to={to}&format=text");
    let text = forge.get(&path).await.text;
    assert!(text.contains("\n+## blog (ready)\n"), "{text}");
    assert!(text.contains("\n-## old\n"), "{text}");
    assert!(text.contains("\n+protected   yes\n"), "{text}");
    let same = forge
        .get(&format!("/v1/state/diff?from={to}&to={to}"))
        .await
        .json();
    for of in ["databases", "jobs", "tokens"] {
        assert_eq!(same[of], nothing);
    }
}
