//! The gateway is killed at system calls, one after the other, in the middle of a story: after
//! the next start everything that it had acknowledged is there.
//!
//! strace delivers the SIGKILL as a call is made, so that the points are the same every time:
//! before the journal is written, between the write and its sync, before a folder is moved, and so
//! on. `make crash N=…` goes further into each than the ordinary run does.
use super::sound::{assert_sound, await_jobs, fast_folder};
use crate::support::gateway_process::GatewayProcess;
use dbforge::clock::{IdSource, RandomIds};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Kills at each point in an ordinary run, unless the story ends before.
const KILLS: usize = 100;

/// What the gateway has acknowledged, as far as the story came.
#[derive(Debug, Default)]
struct Acknowledged {
    creates: BTreeSet<&'static str>,
    rows: BTreeSet<u64>,
}

/// One test for each call that writes, syncs, moves, makes or removes, so that they run beside
/// each other.
macro_rules! kills_at {
    ($($name:ident $call:literal)*) => {
        $(
            #[test]
            fn $name() {
                let killed = kill_at_each($call, None, 1..=points());
                println!("{killed} kills at {}", $call);
                assert!(killed > 0, "no kill happened");
            }
        )*
    };
}

kills_at! {
    a_kill_at_any_fdatasync_loses_nothing_that_was_acknowledged "fdatasync"
    a_kill_at_any_fsync_loses_nothing_that_was_acknowledged "fsync"
    a_kill_at_any_write_loses_nothing_that_was_acknowledged "pwrite64"
    a_kill_at_any_opening_loses_nothing_that_was_acknowledged "openat"
    a_kill_at_any_rename_loses_nothing_that_was_acknowledged "rename"
    a_kill_at_any_unlink_loses_nothing_that_was_acknowledged "unlink"
    a_kill_at_any_mkdir_loses_nothing_that_was_acknowledged "mkdir"
    a_kill_at_any_truncation_loses_nothing_that_was_acknowledged "ftruncate"
    a_kill_at_any_flush_of_the_index_loses_nothing_that_was_acknowledged "sync_file_range"
    a_kill_at_any_answer_loses_nothing_that_was_acknowledged "writev"
}

/// Points with a name: a call on a file of the forge. Each is hit, or the test fails.
const NAMED: &[(&str, &str, &str)] = &[
    (
        "before the journal is written",
        "pwrite64",
        "journal/00000001.journal",
    ),
    (
        "between the journal's write and its sync",
        "fdatasync",
        "journal/00000001.journal",
    ),
    ("as the journal's folder is synced", "fsync", "journal"),
    ("as the index takes a batch", "pwrite64", "events.sled/db"),
    (
        "as a segment is sealed and the next one made",
        "openat",
        "journal/00000002.journal",
    ),
    (
        "before the next segment's first commit",
        "pwrite64",
        "journal/00000002.journal",
    ),
    (
        "between the next segment's first commit and its sync",
        "fdatasync",
        "journal/00000002.journal",
    ),
    (
        "as the index flushes behind a seal",
        "sync_file_range",
        "events.sled/db",
    ),
    ("as HEAD is written", "openat", "HEAD.new"),
    (
        "as HEAD takes the place of the one before",
        "rename",
        "HEAD.new",
    ),
    ("as the read model is written", "pwrite64", "control.db-wal"),
];

#[test]
fn a_kill_at_each_named_point_loses_nothing_that_was_acknowledged() {
    for (name, call, file) in NAMED {
        let killed = kill_at_each(call, Some(file), 1..=3);
        assert!(killed > 0, "{name}: no kill happened at {call} on {file}");
    }
}

/// Between system calls, too: at an instant that chance chooses. The story takes about 400 ms.
#[test]
fn a_kill_at_any_instant_loses_nothing_that_was_acknowledged() {
    for _ in 0..points() {
        let instant = Duration::from_micros(u64::from(RandomIds.jitter_permille()) * 400);
        let folder = fast_folder();
        let gateway = GatewayProcess::start(folder.path());
        let mut told = Acknowledged::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(instant); // the instant is what is tried, not waited for
                gateway.kill_now();
            });
            story(&gateway, &mut told);
        });
        drop(gateway);
        settles(folder.path(), &told, &format!("killed after {instant:?}"));
    }
}

/// Tells a story for each point until one comes to its end. Returns how often it was killed.
fn kill_at_each(call: &str, file: Option<&str>, points: std::ops::RangeInclusive<usize>) -> usize {
    let mut killed = 0;
    // Each thread of the gateway counts its own calls, so a number is several points.
    for n in points {
        let folder = fast_folder();
        let (acknowledged, was_killed) = tell(folder.path(), call, file, n);
        let on = file.unwrap_or("any file");
        settles(
            folder.path(),
            &acknowledged,
            &format!("killed at {call} number {n} on {on}"),
        );
        if !was_killed {
            break;
        }
        killed += 1;
    }
    killed
}

