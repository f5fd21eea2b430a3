//! What holds of every forge that was killed and started again.
use crate::support::gateway_process::GatewayProcess;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A folder in memory where there is such a place: a kill takes nothing out of the page cache, so
/// that a disk below adds nothing but time.
pub(crate) fn fast_folder() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap())
}

pub(crate) fn await_jobs(gateway: &GatewayProcess) {
    gateway.poll("every job ends", || {
        ["queued", "running", "retry_wait"].iter().all(|state| {
            let (_, jobs) = gateway.get(&format!("/v1/jobs?state={state}")).unwrap();
            jobs["data"].as_array().unwrap().is_empty()
        })
    });
}

/// Of a forge whose jobs have ended: files are as the state says, the log is whole, its events
/// are dense and its times never go back, and what the gateway knows is what its history says.
pub(crate) fn assert_sound(gateway: GatewayProcess, folder: &Path, when: &str) {
    let (_, databases) = gateway.get("/v1/databases?limit=1000").unwrap();
    let databases = databases["data"].as_array().unwrap();
    let in_state = |states: &[&str]| -> BTreeSet<String> {
        let of_state = databases
            .iter()
            .filter(|it| states.contains(&it["state"].as_str().unwrap()));
        let id = |it: &Value| it["id"].as_str().unwrap().to_owned();
        of_state.map(id).collect()
    };
    let (living, trashed) = (in_state(&["ready", "stopped"]), in_state(&["trashed"]));
    assert_eq!(living.len() + trashed.len(), databases.len(), "{when}");
    assert_eq!(folders(folder, "databases"), living, "{when}");
    assert_eq!(folders(folder, "trash"), trashed, "{when}");

    let known = gateway.get_text("/v1/state?format=text").unwrap();
    assert!(gateway.stop(), "{when}");
    let verified = dbforge(&["log", "verify"], folder);
    assert!(verified.status.success(), "{when}: {verified:?}");
    assert_eq!(replayed(folder).trim_end(), known.trim_end(), "{when}");
    let mut before = String::new();
    for (event, sequence) in history(folder).iter().zip(1..) {
        assert_eq!(event["sequence"], sequence, "{when}");
        let time = event["time"].as_str().unwrap();
        assert!(before.as_str() <= time, "{when}: {before} then {time}");
        time.clone_into(&mut before);
    }
}

/// The events of a folder that no gateway has, as they are exported.
pub(crate) fn history(folder: &Path) -> Vec<Value> {
    let exported = dbforge(&["log", "export"], folder);
    assert!(exported.status.success(), "{exported:?}");
    let lines = String::from_utf8(exported.stdout).unwrap();
    let event = |line: &str| serde_json::from_str(line).unwrap();
    lines.lines().map(event).collect()
}

/// The state that the exported history leads to.
fn replayed(folder: &Path) -> String {
    let export = folder.join("export.jsonl");
    std::fs::write(&export, dbforge(&["log", "export"], folder).stdout).unwrap();
    let replayed = Command::new(env!("CARGO_BIN_EXE_dbforge"))
        .arg("replay")
        .arg(&export)
        .output()
        .unwrap();
    String::from_utf8(replayed.stdout).unwrap()
}

fn dbforge(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dbforge"))
        .args(arguments)
        .arg("--data-dir")
        .arg(folder)
        .output()
        .unwrap()
}

fn folders(data_dir: &Path, room: &str) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(data_dir.join(room)) else {
        return BTreeSet::new();
    };
    entries
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect()
}
