//! The power goes at every moment of a short story: what was acknowledged is there afterwards.
use super::disk_trace;
use super::disk_trace::{Act, Disk, Files, Unsynced};
use crate::support::{TempFolder, keyed, ready};
use dbforge::domain::event::recorded::RecordedEvent;
use dbforge::domain::ids::Sequence;
use dbforge::event_log::EventLog;
use dbforge::event_log::disk::{DiskEventLog, Settings};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Tells the test that it runs as the traced child of itself, and on which folder.
const CHILD_FOLDER: &str = "POWER_LOSS_CHILD_FOLDER";

const HOW: [Unsynced; 6] = [
    Unsynced::Dropped,
    Unsynced::Kept,
    Unsynced::LastTorn,
    Unsynced::Zeros,
    Unsynced::KeptButTheJournal,
    Unsynced::KeptOfTheJournal,
];

/// Small enough that the story seals segments.
const SETTINGS: Settings = Settings {
    segment_bytes: 2_500,
};

/// The log is made, takes groups, seals segments, is closed, opened again, and takes more.
fn story(folder: &Path) {
    let mut end = Sequence(0);
    for round in 0..2 {
        let (log, _) = DiskEventLog::open(folder, SETTINGS).unwrap();
        for n in 0..8 {
            let n = round * 100 + n;
            let group = vec![keyed(n, &format!("key-{n}")), ready(n, n % 3)];
            let events = log.append(end, group).unwrap();
            end = events.last().unwrap().sequence;
            tell_parent(&format!("answered {end}"));
        }
        log.close();
    }
}

#[expect(clippy::print_stdout, reason = "a child speaks to its parent so")]
fn tell_parent(line: &str) {
    println!("{line}");
}

#[test]
fn a_power_loss_at_any_moment_keeps_everything_that_was_acknowledged() {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        return story(Path::new(&folder));
    }
    let (acts, expected) = trace();
    let found = lose_power_everywhere(acts, expected);
    assert_eq!(found, Ok(()));
}

/// What the test above would say of a log that forgets a sync.
#[test]
fn a_log_without_the_syncs_of_its_journal_would_be_found_out() {
    let (acts, expected) = trace();
    let segment = Path::new("journal/00000002.journal");
    for forgotten in [segment, Path::new("journal")] {
        let is_other =
            |it: &&Act| !matches!(it, Act::SyncEnded(path, _) if path.as_path() == forgotten);
        let others: Vec<Act> = acts.iter().filter(is_other).cloned().collect();
        assert!(others.len() < acts.len());
        let found = lose_power_everywhere(&others, expected);
        assert!(found.is_err(), "no sync of {}", forgotten.display());
    }
}

fn lose_power_everywhere(acts: &[Act], expected: &[RecordedEvent]) -> Result<(), String> {
    let mut disk = Disk::default();
    let mut answered = 0;
    let mut tried: BTreeSet<(u64, Files)> = BTreeSet::new();
    for (n, act) in acts.iter().enumerate() {
        disk.follow(act);
        if let Act::Said(line) = act
            && let Some(sequence) = line.strip_prefix("answered ")
        {
            answered = sequence.parse().unwrap();
        }
        for how in HOW {
            let left = disk.after_power_loss(how);
            if !tried.contains(&(answered, left.clone())) {
                opens_with(&left, answered, expected)
                    .map_err(|it| format!("{how:?} behind act {n}, {act:.200?}: {it}"))?;
                tried.insert((answered, left));
            }
        }
    }
    assert_eq!(answered as usize, expected.len());
    assert!(tried.len() > 100, "{} different disks", tried.len());
    Ok(())
}

/// Tells the story under strace. Returns what happened on the disk and the events it led to.
fn trace() -> (&'static [Act], &'static [RecordedEvent]) {
    static TRACE: OnceLock<(Vec<Act>, Vec<RecordedEvent>)> = OnceLock::new();
    let (acts, events) = TRACE.get_or_init(record);
    (acts, events)
}

fn record() -> (Vec<Act>, Vec<RecordedEvent>) {
    let outside = TempFolder::new();
    let folder = outside.path().join("forge");
    fs::create_dir(&folder).unwrap();
    let trace = outside.path().join("trace");
    let test =
        "recovery::power_loss::a_power_loss_at_any_moment_keeps_everything_that_was_acknowledged";
    let status = Command::new("strace")
        .args(["-f", "-y", "-xx", "-qqq", "--signal=none"])
        .args(["-s", "4194304", "-o"])
        .arg(&trace)
        .arg(format!("--trace={}", disk_trace::CALLS))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD_FOLDER, &folder)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let acts = disk_trace::read(&fs::read_to_string(&trace).unwrap(), &folder);
    let (log, _) = DiskEventLog::open(&folder, SETTINGS).unwrap();
    (acts, log.read_after(Sequence(0), usize::MAX).unwrap())
}

fn opens_with(left: &Files, answered: u64, expected: &[RecordedEvent]) -> Result<(), String> {
    let folder = TempFolder::in_memory();
    for (path, content) in left {
        let path = folder.path().join(path);
        match content {
            None => fs::create_dir_all(&path).unwrap(),
            Some(content) => fs::write(&path, content).unwrap(),
        }
    }
    let (log, report) = DiskEventLog::open(folder.path(), SETTINGS).unwrap();
    let events = log.read_after(Sequence(0), usize::MAX).unwrap();
    let count = events.len();
    if report.read_only.is_some() || (count as u64) < answered || events != expected[..count] {
        return Err(format!(
            "{count} events where {answered} were acknowledged: {report:?}"
        ));
    }
    Ok(())
}
