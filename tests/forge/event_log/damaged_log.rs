//! A log on disk to be damaged in copies, and what must be true of it afterwards.
use crate::support::{TempFolder, database, files_below, keyed, ready, write_files};
use dbforge::domain::event::Stream;
use dbforge::domain::event::recorded::{KeyOwner, RecordedEvent};
use dbforge::domain::ids::{Actor, Sequence};
use dbforge::event_log::disk::{DiskEventLog, OpenReport, Settings};
use dbforge::event_log::verify::verify;
use dbforge::event_log::{AppendError, EventLog};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A log that was closed in order, to be damaged in copies.
pub(crate) struct Original {
    files: Vec<(PathBuf, Vec<u8>)>,
    pub(crate) events: Vec<RecordedEvent>,
}

/// Sixty commits in one segment, all small enough to be in both copies.
pub(crate) fn small() -> &'static Original {
    static LOG: OnceLock<Original> = OnceLock::new();
    LOG.get_or_init(|| {
        let folder = TempFolder::new();
        let (log, _) = open(folder.path());
        append_pairs(&log, 30);
        log.close();
        let events = events(&log);
        drop(log);
        let files = files_below(folder.path());
        Original { files, events }
    })
}

/// Two commits each time, three events.
pub(crate) fn append_pairs(log: &DiskEventLog, times: u64) {
    for n in 0..times {
        let group = vec![keyed(2 * n, &format!("key-{n}")), ready(2 * n + 1, n % 3)];
        log.append(Sequence(3 * n), group).unwrap();
    }
}

impl Original {
    /// A copy with this damage.
    pub(crate) fn damaged(&self, damage: impl FnOnce(&Path)) -> TempFolder {
        let copy = TempFolder::in_memory();
        write_files(&self.files, copy.path());
        damage(copy.path());
        copy
    }
}

pub(crate) fn open(folder: &Path) -> (DiskEventLog, OpenReport) {
    DiskEventLog::open(folder, Settings::default()).unwrap()
}

pub(crate) fn events(log: &DiskEventLog) -> Vec<RecordedEvent> {
    log.read_after(Sequence(0), usize::MAX).unwrap()
}

pub(crate) fn journal(folder: &Path) -> PathBuf {
    folder.join("journal/00000001.journal")
}

pub(crate) fn change(path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    how(&mut bytes);
    fs::write(path, bytes).unwrap();
}

pub(crate) fn cut_journal(folder: &Path, length: usize) {
    change(&journal(folder), |bytes| bytes.truncate(length));
}

pub(crate) fn delete_index(folder: &Path) {
    fs::remove_dir_all(folder.join("events.sled")).unwrap();
}

/// Where each frame of the small log begins, and its end.
pub(crate) fn frame_starts() -> Vec<usize> {
    let copy = small().damaged(|_| {});
    let bytes = fs::read(journal(copy.path())).unwrap();
    let mut starts = vec![0];
    let mut at = 0;
    while let Some(length) = bytes.get(at + 2..at + 6) {
        at += 10 + u32::from_le_bytes(length.try_into().unwrap()) as usize;
        starts.push(at);
    }
    starts
}

/// The log has every event, answers every question, takes a new one, and opens again with it.
pub(crate) fn has_lost_nothing(folder: &Path, expected: &[RecordedEvent]) -> OpenReport {
    let (log, report) = open(folder);
    assert_eq!(report.read_only, None, "{report:?}");
    assert_eq!(events(&log), expected);
    for n in 0..3 {
        let stream = Stream::Database(database(n));
        let of_stream: Vec<_> = expected
            .iter()
            .filter(|it| it.event.stream() == stream)
            .cloned()
            .collect();
        assert_eq!(
            log.read_stream(stream, Sequence(0), usize::MAX).unwrap(),
            of_stream
        );
    }
    let found = log
        .find_idempotent(&KeyOwner::Actor(Actor::named("root")), "key-7")
        .unwrap();
    assert_eq!(found.as_deref(), Some(&expected[21..23]));
    let end = log.head().sequence;
    log.append(end, vec![ready(1000, 1)]).unwrap();
    drop(log);
    let (log, again) = open(folder);
    assert_eq!(again.read_only, None);
    assert_eq!(events(&log).len(), expected.len() + 1);
    drop(log);
    assert_eq!(verify(folder).unwrap().events as usize, expected.len() + 1);
    report
}

/// The log has a part of the history, says why, and takes nothing.
pub(crate) fn is_read_only_with_a_prefix(folder: &Path, expected: &[RecordedEvent]) -> usize {
    let before = fs::read(journal(folder)).ok();
    let (log, report) = open(folder);
    assert!(report.read_only.is_some(), "{report:?}");
    assert_eq!(report.read_only, log.read_only());
    let kept = events(&log);
    assert_eq!(kept, expected[..kept.len()]);
    assert_eq!(log.head(), report.head);
    assert_eq!(report.head.sequence.0, kept.len() as u64);
    assert!(matches!(
        log.append(log.head().sequence, vec![ready(1000, 1)]),
        Err(AppendError::ReadOnly { .. })
    ));
    let stream = Stream::Database(database(1));
    let of_stream: Vec<_> = kept
        .iter()
        .filter(|it| it.event.stream() == stream)
        .cloned()
        .collect();
    assert_eq!(
        log.read_stream(stream, Sequence(0), usize::MAX).unwrap(),
        of_stream
    );
    let keyed = log
        .find_idempotent(&KeyOwner::Actor(Actor::named("root")), "key-7")
        .unwrap();
    assert_eq!(keyed.is_some(), kept.len() > 22);
    log.close();
    drop(log);
    assert_eq!(fs::read(journal(folder)).ok(), before, "nothing is changed");
    kept.len()
}

/// Puts the right checksum on a changed frame.
pub(crate) fn reseal(frame: &mut [u8]) {
    let covered = [&frame[..6], &frame[10..]].concat();
    let crc = crc32c::crc32c(&covered).to_le_bytes();
    frame[6..10].copy_from_slice(&crc);
}
