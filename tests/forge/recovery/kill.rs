//! `kill -9` in the middle of everything: what was acknowledged is there.
use crate::support::gateway_process::GatewayProcess;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use tempfile::TempDir;

const ROUNDS: usize = 20;
const CLIENTS: usize = 4;
const WRITERS: usize = 32;

#[test]
fn a_gateway_killed_in_the_middle_of_creates_loses_nothing_that_it_acknowledged() {
    let folder = TempDir::new().unwrap();
    let acknowledged = Mutex::new(BTreeSet::new());
    for round in 0..ROUNDS {
        let gateway = GatewayProcess::start(folder.path());
        create_until_killed(gateway, round, &acknowledged);
    }
    let gateway = GatewayProcess::start(folder.path());
    gateway.poll("every job ends", || unfinished_jobs(&gateway) == 0);

    let databases = all(&gateway, "/v1/databases?limit=1000");
    let names: BTreeSet<String> = texts(&databases, "name");
    let acknowledged = acknowledged.into_inner().unwrap();
    let lost: Vec<_> = acknowledged.difference(&names).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
    assert!(acknowledged.len() >= ROUNDS, "the rounds did something");

    let folders: BTreeSet<String> = std::fs::read_dir(folder.path().join("databases"))
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        folders,
        texts(&databases, "id"),
        "no folder without a database"
    );
    let taken = names.first().unwrap();
    let (status, _) = gateway
        .post("/v1/databases", &json!({"name": taken}))
        .unwrap();
    assert_eq!(status, 409, "a name is taken as the log says");
    assert!(gateway.stop());
    assert_log_verifies(folder.path());
}

#[test]
fn what_32_writers_were_told_is_kept_survives_a_kill_and_what_was_not_committed_does_not() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    let create = json!({"name": "shop"});
    gateway
        .post("/admin/databases/spawn/shop", &create)
        .unwrap();
    let (query, begin) = (
        "/v1/databases/shop/query",
        "/v1/databases/shop/transactions",
    );
    let sql = "CREATE TABLE t(id INTEGER PRIMARY KEY)";
    let (status, body) = gateway.post(query, &json!({ "sql": sql })).unwrap();
    assert_eq!(status, 200, "{body}");
    let written = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (gateway, written) = (&gateway, &written);
            scope.spawn(move || {
                for n in 0.. {
                    let id = writer + n * WRITERS;
                    let insert = json!({"sql": "INSERT INTO t VALUES (?1)", "params": [id]});
                    let is_told = if writer == 0 {
                        insert_in_transaction(gateway, begin, &insert)
                    } else {
                        gateway.post(query, &insert).map(|(status, _)| status) == Some(200)
                    };
                    if !is_told {
                        return;
                    }
                    let mut written = written.lock().unwrap();
                    written.push(id);
                    if written.len() == 800 {
                        gateway.kill_now();
                    }
                }
            });
        }
    });
    drop(gateway);
    let gateway = GatewayProcess::start(folder.path());
    let select = json!({"sql": "SELECT id FROM t", "max_rows": 10000});
    let (_, body) = gateway.post(query, &select).unwrap();
    let kept: BTreeSet<u64> = body["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[0].as_u64().unwrap())
        .collect();
    let written = written.into_inner().unwrap();
    assert!(written.len() >= 800, "the writers did something");
    for id in written {
        assert!(
            kept.contains(&(id as u64)),
            "row {id} was acknowledged and is gone"
        );
    }
    assert!(!kept.contains(&NEVER_COMMITTED));
}

/// Beyond every row that is written to be kept.
const NEVER_COMMITTED: u64 = 1_000_000;

/// Inserts a row in a transaction, and another in one that is never committed. Whether it was
/// told that the first is kept.
fn insert_in_transaction(gateway: &GatewayProcess, begin: &str, insert: &Value) -> bool {
    let open = |wanted: &Value| {
        let (status, begun) = gateway.post(begin, &json!({}))?;
        assert_eq!(status, 201, "{begun}");
        let path = format!("{begin}/{}", begun["id"].as_str()?);
        let (status, answer) = gateway.post(&format!("{path}/query"), wanted)?;
        assert_eq!(status, 200, "{answer}");
        Some(path)
    };
    let kept = || {
        let path = open(insert)?;
        let (status, _) = gateway.post(&format!("{path}/commit"), &json!({}))?;
        let lost = json!({"sql": "INSERT INTO t VALUES (?1)", "params": [NEVER_COMMITTED]});
        let path = open(&lost)?;
        gateway.post(&format!("{path}/rollback"), &json!({}))?;
        Some(status == 204)
    };
    kept().unwrap_or(false)
}

/// Clients create databases until the gateway is gone; it is killed at another acknowledgement
/// in each round.
fn create_until_killed(gateway: GatewayProcess, round: usize, all: &Mutex<BTreeSet<String>>) {
    let in_this_round = Mutex::new(0);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (gateway, in_this_round) = (&gateway, &in_this_round);
            scope.spawn(move || {
                for n in 0.. {
                    let name = format!("r{round}-c{client}-n{n}");
                    match gateway.post("/v1/databases", &json!({ "name": name })) {
                        Some((202, _)) => all.lock().unwrap().insert(name),
                        _ => return,
                    };
                    let mut count = in_this_round.lock().unwrap();
                    *count += 1;
                    if *count == 1 + round {
                        gateway.kill_now();
                    }
                }
            });
        }
    });
    gateway.kill();
}

fn unfinished_jobs(gateway: &GatewayProcess) -> usize {
    ["queued", "running", "retry_wait"]
        .iter()
        .map(|state| all(gateway, &format!("/v1/jobs?state={state}")).len())
        .sum()
}

fn all(gateway: &GatewayProcess, path: &str) -> Vec<Value> {
    let (status, body) = gateway.get(path).unwrap();
    assert_eq!(status, 200, "{body}");
    body["data"].as_array().unwrap().clone()
}

fn texts(all: &[Value], field: &str) -> BTreeSet<String> {
    let text = |it: &Value| it[field].as_str().unwrap().to_owned();
    all.iter().map(text).collect()
}

fn assert_log_verifies(data_dir: &Path) {
    let verified = Command::new(env!("CARGO_BIN_EXE_dbforge"))
        .args(["log", "verify", "--data-dir"])
        .arg(data_dir)
        .status()
        .unwrap();
    assert!(verified.success());
}
