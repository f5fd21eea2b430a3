//! The program inside a worker.
use dbforge::clock::{Deadline, IdSource, RandomIds};
use dbforge::worker::{Unfit, health};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// A folder, for as long as a test needs it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(RandomIds.fresh().to_string());
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn with(main_db: &[u8]) -> Self {
        let folder = Self::new();
        fs::write(folder.main_db(), main_db).unwrap();
        folder
    }

    fn main_db(&self) -> PathBuf {
        self.0.join("main.db")
    }

    fn unfit(&self) -> Unfit {
        health(&self.0).unwrap_err()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_folder_with_a_database_is_healthy() {
    let folder = Folder::with(b"");
    health(&folder.0).expect("an empty file is a new database");
    fs::write(folder.main_db(), b"SQLite format 3\0and pages").unwrap();
    health(&folder.0).unwrap();
}

#[test]
fn what_is_no_database_is_unfit() {
    for content in [
        &b"SQLite format 3"[..],
        b"SQLite format 4\0",
        b"#!/bin/sh\n",
    ] {
        let unfit = Folder::with(content).unfit();
        assert!(matches!(unfit, Unfit::NotADatabase { .. }), "{unfit}");
    }
}

#[test]
fn a_missing_file_is_unfit() {
    let unfit = Folder::new().unfit();
    assert!(matches!(unfit, Unfit::Unreadable { .. }), "{unfit}");
}

#[test]
fn a_link_to_a_database_is_unfit_and_so_is_a_folder() {
    let (real, linked, nested) = (Folder::with(b""), Folder::new(), Folder::new());
    std::os::unix::fs::symlink(real.main_db(), linked.main_db()).unwrap();
    fs::create_dir(nested.main_db()).unwrap();
    for folder in [linked, nested] {
        let unfit = folder.unfit();
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
