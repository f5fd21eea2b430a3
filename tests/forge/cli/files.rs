//! The commands that read files: of a data folder, and exports of its history.
use crate::support::cli::{Dbforge, Ended, dbforge};
use crate::support::gateway_process::PATIENCE;
use crate::support::with_snapshots_in;
use dbforge::clock::Deadline;
use dbforge::domain::event::recorded::NewCommit;
use dbforge::domain::state::State;
use dbforge::event_log::EventLog;
use dbforge::event_log::disk::{DiskEventLog, OpenError, Settings};
use dbforge::event_log::import::read_export;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A forge with one database in the trash, as somebody writes it down to show a mistake.
const HISTORY: &str = r#"{"kind":"forge_founded","data":{"instance":"00000000-0000-0000-0000-0000000000f0"}}
{"kind":"runtime_chosen","data":{"runtime":"process"}}
{"kind":"database_requested","data":{"database":"00000000-0000-0000-0000-0000000000d1","name":"shop","dns_label":"shop","engine":"sqlite","durability":"full","labels":{},"limits":{"size_bytes":1,"memory_bytes":1,"cpu_millis":1},"protected":false,"expires_at":null}}
{"kind":"database_ready","data":{"database":"00000000-0000-0000-0000-0000000000d1"}}
{"kind":"database_trashed","data":{"database":"00000000-0000-0000-0000-0000000000d1","purge_at":"2026-03-01T12:00:00.000Z"}}
"#;

/// A data folder with [`HISTORY`] in its event log, and the log's head.
fn data_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let forge_dir = folder.path().join(".forge");
    let log = open(&forge_dir);
    for recorded in read_export(HISTORY.as_bytes()) {
        let recorded = recorded.unwrap();
        let commit = NewCommit {
            header: recorded.commit.as_ref().clone(),
            events: vec![recorded.event],
        };
        log.append(log.head().sequence, vec![commit]).unwrap();
    }
    log.close();
    folder
}

