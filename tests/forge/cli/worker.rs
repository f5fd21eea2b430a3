//! The program inside a worker.
use dbforge::clock::Deadline;
use dbforge::engine::sqlite::Sqlite;
use dbforge::engine::{DataFileError, Engine as _};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);

/// The folder of a database, and its file.
fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("main.db");
    (folder, file)
}

#[test]
fn a_folder_with_a_database_is_healthy() {
    let (folder, file) = folder();
    fs::write(&file, b"").unwrap();
    let check = || Sqlite::default().check_in_worker(folder.path());
    check().expect("an empty file is a new database");
    fs::write(&file, b"SQLite format 3\0and pages").unwrap();
    check().unwrap();
}

#[test]
fn what_is_no_database_is_unhealthy() {
    for content in [
        &b"SQLite format 3"[..],
        b"SQLite format 4\0",
        b"#!/bin/sh\n",
    ] {
        let (folder, file) = folder();
        fs::write(file, content).unwrap();
        let error = Sqlite::default()
            .check_in_worker(folder.path())
            .unwrap_err();
        let is_right = matches!(error, DataFileError::NotADatabase { .. });
        assert!(is_right, "{error}");
    }
}

#[test]
fn a_missing_file_a_link_to_a_database_and_a_folder_are_unhealthy() {
    let (real, database) = folder();
    fs::write(&database, b"").unwrap();
    let (missing, _) = folder();
    let (linked, link) = folder();
    std::os::unix::fs::symlink(&database, link).unwrap();
    let (nested, inner) = folder();
    fs::create_dir(inner).unwrap();
    Sqlite::default().check_in_worker(real.path()).unwrap();
    for folder in [missing, linked, nested] {
        let error = Sqlite::default()
            .check_in_worker(folder.path())
            .unwrap_err();
        assert_eq!(error, DataFileError::Missing);
    }
}

#[test]
fn a_worker_without_its_folder_tells_why_and_exits_with_1() {
    for (arguments, why) in [
        (&["worker", "health"][..], "missing"),
        (&["worker", "health", "--engine", "sqlite"], "missing"),
        (&["worker", "health", "--engine", "abacus"], "abacus"),
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_dbforge"));
        let output = program.args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn a_worker_ends_well_when_it_is_told_to() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_dbforge"));
        let worker = Running::start(program.args(["worker", "run"]));
        assert!(worker.end_by(signal).success());
    }
}

#[test]
fn a_worker_buries_the_dead_whenever_they_died() {
    for dies in ["true", "sleep 0.2"] {
        // The shell becomes the worker, so the shell's child is the worker's.
        let program = env!("CARGO_BIN_EXE_dbforge");
        let line = format!("{dies} & exec {program} worker run");
        let worker = Running::start(Command::new("sh").args(["-c", &line]));
        let id = worker.0.id();
        until("a dead child was left", || {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
            children.unwrap().is_empty().then_some(())
        });
        assert!(worker.end_by(Signal::TERM).success());
    }
}

/// A worker that has said that it is ready.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut worker = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let output = worker.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert_eq!(line, "worker: ready\n");
        Self(worker)
    }

    fn end_by(mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
        until("the worker did not end", || self.0.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error says that it has ended, as it should.
        let _ = self.0.kill();
    }
}

fn until<T>(otherwise: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::after(PATIENCE);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(!deadline.has_passed(), "{otherwise}");
        std::thread::yield_now();
    }
}
