//! The corpus of attacks, entry by entry, over HTTP against one running gateway.
use super::client::{Answer, Client, PATIENCE};
use super::http;
use super::scene::{Attacked, Scene, query, repeated};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Every statement of the corpus has this long, but for those that mean no harm.
const TIMEOUT_MS: u64 = 500;

/// Entries about what is tried elsewhere, or about what is not there yet.
const NOT_RUN: &[(&str, &str)] = &[
    ("DOCKER-223", "tests/docker/hardening.rs tries it"),
    ("DOCKER-225", "tests/docker/workers/meddling.rs tries it"),
    ("FILE-216", "there are no uploads yet"),
    ("FILE-218", "there are no uploads yet"),
    ("FILE-222", "there are no backups yet"),
    ("HTTP-144", "there is no vacuum by route yet"),
];

/// Entries that demand a refusal of what is answered: what tools send when they connect, and a long
/// pattern, which ends at its deadline. Only the rest of what is safe binds: nothing changes, no
/// path is shown, the next client sees the connection as we set it up.
const ANSWERED: &[&str] = &[
    "SQL-028", // PRAGMA database_list
    "SQL-030", // pragma_compile_options
    "SQL-059", // PRAGMA busy_timeout
    "SQL-061", // PRAGMA cache_size
    "SQL-117", // LIKE with a pattern of 40,000 bytes
];

/// One attack, and what is safe in words.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) input: String,
    pub(crate) expect: String,
}

/// The attacks of a file of fixtures.
pub(crate) fn entries(file: &str) -> Vec<Entry> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(file);
    let entries: Vec<BTreeMap<String, String>> =
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let field = |entry: &BTreeMap<String, String>, name: &str| entry[name].clone();
    (entries.iter())
        .map(|it| Entry {
            id: field(it, "id"),
            kind: field(it, "kind"),
            input: field(it, "input"),
            expect: field(it, "expect"),
        })
        .collect()
}

/// The statements of the corpus, without the words on how they are sent.
pub(crate) fn statements() -> Vec<Entry> {
    let statements = entries("attack-corpus.json").into_iter();
    let statements = statements.filter(|it| it.kind.starts_with("sql.") && it.id != "SQL-104");
    statements
        .map(|it| Entry {
            input: repeated(it.statement()),
            ..it
        })
        .collect()
}

impl Entry {
    /// What follows is about how it is sent.
    fn statement(&self) -> &str {
        let input = self.input.split(" -- ").next().expect("a part at least");
        input.trim_end()
    }
}

/// What runs an entry.
type Attack = fn(&Scene, &Entry);

fn attack_for(entry: &Entry) -> Option<Attack> {
    match entry.kind.as_str() {
        "sql.disk" if entry.id == "SQL-104" => Some(a_reader_that_stops_reading),
        kind if kind.starts_with("sql.") => Some(statement),
        _ => http::attack_for(entry),
    }
}

#[test]
fn every_entry_of_the_corpus_is_run_or_says_why_not() {
    let entries = entries("attack-corpus.json");
    for entry in &entries {
        let listed = NOT_RUN.iter().any(|(id, _)| *id == entry.id);
        let is_run = attack_for(entry).is_some();
        assert!(is_run != listed, "{}: run or listed, one of both", entry.id);
    }
    for (id, _) in NOT_RUN {
        assert!(entries.iter().any(|it| it.id == *id), "there is no {id}");
    }
}