/// Opens an event log. Where a child process is being made at that moment, it has the lock of a
/// log that was closed for an instant longer.
fn open(forge_dir: &Path) -> DiskEventLog {
    let deadline = Deadline::after(PATIENCE);
    loop {
        match DiskEventLog::open(forge_dir, Settings::default()) {
            Ok((log, _)) => return log,
            Err(OpenError::InUse { .. }) if !deadline.has_passed() => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

fn on(folder: &TempDir, args: &[&str]) -> Ended {
    Dbforge::with(args).data_dir(folder.path()).run()
}

fn journal_of(folder: &TempDir) -> PathBuf {
    folder.path().join(".forge/journal/00000001.journal")
}

/// Changes one byte in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_export_replays_to_the_state_that_its_events_lead_to() {
    let folder = data_folder();
    let export = on(&folder, &["log", "export"]).well();
    assert_eq!(export.lines().count(), 5);

    let mut state = State::default();
    for recorded in read_export(export.as_bytes()) {
        state.evolve(&recorded.unwrap());
    }
    let replayed = Dbforge::with(&["replay", "-"]).fed(&export).well();
    assert_eq!(replayed, state.to_string());

    let file = folder.path().join("export.jsonl");
    fs::write(&file, &export).unwrap();
    let earlier = dbforge(&["replay", file.to_str().unwrap(), "--at", "4"]).well();
    assert!(earlier.contains("## shop (ready)"), "{earlier}");
    assert!(replayed.contains("## shop (trashed)"), "{replayed}");
}

#[test]
fn every_golden_log_is_printed_as_its_snapshot_holds_it() {
    let logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/event_logs");
    for log in fs::read_dir(logs).unwrap() {
        let log = log.unwrap().path();
        let state = dbforge(&["replay", log.to_str().unwrap()]).well();
        let name = log.file_stem().unwrap().to_str().unwrap();
        with_snapshots_in("replay", || insta::assert_snapshot!(name, state));
    }
}

#[test]
fn an_export_that_was_changed_is_damage_with_its_line() {
    let export = on(&data_folder(), &["log", "export"]).well();
    let forged = export.replace("\"name\":\"shop\"", "\"name\":\"shed\"");
    let ended = Dbforge::with(&["replay", "-"]).fed(&forged);
    let said = ended.badly(4);
    assert!(said.contains("line 3") && said.contains("hash"), "{said}");
}

#[test]
fn a_file_that_is_not_there_is_no_damage() {
    let said = dbforge(&["replay", "no-such-file.jsonl"]).badly(3);
    assert!(said.contains("no-such-file.jsonl"), "{said}");
    let empty = TempDir::new().unwrap();
    let said = on(&empty, &["log", "verify"]).badly(3);
    assert!(said.contains("journal"), "{said}");
}

#[test]
fn a_log_that_is_whole_says_its_head() {
    let folder = data_folder();
    let export = on(&folder, &["log", "export"]).well();
    let last = export.lines().last().unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    let said = on(&folder, &["log", "verify"]).well();
    let head = format!("head 5 {}\n", last["hash"].as_str().unwrap());
    assert!(said.ends_with(&head), "{said}");
}

#[test]
fn damage_in_the_journal_is_told_with_its_place_and_everything_before_it_is_exported() {
    let folder = data_folder();
    flip(&journal_of(&folder));
    let said = on(&folder, &["log", "verify"]).badly(4);
    assert!(
        said.contains("damaged at byte") && said.contains("hint:"),
        "{said}"
    );

    let export = on(&folder, &["log", "export"]);
    assert_eq!(export.code, 4, "{export:?}");
    let before = export.out.lines().count();
    assert!((1..5).contains(&before), "{export:?}");
    assert!(export.err.contains("damaged at byte"), "{export:?}");
}

#[test]
fn reading_the_log_needs_no_lock_and_changes_nothing() {
    let folder = data_folder();
    let _held = open(&folder.path().join(".forge"));
    let before = fs::read(journal_of(&folder)).unwrap();
    on(&folder, &["log", "export"]).well();
    on(&folder, &["log", "verify"]).well();
    assert_eq!(fs::read(journal_of(&folder)).unwrap(), before);
    let said = on(&folder, &["doctor"]).out;
    let held = format!("process {}", std::process::id());
    assert!(said.contains(&held), "{said}");
}

#[test]
fn the_doctor_is_content_with_a_folder_that_is_not_there_yet() {
    let folder = TempDir::new().unwrap();
    let there = folder.path().join("later");
    let said = Dbforge::with(&["doctor", "--data-dir", there.to_str().unwrap()])
        .run()
        .well();
    assert!(said.contains("does not exist yet"), "{said}");
    assert!(!there.exists(), "looking makes nothing");
}

#[test]
fn the_doctor_names_every_setting_that_cannot_be_used() {
    let ended = Dbforge::with(&["doctor"])
        .setting("DBFORGE_LISTEN", "nowhere")
        .setting("DBFORGE_LOG_FORMAT", "xml")
        .run();
    assert_eq!(ended.code, 4, "{ended:?}");
    for variable in ["DBFORGE_LISTEN", "DBFORGE_LOG_FORMAT"] {
        let line = ended.out.lines().find(|it| it.contains(variable));
        assert!(line.unwrap().starts_with("fail"), "{ended:?}");
    }
}

#[test]
fn the_doctor_finds_damage_missing_parts_and_open_secrets() {
    let folder = data_folder();
    let forge_dir = folder.path().join(".forge");
    let token = forge_dir.join("root-token");
    fs::write(&token, "dbf_0123456789abcdef\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    fs::remove_dir_all(forge_dir.join("events.sled")).unwrap();
    let ended = on(&folder, &["doctor"]);
    assert_eq!(ended.code, 4, "{ended:?}");
    let verdict = |what: &str| {
        let line = ended.out.lines().find(|it| it[6..].starts_with(what));
        line.unwrap_or_else(|| panic!("{what}: {ended:?}"))[..4]
            .trim()
            .to_owned()
    };
    assert_eq!(verdict("root token"), "fail");
    assert_eq!(verdict("index"), "warn");
    assert_eq!(verdict("journal"), "ok");
    assert_eq!(verdict("lock"), "ok");
    assert_eq!(verdict("disk"), "ok");
    assert_eq!(verdict("runtime"), "ok");

    flip(&journal_of(&folder));
    let ended = on(&folder, &["doctor"]);
    let line = ended.out.lines().find(|it| it.contains("journal")).unwrap();
    assert!(
        line.starts_with("fail") && line.contains("damaged at byte"),
        "{line}"
    );
}

#[test]
fn the_doctor_misses_the_file_of_a_database_that_is_in_place() {
    let folder = data_folder();
    let forge_dir = folder.path().join(".forge");
    let log = open(&forge_dir);
    let database = r#"{"database":"00000000-0000-0000-0000-0000000000d1","dns_label":"shop"}"#;
    let back = format!("{HISTORY}{{\"kind\":\"database_undeleted\",\"data\":{database}}}");
    let recorded = read_export(back.as_bytes()).last().unwrap().unwrap();
    let header = recorded.commit.as_ref().clone();
    let events = vec![recorded.event];
    log.append(log.head().sequence, vec![NewCommit { header, events }])
        .unwrap();
    log.close();
    drop(log);

    let ended = on(&folder, &["doctor"]);
    assert_eq!(ended.code, 4, "{ended:?}");
    let line = ended.out.lines().find(|it| it[6..].starts_with("files"));
    assert!(line.unwrap().contains("the file of shop"), "{ended:?}");
    assert!(line.unwrap().contains("is missing"), "{ended:?}");

    let database = "00000000-0000-0000-0000-0000000000d1";
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("main.db"), "whole").unwrap();
    let rooms = folder.path().join("databases");
    fs::create_dir_all(&rooms).unwrap();
    std::os::unix::fs::symlink(&elsewhere, rooms.join(database)).unwrap();
    let ended = on(&folder, &["doctor"]);
    let line = ended.out.lines().find(|it| it[6..].starts_with("files"));
    assert!(line.unwrap().contains("is a link"), "{ended:?}");
}

#[test]
fn a_command_whose_reader_goes_away_ends_without_a_word() {
    use std::process::{Command, Stdio};
    let folder = data_folder();
    let mut export = Command::new(env!("CARGO_BIN_EXE_dbforge"))
        .args(["log", "export", "--data-dir"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(export.stdout.take());
    let ended = export.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
}
