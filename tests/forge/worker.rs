//! The program inside a worker.
use dbforge::clock::{Deadline, IdSource, RandomIds};
use dbforge::worker::{Unfit, health};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(RandomIds.fresh().to_string());
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn folder_with(main_db: &[u8]) -> PathBuf {
    let folder = folder();
    fs::write(folder.join("main.db"), main_db).unwrap();
    folder
}

#[test]
fn a_folder_with_a_database_is_healthy() {
    let folder = folder_with(b"");
    health(&folder).expect("an empty file is a new database");
    fs::write(folder.join("main.db"), b"SQLite format 3\0and pages").unwrap();
    health(&folder).unwrap();
}

#[test]
fn what_is_no_database_is_unfit() {
    for content in [
        &b"SQLite format 3"[..],
        b"SQLite format 4\0",
        b"#!/bin/sh\n",
    ] {
        let unfit = health(&folder_with(content)).unwrap_err();
        assert!(matches!(unfit, Unfit::NotADatabase { .. }), "{unfit}");
    }
}

#[test]
fn a_missing_file_is_unfit() {
    let unfit = health(&folder()).unwrap_err();
    assert!(matches!(unfit, Unfit::Unreadable { .. }), "{unfit}");
}

#[test]
fn a_link_to_a_database_is_unfit_and_so_is_a_folder() {
    let (real, linked, nested) = (folder_with(b""), folder(), folder());
    std::os::unix::fs::symlink(real.join("main.db"), linked.join("main.db")).unwrap();
    fs::create_dir(nested.join("main.db")).unwrap();
    for folder in [linked, nested] {
        let unfit = health(&folder).unwrap_err();
        assert!(matches!(unfit, Unfit::NotAFile { .. }), "{unfit}");
    }
}

#[test]
fn a_worker_without_its_folder_tells_why_and_exits_with_1() {
    let output = Command::new(env!("CARGO_BIN_EXE_dbforge"))
        .args(["worker", "health"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("/data/database/main.db"), "{told}");
}

#[test]
fn a_worker_ends_well_when_it_is_told_to() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut worker = Command::new(env!("CARGO_BIN_EXE_dbforge"))
            .args(["worker", "run"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = worker.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert_eq!(line, "worker: ready\n");
        kill_process(Pid::from_child(&worker), signal).unwrap();
        assert!(end_of(&mut worker).success());
    }
}

fn end_of(worker: &mut Child) -> ExitStatus {
    let deadline = Deadline::after(PATIENCE);
    loop {
        if let Some(status) = worker.try_wait().unwrap() {
            return status;
        }
        if deadline.has_passed() {
            worker.kill().unwrap();
            panic!("the worker did not end");
        }
        std::thread::yield_now();
    }
}
