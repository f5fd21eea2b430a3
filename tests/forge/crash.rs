//! The gateway is killed at system calls, one after the other, in the middle of a story: after
//! the next start everything that it had acknowledged is there.
//!
//! strace delivers the SIGKILL as a call is made, so that the points are the same every time:
//! before the journal is written, between the write and its sync, before a folder is moved, and so
//! on. `make crash N=…` goes further into each than the ordinary run does.
use crate::gateway_process::GatewayProcess;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// What writes, syncs, moves and removes.
const CALLS: &[&str] = &[
    "fdatasync",
    "fsync",
    "rename",
    "pwrite64",
    "unlink",
    "mkdir",
];

/// Kills at each call in an ordinary run.
const KILLS: usize = 20;

/// What the gateway has acknowledged, as far as the story came.
#[derive(Debug, Default)]
struct Acknowledged {
    creates: BTreeSet<&'static str>,
    rows: BTreeSet<u64>,
}

#[test]
fn a_kill_at_any_system_call_loses_nothing_that_was_acknowledged() {
    let mut killed = 0;
    for call in CALLS {
        // Each thread of the gateway counts its own calls, so a number is several points.
        for n in points() {
            let folder = TempDir::new().unwrap();
            let told = tell(folder.path(), call, n);
            killed += usize::from(told.1);
            settles(
                folder.path(),
                &told.0,
                &format!("killed at {call} number {n}"),
            );
        }
    }
    assert!(killed > CALLS.len() * 2, "only {killed} kills happened");
}

fn points() -> std::ops::RangeInclusive<usize> {
    #[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
    let kills = std::env::var("DBFORGE_CRASHES").map_or(KILLS, |it| it.parse().unwrap());
    1..=kills
}

/// Returns what was acknowledged, and whether the gateway was killed.
fn tell(folder: &Path, call: &str, n: usize) -> (Acknowledged, bool) {
    let mut strace = Command::new("strace");
    strace
        .args(["-D", "-f", "-qqq", "-o", "/dev/null", "--signal=none"])
        .arg(format!("--trace={call}"))
        .arg(format!("--inject={call}:signal=SIGKILL:when={n}"))
        .arg(env!("CARGO_BIN_EXE_dbforge"));
    let settings = [("DBFORGE_RUNTIME", "process")];
    let mut told = Acknowledged::default();
    let Some(gateway) = GatewayProcess::try_start(strace, folder, &settings) else {
        return (told, true);
    };
    let came_to_its_end = story(&gateway, &mut told).is_some();
    gateway.kill();
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
    gateway.poll("every job ends", || {
        ["queued", "running", "retry_wait"].iter().all(|state| {
            let (_, jobs) = gateway.get(&format!("/v1/jobs?state={state}")).unwrap();
            jobs["data"].as_array().unwrap().is_empty()
        })
    });
    let (_, databases) = gateway.get("/v1/databases?limit=1000").unwrap();
    let databases = databases["data"].as_array().unwrap().clone();
    let with_state = |state: &str, field: &str| -> BTreeSet<String> {
        let of_state = databases.iter().filter(|it| it["state"] == state);
        of_state
            .map(|it| it[field].as_str().unwrap().to_owned())
            .collect()
    };
    let names: BTreeSet<&str> = databases
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    // `other` may be purged already without its client having heard of it.
    for name in told.creates.iter().filter(|it| **it == "shop") {
        assert!(
            names.contains(name),
            "{when}: `{name}` was acknowledged and is gone"
        );
    }
    assert_eq!(
        folders(folder, "trash"),
        with_state("trashed", "id"),
        "{when}"
    );
    let living: BTreeSet<String> = ["ready", "stopped"]
        .iter()
        .flat_map(|it| with_state(it, "id"))
        .collect();
    assert_eq!(folders(folder, "databases"), living, "{when}");
    assert_eq!(
        living.len() + folders(folder, "trash").len(),
        databases.len(),
        "{when}"
    );

    if !told.rows.is_empty() {
        assert_rows(&gateway, told, when);
    }
    assert!(gateway.stop(), "{when}");
    let verified = Command::new(env!("CARGO_BIN_EXE_dbforge"))
        .args(["log", "verify", "--data-dir"])
        .arg(folder)
        .output()
        .unwrap();
    assert!(verified.status.success(), "{when}: {verified:?}");
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

fn folders(data_dir: &Path, room: &str) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(data_dir.join(room)) else {
        return BTreeSet::new();
    };
    entries
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect()
}
