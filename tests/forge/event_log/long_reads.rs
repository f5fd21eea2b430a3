//! The history is read in the journal, and in the index where the journal cannot be read.
use super::damaged_log::{append_pairs, change, events, journal, open};
use crate::support::TempFolder;
use dbforge::domain::event::recorded::RecordedEvent;
use dbforge::domain::ids::Sequence;
use dbforge::event_log::EventLog;
use dbforge::event_log::disk::DiskEventLog;
use std::fs;

const PAIRS: u64 = 500;

/// A log of 1,500 events that was closed and opened again, so that the index has none in memory.
fn reopened() -> (TempFolder, DiskEventLog) {
    let folder = TempFolder::in_memory();
    let (log, _) = open(folder.path());
    append_pairs(&log, PAIRS);
    drop(log);
    let (log, report) = open(folder.path());
    assert_eq!(report.findings, []);
    (folder, log)
}

fn in_small_pieces(log: &DiskEventLog) -> Vec<RecordedEvent> {
    let mut found = Vec::new();
    for after in (0..3 * PAIRS).step_by(100) {
        found.extend(log.read_after(Sequence(after), 100).unwrap());
    }
    found
}

#[test]
fn a_long_read_gives_what_short_ones_give() {
    let (_folder, log) = reopened();
    let all = in_small_pieces(&log);
    assert_eq!(all.len(), 1500);
    assert_eq!(events(&log), all);
    assert_eq!(log.read_after(Sequence(301), 1000).unwrap(), all[301..1301]);
    assert_eq!(log.read_after(Sequence(400), 5000).unwrap(), all[400..]);
}

#[test]
fn no_read_by_sequence_asks_the_index_and_one_of_a_stream_does() {
    let (folder, log) = reopened();
    let index = folder.path().join("events.sled");
    change(&index.join("db"), |it| it.fill(0));
    let is_distrusted = || folder.path().join("events.sled.distrusted").exists();
    let long = events(&log);
    assert_eq!(in_small_pieces(&log), long);
    assert!(!is_distrusted());
    let stream = long[700].event.stream();
    let of_stream = log.read_stream(stream, Sequence(0), 1000).unwrap();
    assert!(of_stream.contains(&long[700]));
    assert!(is_distrusted());
}

#[test]
fn a_read_finds_in_the_index_what_the_journal_does_not_give() {
    let (folder, log) = reopened();
    let all = in_small_pieces(&log);
    let half = fs::metadata(journal(folder.path())).unwrap().len() / 2;
    let half = usize::try_from(half).unwrap();
    change(&journal(folder.path()), |it| it[half..half + 100].fill(0));
    assert_eq!(events(&log), all);
    assert_eq!(in_small_pieces(&log), all);
    let sequences: Vec<_> = all.iter().map(|it| it.sequence).step_by(9).collect();
    let here_and_there: Vec<_> = all.iter().step_by(9).cloned().collect();
    assert_eq!(log.read_each(&sequences).unwrap(), here_and_there);
    assert_eq!(log.read_only(), None);
}