#[test]
fn nothing_of_the_corpus_reaches_slows_or_breaks_what_is_not_its_own() {
    let scene = Scene::new();
    let mut failed = Vec::new();
    for entry in entries("attack-corpus.json") {
        if let Some(attack) = attack_for(&entry) {
            // The others are looked at all the same; what failed has been told by then.
            let tried = catch_unwind(AssertUnwindSafe(|| attack(&scene, &entry)));
            failed.extend(tried.err().map(|_| entry.id));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    scene.end("corpus");
}

/// One statement on a fresh database; where it has several parts, each of them too.
fn statement(scene: &Scene, entry: &Entry) {
    let id = &entry.id;
    let on = scene.attacked();
    let client = if entry.input.contains("READ-scoped token") {
        &scene.reader
    } else {
        &scene.root
    };
    let input = scene.with_our_paths(&repeated(entry.statement()));
    let timeout_ms = match entry.kind.as_str() {
        "sql.cpu" | "sql.cpu.uninterruptible" | "sql.cpu.prepare" | "sql.disk" => TIMEOUT_MS,
        // A busy machine is not what they are about.
        _ => u64::try_from(PATIENCE.as_millis()).unwrap(),
    };
    judge(
        entry,
        &send(scene, entry, client, &on, (&input, timeout_ms)),
    );
    let is_one = entry.kind == "sql.legit" || input.contains("BEGIN SELECT");
    if !is_one && input.len() < 200_000 {
        for part in input.split(';').filter(|it| !it.trim().is_empty()) {
            if part != input && !part.contains("DROP TABLE t") {
                scene.settle(id, &on);
                send(scene, entry, client, &on, (part, TIMEOUT_MS));
            }
        }
        scene.settle(id, &on);
        // The rows that a part may rightly add are taken out again.
        let undone = query(&scene.root, &on.name, "DELETE FROM t WHERE rowid > 1000");
        assert_eq!(undone.status, 200, "{id}: {undone:?}");
    }
    scene.is_whole(id, &on);
}

fn send(
    scene: &Scene,
    entry: &Entry,
    client: &Client,
    on: &Attacked,
    (sql, timeout_ms): (&str, u64),
) -> Answer {
    let params = if sql.contains("?1") {
        json!([scene.with_our_paths("{OUT}/x.db")])
    } else {
        json!([])
    };
    let body = json!({"sql": sql, "params": params, "timeout_ms": timeout_ms});
    scene.ask(&entry.id, client, on, &body)
}

/// Whether the whole entry, sent as one statement, came out safely.
fn judge(entry: &Entry, answer: &Answer) {
    let (status, code) = (answer.status, answer.code());
    let is_answered = status == 200 && ANSWERED.contains(&entry.id.as_str());
    let refused = matches!(status, 400 | 403 | 413) || is_answered;
    let is_safe = match entry.kind.as_str() {
        "sql.legit" => status == 200,
        "sql.escape" | "sql.leak" | "sql.integrity" | "sql.poison" | "sql.mem" | "sql.parse" => {
            refused
        }
        "sql.scope" => refused || answer.json()["rows_affected"] == 0,
        "sql.result" => code == "result_too_large",
        "sql.disk" => code == "quota_exceeded" || code == "statement_timeout",
        "sql.cpu" => code == "statement_timeout" || refused,
        // Refused, cut, or fast enough to be answered at all.
        "sql.cpu.uninterruptible" | "sql.cpu.prepare" => {
            refused || status == 200 || code == "statement_timeout"
        }
        other => panic!("{}: what is {other}?", entry.id),
    };
    assert!(is_safe, "{}: {answer:.400?}", entry.id);
}

/// A client asks for much, reads nothing, and others write meanwhile: 3,000 rows of 20 kB.
fn a_reader_that_stops_reading(scene: &Scene, entry: &Entry) {
    let id = &entry.id;
    let on = scene.attacked();
    for sql in [
        "CREATE TABLE w (x)",
        "INSERT INTO w SELECT randomblob(20000) FROM t LIMIT 100",
    ] {
        assert_eq!(query(&scene.root, &on.name, sql).status, 200, "{id}");
    }
    let body = json!({"sql": "SELECT hex(x) FROM w", "max_bytes": 60 << 20, "timeout_ms": 1_000});
    let body = body.to_string();
    let path = format!("/v1/databases/{}/query", on.name);
    let json = [("Content-Type", "application/json")];
    let head = scene.root.head("POST", &path, &json, body.len());
    let mut unread = scene.root.connect();
    unread.write_all((head + &body).as_bytes()).unwrap();

    let wal = on.folder.join("main.db-wal");
    let wal_bytes = || wal.metadata().map_or(0, |it| it.len());
    for _ in 0..30 {
        let written = query(&scene.root, &on.name, "UPDATE w SET x = randomblob(20000)");
        scene.check(id, "", &written);
        assert_eq!(written.status, 200, "{id}: {written:?}");
        assert!(
            wal_bytes() <= 64 << 20,
            "{id}: {} bytes of WAL",
            wal_bytes()
        );
    }
    scene.is_whole(id, &on);
    drop(unread);
}