pub(crate) fn points() -> usize {
    #[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
    std::env::var("DBFORGE_CRASHES").map_or(KILLS, |it| it.parse().unwrap())
}

/// Returns what was acknowledged, and whether the gateway was killed.
fn tell(folder: &Path, call: &str, file: Option<&str>, n: usize) -> (Acknowledged, bool) {
    let mut strace = Command::new("strace");
    strace
        .args(["-D", "-f", "-qqq", "-o", "/dev/null", "--signal=none"])
        .arg(format!("--trace={call}"))
        .arg(format!("--inject={call}:signal=SIGKILL:when={n}"));
    if let Some(file) = file {
        let file = folder.join(".forge").join(file);
        strace.arg("-P").arg(file);
    }
    strace.arg(env!("CARGO_BIN_EXE_dbforge"));
    // Segments as small as can be, so that the story has several of them sealed.
    let settings = [
        ("DBFORGE_RUNTIME", "process"),
        ("DBFORGE_JOURNAL_SEGMENT_BYTES", "4096"),
    ];
    let mut told = Acknowledged::default();
    let Some(gateway) = GatewayProcess::try_start(strace, folder, &settings) else {
        return (told, true);
    };
    let came_to_its_end = story(&gateway, &mut told).is_some() && gateway.stop();
    (told, !came_to_its_end)
}

/// `None` as soon as the gateway does not answer.
fn story(gateway: &GatewayProcess, told: &mut Acknowledged) -> Option<()> {
    let ask = |path: &str, body: Value| {
        let (status, answer) = gateway.post(path, &body)?;
        assert!(status < 500, "{path}: {status} {answer}");
        Some(answer)
    };
    let done = |path: &str| {
        let (_, job) = gateway.post(path, &json!({}))?;
        let id = job["id"].as_str().expect("a job").to_owned();
        let (_, job) = gateway.get(&format!("/v1/jobs/{id}?wait=30"))?;
        Some(job["state"] == "succeeded")
    };
    for name in ["shop", "other"] {
        ask("/v1/databases", json!({"name": name}))?;
        told.creates.insert(name);
    }
    let query = "/v1/databases/shop/query";
    ask(
        query,
        json!({"sql": "CREATE TABLE t(id INTEGER PRIMARY KEY)"}),
    )?;
    for id in 0..5_u64 {
        let insert = json!({"sql": "INSERT INTO t VALUES (?1)", "params": [id]});
        let answer = ask(query, insert)?;
        assert_eq!(answer["rows_affected"], 1, "{answer}");
        told.rows.insert(id);
    }
    done("/v1/databases/shop/restart")?;
    done("/v1/databases/shop/stop")?;
    done("/v1/databases/shop/start")?;
    gateway.delete("/v1/databases/shop")?;
    done("/v1/databases/shop/undelete")?;
    let (_, job) = gateway.delete("/v1/databases/other?purge=true")?;
    let id = job["id"].as_str().expect("a job").to_owned();
    gateway.get(&format!("/v1/jobs/{id}?wait=30"))?;
    Some(())
}

/// After a start without strace every job ends, and files, names and rows are as acknowledged.
fn settles(folder: &Path, told: &Acknowledged, when: &str) {
    let gateway = GatewayProcess::start(folder);
    await_jobs(&gateway);
    if told.creates.contains("shop") {
        // `other` may be purged already without its client having heard of it.
        let (status, _) = gateway.get("/v1/databases/shop").unwrap();
        assert_ne!(status, 404, "{when}: `shop` was acknowledged and is gone");
    }
    if !told.rows.is_empty() {
        assert_rows(&gateway, told, when);
    }
    assert_sound(gateway, folder, when);
}

fn assert_rows(gateway: &GatewayProcess, told: &Acknowledged, when: &str) {
    for action in ["undelete", "start"] {
        // Whatever state the kill has left it in, it comes back.
        let (_, job) = gateway
            .post(&format!("/v1/databases/shop/{action}"), &json!({}))
            .unwrap();
        if let Some(id) = job["id"].as_str() {
            gateway.get(&format!("/v1/jobs/{id}?wait=30")).unwrap();
        }
    }
    let select = json!({"sql": "SELECT id FROM t ORDER BY id"});
    let (status, answer) = gateway.post("/v1/databases/shop/query", &select).unwrap();
    assert_eq!(status, 200, "{when}: {answer}");
    let kept: BTreeSet<u64> = answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[0].as_u64().unwrap())
        .collect();
    assert!(
        told.rows.is_subset(&kept),
        "{when}: {:?} of {kept:?}",
        told.rows
    );
}
