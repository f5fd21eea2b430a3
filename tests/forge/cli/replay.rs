//! `dbforge replay --assert`: a kept state against what a history folds to today.
use crate::support::cli::dbforge;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

#[test]
fn a_replay_that_ends_as_the_snapshot_says_prints_nothing() {
    let said = dbforge(&["replay", &log(), "--assert", &snapshot()]).well();
    assert_eq!(said, "");
}

#[test]
fn a_plain_text_serves_as_well_as_a_snapshot_file() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state.txt");
    fs::write(&state, dbforge(&["replay", &log(), "--at", "3"]).well()).unwrap();
    let state = state.to_str().unwrap();
    dbforge(&["replay", &log(), "--at", "3", "--assert", state]).well();
    assert_eq!(dbforge(&["replay", &log(), "--assert", state]).code, 4);
}

#[test]
fn a_replay_that_ends_otherwise_shows_the_lines_that_differ() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state.txt");
    let text = dbforge(&["replay", &log()]).well();
    fs::write(
        &state,
        text.replace("## ledger (degraded)", "## ledger (stopped)"),
    )
    .unwrap();
    let ended = dbforge(&["replay", &log(), "--assert", state.to_str().unwrap()]);
    assert_eq!(ended.code, 4, "{}", ended.err);
    assert!(
        ended
            .out
            .contains("\n-## ledger (stopped)\n+## ledger (degraded)\n"),
        "{}",
        ended.out
    );
}

#[test]
fn a_snapshot_that_is_not_there_is_named() {
    let said = dbforge(&["replay", &log(), "--assert", "no-such.snap"]).badly(3);
    assert!(said.contains("no-such.snap"), "{said}");
}

fn log() -> String {
    from_the_top("tests/fixtures/event_logs/written_by_hand.jsonl")
}

fn snapshot() -> String {
    from_the_top("snapshots/replay/written_by_hand.snap")
}

fn from_the_top(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    path.into_os_string().into_string().unwrap()
}
