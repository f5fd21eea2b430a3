//! The history through HTTP: events, the head, exports, the state.
use crate::support::http::{Answer, HttpForge, ROOT};
use crate::support::with_snapshots_in;
use axum::http::StatusCode;
use dbforge::domain::state::State;
use dbforge::event_log::import::parse_export_line;
use sha2::{Digest, Sha256};

fn kinds(answer: &Answer) -> Vec<String> {
    let rows = answer.json()["data"]
        .as_array()
        .unwrap_or_else(|| panic!("{}", answer.text))
        .clone();
    rows.iter()
        .map(|it| it["kind"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn events_tell_every_command_and_what_came_of_it() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let created = forge.post("/v1/databases", r#"{"name":"other"}"#).await;
    forge.settle().await;
    let job = created.json()["id"].as_str().unwrap().to_owned();
    let list = async |query: &str| forge.get(&format!("/v1/events?{query}")).await;

    let story = list(&format!("job={job}")).await;
    with_snapshots_in("http", || {
        insta::assert_snapshot!("events_of_a_create", kinds(&story).join("\n"));
    });
    let of_shop = list("database=shop&kind=database_ready").await;
    assert_eq!(kinds(&of_shop), ["database_ready"]);
    let newest = list("order=desc&limit=1").await;
    assert_eq!(kinds(&newest), ["job_succeeded"]);
    assert_eq!(kinds(&list("after=1&limit=1").await), ["runtime_chosen"]);
    let by_runner = list("actor=runner&limit=1000").await;
    assert!(kinds(&by_runner).contains(&"step_finished".to_owned()));
    assert_eq!(kinds(&list("until=2026-03-01T12:00:00Z").await).len(), 0);

    let event = forge.get("/v1/events/1").await;
    assert_eq!(event.header("etag"), "\"e1\"");
    assert_eq!(event.json()["previous_hash"], "0".repeat(64));
    with_snapshots_in("http", || insta::assert_snapshot!("an_event", event.text));
    for none in ["0", "9999", "-1", "x"] {
        let answer = forge.get(&format!("/v1/events/{none}")).await;
        answer.problem(404, "event_not_found");
    }
}

#[tokio::test]
async fn an_export_is_the_whole_history_and_a_stranger_can_verify_it() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    forge.token("ci", "\"read\"", "\"*\"").await;
    let export = forge.get("/v1/audit/export").await;
    assert_eq!(export.header("content-type"), "application/x-ndjson");
    let head = forge.get("/v1/audit/head").await.json();
    let mut previous = vec![0; 32];
    let mut state = State::default();
    for line in export.text.lines() {
        let mut event: serde_json::Map<_, _> = serde_json::from_str(line).unwrap();
        let hash = event.remove("hash").unwrap();
        event.remove("previous_hash").unwrap();
        // This map keeps its keys sorted, as canonical JSON does.
        let canonical = serde_json::to_string(&event).unwrap();
        let chained = Sha256::new()
            .chain_update(&previous)
            .chain_update(canonical);
        previous = chained.finalize().to_vec();
        assert_eq!(hash, hex::encode(&previous));
        state.evolve(&parse_export_line(line).unwrap());
    }
    assert_eq!(head["hash"], hex::encode(&previous));
    assert_eq!(
        head["sequence"],
        export.header("x-dbforge-sequence").parse::<u64>().unwrap()
    );
    assert_eq!(
        forge.get("/v1/state?format=text").await.text,
        state.to_string()
    );
}

#[tokio::test]
async fn a_long_export_comes_in_pieces_and_whole() {
    let forge = HttpForge::new().await;
    for n in 0..600 {
        let body = format!(r#"{{"name":"d{n}"}}"#);
        let answer = forge.post("/v1/databases", &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    }
    let export = forge.get("/v1/audit/export").await;
    let sequences = export
        .text
        .lines()
        .map(|it| parse_export_line(it).unwrap().sequence.0);
    assert!(sequences.eq(1..=1202));
}

#[tokio::test]
async fn the_state_is_shown_as_json_and_as_text() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    forge.post("/v1/databases/shop/restart", "").await;
    forge.token("ci", "\"read\"", "\"shop\"").await;
    let state = forge.get("/v1/state").await.json();
    let head = forge.control.current().head.sequence.0;
    assert_eq!(state["as_of"], head);
    assert_eq!(
        state["databases"][0],
        forge.get("/v1/databases/shop").await.json()
    );
    assert_eq!(state["jobs"][0]["kind"], "restart_worker");
    assert_eq!(state["tokens"][0]["name"], "ci");
    assert_eq!(state["tokens"][0].get("token"), None);
    let text = forge
        .ask("GET", "/v1/state")
        .token(ROOT)
        .header("accept", "text/plain");
    let text = text.empty().await;
    assert!(text.header("content-type").starts_with("text/plain"));
    assert_eq!(text.text, forge.control.current().state.to_string());
}

#[tokio::test]
async fn a_read_waits_for_the_sequence_it_asks_for() {
    let forge = HttpForge::new().await;
    let next = forge.control.current().head.sequence.0 + 1;
    let path = format!("/v1/databases?min_sequence={next}");
    let (list, _) = tokio::join!(forge.get(&path), forge.post("/v1/databases", "{}"));
    assert_eq!(list.json()["data"].as_array().unwrap().len(), 1);
    assert!(list.json()["as_of"].as_u64().unwrap() >= next);
}

#[tokio::test]
async fn every_control_plane_answer_says_what_it_has_seen() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let head = forge.control.current().head.sequence.0;
    for path in [
        "/v1/databases",
        "/v1/databases/shop",
        "/v1/databases/none",
        "/v1/jobs",
        "/v1/events",
        "/v1/events/1",
        "/v1/tokens",
        "/v1/state",
        "/v1/audit/head",
        "/v1/engines",
    ] {
        let seen: u64 = forge
            .get(path)
            .await
            .header("x-dbforge-sequence")
            .parse()
            .unwrap();
        assert_eq!(seen, head, "{path}");
    }
    let written = forge.post("/v1/databases/shop/stop", "").await;
    let seen: u64 = written.header("x-dbforge-sequence").parse().unwrap();
    assert_eq!(seen, head + 1);
}
