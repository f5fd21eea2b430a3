//! Attacks of our own making, against one running gateway. Each has the outcomes that are safe; one
//! line of its input is one request, and the last one's outcome counts.
use super::client::Answer;
use super::corpus::{Entry, entries};
use super::scene::{Attacked, Scene, query, repeated};
use serde_json::json;

/// What a statement has that is expected to need more. All others have as much as there is.
const TIMEOUT_MS: u64 = 200;

#[test]
fn nothing_of_our_own_making_reaches_slows_or_breaks_what_is_not_its_own() {
    let scene = Scene::new();
    let mut unsafe_outcomes = Vec::new();
    for entry in entries("attacks-of-our-own.json") {
        let on = scene.attacked();
        let answer = run(&scene, &entry, &on);
        scene.check(&entry.id, &scene.with_our_paths(&entry.input), &answer);
        if !is_safe(&entry.expect, &answer) {
            let (id, expect) = (&entry.id, &entry.expect);
            unsafe_outcomes.push(format!("{id}: not {expect}, but {answer:.600?}"));
        }
        scene.is_whole(&entry.id, &on);
    }
    assert!(unsafe_outcomes.is_empty(), "{unsafe_outcomes:#?}");
    scene.end("attacks of our own");
}

/// Sends an entry's requests; the answer to the last one.
fn run(scene: &Scene, entry: &Entry, on: &Attacked) -> Answer {
    let input = scene.with_our_paths(&repeated(&entry.input));
    let tables = format!("/api/db/{}/tables", on.name);
    let json = [("Content-Type", "application/json")];
    let post = |path: &str, body: &str| scene.root.send("POST", path, &json, body.as_bytes());
    match entry.kind.as_str() {
        "body.query" => post(&format!("/v1/databases/{}/query", on.name), &input),
        "rows.get" => scene.root.get(&format!("{tables}{input}")),
        "rows.post" => {
            let (path, body) = input.split_once('\n').unwrap();
            post(&format!("{tables}{path}"), body)
        }
        kind if kind.starts_with("sql.") => {
            let (before, last) = input.rsplit_once('\n').unwrap_or(("", &input));
            for sql in before.lines() {
                scene.check(&entry.id, sql, &query(&scene.root, &on.name, sql));
            }
            if !entry.expect.contains("statement_timeout") {
                return query(&scene.root, &on.name, last);
            }
            let body = json!({"sql": last, "timeout_ms": TIMEOUT_MS});
            scene.ask(&entry.id, &scene.root, on, &body)
        }
        other => panic!("{}: what is {other}?", entry.id),
    }
}

/// `403 read_only | 200`: one of these statuses, with its code where one is named.
fn is_safe(expect: &str, answer: &Answer) -> bool {
    expect.split(" | ").any(|it| {
        let (status, code) = it.split_once(' ').unwrap_or((it, ""));
        status == answer.status.to_string() && (code.is_empty() || code == answer.code())
    })
}
