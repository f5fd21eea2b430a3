//! Everything but the journal may be lost: what the forge shows is built again from it.
use crate::support::gateway_process::GatewayProcess;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// All that is built from the journal, in `.forge`.
const BUILT: [&str; 6] = [
    "events.sled",
    "HEAD",
    "control.db",
    "control.db-wal",
    "control.db-shm",
    "checkpoint",
];

/// The fold, and every list that is answered from `control.db`.
const SHOWN: [&str; 5] = [
    "/v1/state",
    "/v1/events?limit=1000",
    "/v1/jobs?limit=1000",
    "/v1/databases?limit=1000",
    "/v1/tokens",
];

fn shown(gateway: &GatewayProcess) -> Vec<Value> {
    let ask = |path: &&str| {
        let (status, answer) = gateway.get(path).unwrap();
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    };
    SHOWN.iter().map(ask).collect()
}

fn remove(forge_dir: &Path, name: &str) {
    let path = forge_dir.join(name);
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else if path.exists() {
        fs::remove_file(path).unwrap();
    }
}

fn live(data_dir: &Path) -> (GatewayProcess, Vec<Value>) {
    let gateway = GatewayProcess::start(data_dir);
    for name in ["shop", "other", "third"] {
        let (status, answer) = gateway
            .post("/v1/databases", &json!({ "name": name }))
            .unwrap();
        assert_eq!(status, 202, "{answer}");
    }
    gateway.delete("/v1/databases/other").unwrap();
    gateway.poll("every job ends", || {
        let (_, state) = gateway.get("/v1/state").unwrap();
        state["jobs"].as_array().unwrap().is_empty()
    });
    let shown = shown(&gateway);
    (gateway, shown)
}

#[test]
fn the_live_state_is_the_state_after_a_restart_and_after_rebuilding_every_store() {
    let folder = TempDir::new().unwrap();
    let forge_dir = folder.path().join(".forge");
    let (gateway, before) = live(folder.path());
    assert!(before[1].to_string().len() > 1000, "much has happened");
    assert!(gateway.stop());
    let gateway = GatewayProcess::start(folder.path());
    assert_eq!(shown(&gateway), before, "after a restart");
    gateway.kill();
    for name in BUILT {
        remove(&forge_dir, name);
    }
    let gateway = GatewayProcess::start(folder.path());
    assert_eq!(shown(&gateway), before, "from the journal alone");
}
