//! Real logs of every form ever written open for ever: `tests/fixtures/stored_logs/<form>/`.
//!
//! Each holds the log's files as a gateway left them (`forge/`) and the export that the gateway
//! gave of it (`events.jsonl`). Form 1: `runtime_chosen` does not say why. Form 2: it does, and
//! there are schedules, plans and undoing. Form 3: headers say which token a command came with, and
//! what the clock showed where it was behind the log.
use crate::support::{files_below, with_snapshots_in, write_files};
use dbforge::control::fold;
use dbforge::domain::event::Event;
use dbforge::domain::event::recorded::RecordedEvent;
use dbforge::domain::ids::{RequestId, Sequence};
use dbforge::engine::registry::Engines;
use dbforge::event_log::EventLog;
use dbforge::event_log::canonical::export_line;
use dbforge::event_log::disk::{DiskEventLog, Settings};
use dbforge::event_log::import::read_export;
use dbforge::runtime::{WorkerPlace, WorkerSpec};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use uuid::Uuid;

#[test]
fn form_1() {
    opens_as_before("1");
}

#[test]
fn form_2() {
    opens_as_before("2");
}

#[test]
fn form_3() {
    opens_as_before("3");
}

#[test]
fn every_stored_log_has_its_test() {
    let tests = include_str!("stored_logs.rs");
    for entry in fs::read_dir(stored_logs()).unwrap() {
        let form = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            tests.contains(&format!("fn form_{form}()")),
            "{form} has no test"
        );
    }
}

#[test]
fn an_event_of_an_older_version_is_read_as_todays_and_shown_as_it_was_stored() {
    let folder = copy_of("1");
    let log = open(folder.path());
    let chosen = all(&log)
        .into_iter()
        .find(|it| it.schema_version == 1 && matches!(it.event, Event::RuntimeChosen(_)));
    let chosen = chosen.expect("form 1 has the first version of `runtime_chosen`");
    let Event::RuntimeChosen(event) = &chosen.event else {
        unreachable!("found by its kind");
    };
    assert_eq!((event.runtime.as_str(), &event.reason), ("process", &None));
    let line = export_line(&chosen);
    assert!(line.contains(r#""data":{"runtime":"process"}"#), "{line}");
}

#[test]
fn a_worker_of_the_version_before_is_no_other_worker_today() {
    let log = open(copy_of("3").path());
    let state = fold(&log).unwrap();
    let database = state.find_database("Shop").unwrap();
    let folder = Path::new("/forge/databases").join(database.id.to_string());
    let request = RequestId(Uuid::nil());
    let place = WorkerPlace::Container;
    let engine = Engines::standard().find(&database.engine.0).cloned();
    let program = engine.unwrap().program(database, &place);
    let spec = WorkerSpec::of(database, state.instance.unwrap(), folder, request, program);
    assert_eq!(spec.name, "db-worker-Shop-000000000048");
    // As 0.1 put it on its workers: another one has the reconciler replace them all.
    assert_eq!(spec.hash(), "8dbdf12f1e696dba");
}

#[track_caller]
fn opens_as_before(form: &str) {
    let export = fs::read_to_string(stored_logs().join(form).join("events.jsonl")).unwrap();
    let imported: Vec<RecordedEvent> = read_export(export.as_bytes()).map(Result::unwrap).collect();
    for lost in [None, Some("events.sled"), Some("journal"), Some("HEAD")] {
        let folder = copy_of(form);
        if let Some(lost) = lost {
            remove(&folder.path().join(lost));
        }
        let log = open(folder.path());
        assert_eq!(log.read_only(), None, "without {lost:?}");
        let events = all(&log);
        assert_eq!(events, imported, "without {lost:?}");
        let lines: String = events.iter().map(|it| export_line(it) + "\n").collect();
        assert_eq!(lines, export, "without {lost:?}");
        let state = fold(&log).unwrap();
        with_snapshots_in("replay", || {
            insta::assert_snapshot!(format!("stored_log_{form}"), state);
        });
    }
}

fn copy_of(form: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let files = files_below(&stored_logs().join(form).join("forge"));
    write_files(&files, folder.path());
    folder
}

fn open(folder: &Path) -> DiskEventLog {
    DiskEventLog::open(folder, Settings::default()).unwrap().0
}

fn all(log: &DiskEventLog) -> Vec<RecordedEvent> {
    log.read_after(Sequence(0), usize::MAX).unwrap()
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

fn stored_logs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stored_logs")
}
