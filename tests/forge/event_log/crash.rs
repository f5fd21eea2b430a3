//! The gateway is killed, or the disk fills up: what was answered is kept, what was not is gone.
use crate::support::{TempFolder, keyed, ready};
use dbforge::clock::Deadline;
use dbforge::domain::ids::Sequence;
use dbforge::event_log::disk::{DiskEventLog, Settings};
use dbforge::event_log::verify::verify;
use dbforge::event_log::{AppendError, EventLog};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Tells a test that it runs as the child of itself, and on which folder.
const CHILD_FOLDER: &str = "EVENT_LOG_CHILD_FOLDER";

/// This test program, to run one of its tests alone as a child.
fn child(test: &str, folder: &Path) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    // A write beyond the file-size limit then fails, where it would kill.
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(program)
        .args([
            "--exact",
            &format!("event_log::crash::{test}"),
            "--nocapture",
        ])
        .env(CHILD_FOLDER, folder)
        .stdout(Stdio::piped());
    command
}

fn child_folder() -> Option<std::ffi::OsString> {
    std::env::var_os(CHILD_FOLDER)
}

#[expect(clippy::print_stdout, reason = "a child speaks to its parent so")]
fn tell_parent(line: &str) {
    println!("{line}");
}

#[test]
fn whatever_was_answered_before_a_kill_is_kept() {
    if let Some(folder) = child_folder() {
        return append_until_killed(Path::new(&folder));
    }
    let folder = TempFolder::new();
    for round in 1..=10_u64 {
        let mut writer = child("whatever_was_answered_before_a_kill_is_kept", folder.path())
            .spawn()
            .unwrap();
        let deadline = Deadline::after(Duration::from_secs(60));
        let answers = BufReader::new(writer.stdout.take().unwrap());
        let mut answered = 0;
        let mut answers_left = 7 * round;
        for line in answers.lines() {
            assert!(!deadline.has_passed(), "the child does not append");
            // An answer that is still in the pipe when the kill comes counts as well.
            if let Some(sequence) = line.unwrap().strip_prefix("answered ") {
                answered = sequence.parse().unwrap();
                answers_left = answers_left.saturating_sub(1);
            }
            if answers_left == 0 {
                writer.kill().unwrap();
            }
        }
        writer.wait().unwrap();
        assert!(answered > 0);
        let (log, report) = DiskEventLog::open(folder.path(), Settings::default()).unwrap();
        assert_eq!((report.read_only.as_ref(), report.healed()), (None, None));
        assert!(log.head().sequence.0 >= answered, "{report:?}, {answered}");
        let events = log.read_after(Sequence(0), usize::MAX).unwrap();
        assert_eq!(events.len() as u64, log.head().sequence.0);
        drop(log);
        assert_eq!(verify(folder.path()).unwrap().events, events.len() as u64);
    }
}

fn append_until_killed(folder: &Path) {
    let (log, _) = DiskEventLog::open(
        folder,
        Settings {
            segment_bytes: 20_000,
        },
    )
    .unwrap();
    let mut end = log.head().sequence;
    loop {
        let events = log
            .append(end, vec![keyed(end.0, "k"), ready(end.0, 1)])
            .unwrap();
        end = events.last().unwrap().sequence;
        tell_parent(&format!("answered {end}"));
    }
}

#[test]
fn a_full_disk_keeps_nothing_of_a_group_and_a_later_append_works() {
    if let Some(folder) = child_folder() {
        return fill_the_disk(Path::new(&folder));
    }
    let folder = TempFolder::new();
    let test = "a_full_disk_keeps_nothing_of_a_group_and_a_later_append_works";
    let output = child(test, folder.path()).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("filled and freed"), "{shown}");
}

fn fill_the_disk(folder: &Path) {
    let (log, _) = DiskEventLog::open(folder, Settings::default()).unwrap();
    let mut end = Sequence(0);
    let mut append = || -> Result<(), AppendError> {
        let events = log.append(end, vec![keyed(end.0, "k"), ready(end.0, 1)])?;
        end = events.last().unwrap().sequence;
        Ok(())
    };
    while end_of_journal(folder) < 4_000 {
        append().unwrap();
    }
    let roomy = getrlimit(Resource::Fsize);
    let tight = Rlimit {
        current: Some(end_of_journal(folder) + 100),
        ..roomy
    };
    setrlimit(Resource::Fsize, tight).unwrap();
    let before = std::fs::read(folder.join("journal/00000001.journal")).unwrap();
    for _ in 0..2 {
        assert_eq!(append(), Err(AppendError::DiskFull));
    }
    assert_eq!(log.read_only(), None);
    let after = std::fs::read(folder.join("journal/00000001.journal")).unwrap();
    assert_eq!(after, before, "nothing of the group is kept");
    setrlimit(Resource::Fsize, roomy).unwrap();
    append().unwrap();
    let events = log.read_after(Sequence(0), usize::MAX).unwrap();
    assert_eq!(events.len() as u64, log.head().sequence.0);
    drop(log);
    assert_eq!(verify(folder).unwrap().events, events.len() as u64);
    tell_parent("filled and freed");
}

fn end_of_journal(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("journal/00000001.journal"))
        .unwrap()
        .len()
}
