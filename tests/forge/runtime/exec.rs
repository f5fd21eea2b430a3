//! `dbforge worker exec`: what a worker's program begins with.
use crate::support::TempFolder;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

fn exec(folder: &Path, options: &[&str], program: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dbforge"));
    command
        .args(["worker", "exec", "--lock"])
        .arg(folder.join("lock"))
        .args(options)
        .arg("--")
        .args(program);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_program_is_the_same_process_and_holds_the_lock() {
    let folder = TempFolder::new();
    let script = "echo $$; flock -n lock true || echo locked; umask; ulimit -c; ulimit -d";
    let script = ["/bin/sh", "-c", script];
    let mut child = exec(folder.path(), &["--data-bytes", "104857600"], &script);
    let child = child
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let process = child.id();
    let output = child.wait_with_output().unwrap();
    let expected = format!("{process}\nlocked\n0077\n0\n102400\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let named = fs::read_to_string(folder.path().join("lock")).unwrap();
    assert_eq!(named, format!("{process}\n"));
    let lock = File::open(folder.path().join("lock")).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
}

#[test]
fn a_locked_folder_is_told_and_the_program_is_not_started() {
    let folder = TempFolder::new();
    let lock = File::create(folder.path().join("lock")).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    let left = folder.path().join("server.pid");
    fs::write(&left, "1").unwrap();
    let remove = ["--remove", left.to_str().unwrap()];
    let output = exec(folder.path(), &remove, &["/bin/echo", "started"]);
    let output = { output }.output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    assert!(said(&output).contains("the database's folder is in use"));
    assert!(left.exists(), "it belongs to the one that runs");
}

#[test]
fn a_lock_that_is_released_meanwhile_is_waited_for() {
    let folder = TempFolder::new();
    let lock = File::create(folder.path().join("lock")).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    let mut waiting = exec(folder.path(), &[], &["/bin/true"]).spawn().unwrap();
    while !has_open(waiting.id(), "lock") {
        assert_eq!(waiting.try_wait().unwrap(), None);
        std::thread::yield_now();
    }
    drop(lock);
    assert!(waiting.wait().unwrap().success());
}

fn has_open(process: u32, name: &str) -> bool {
    let open = fs::read_dir(format!("/proc/{process}/fd"));
    let mut open = open.into_iter().flatten().flatten();
    open.any(|entry| fs::read_link(entry.path()).is_ok_and(|file| file.ends_with(name)))
}

#[test]
fn a_lock_that_is_a_link_is_not_followed() {
    let folder = TempFolder::new();
    let elsewhere = folder.path().join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, folder.path().join("lock")).unwrap();
    let output = exec(folder.path(), &[], &["/bin/true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(!elsewhere.exists());
}

#[test]
fn a_missing_program_is_named() {
    let folder = TempFolder::new();
    let output = exec(folder.path(), &[], &["/no/such/program"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output).contains("cannot start `/no/such/program`"));
}

#[test]
fn without_its_parent_a_program_is_not_started() {
    let folder = TempFolder::new();
    let options = ["--parent", "1", "--end-with", "SIGTERM"];
    let output = exec(folder.path(), &options, &["/bin/echo", "started"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    assert!(said(&output).contains("the gateway that started it has ended"));
}
