//! Sealed segments that were moved to the archive are read there, and nothing is written there.
use super::damaged_log::{change, delete_index, events};
use crate::support::{TempFolder, files_below, keyed, ready};
use dbforge::domain::event::recorded::RecordedEvent;
use dbforge::domain::ids::Sequence;
use dbforge::event_log::EventLog;
use dbforge::event_log::disk::{DiskEventLog, OpenReport, Settings};
use dbforge::event_log::verify::{verify, verify_each};
use std::fs;
use std::path::Path;

fn open(folder: &Path) -> (DiskEventLog, OpenReport) {
    let settings = Settings {
        segment_bytes: 1000,
    };
    DiskEventLog::open(folder, settings).unwrap()
}

/// A log of several segments that was closed in order.
fn long_log() -> (TempFolder, Vec<RecordedEvent>, usize) {
    let folder = TempFolder::new();
    let (log, _) = open(folder.path());
    for n in 0..20 {
        log.append(Sequence(2 * n), vec![keyed(n, "k")]).unwrap();
    }
    log.close();
    let events = events(&log);
    drop(log);
    let segments = verify(folder.path()).unwrap().segments;
    assert!(segments > 5, "{segments}");
    (folder, events, segments)
}

fn archive(folder: &Path, segments: std::ops::RangeInclusive<usize>) {
    let archive = folder.join("journal/archive");
    fs::create_dir_all(&archive).unwrap();
    for number in segments {
        let name = format!("{number:08}.journal");
        fs::rename(folder.join("journal").join(&name), archive.join(&name)).unwrap();
    }
}

fn goes_on(folder: &Path, expected: &[RecordedEvent]) {
    let mut exported = Vec::new();
    verify_each(folder, |it| exported.push(it.clone())).unwrap();
    assert_eq!(exported, expected);
    let archived = files_below(&folder.join("journal/archive"));
    let (log, report) = open(folder);
    assert_eq!((report.healed(), &report.read_only), (None, &None));
    assert_eq!(events(&log), expected);
    for n in 0..10 {
        let end = log.head().sequence;
        log.append(end, vec![ready(1000 + n, 1)]).unwrap();
    }
    log.close();
    drop(log);
    assert_eq!(files_below(&folder.join("journal/archive")), archived);
    let (log, report) = open(folder);
    assert_eq!(report.findings, []);
    assert_eq!(events(&log).len(), expected.len() + 10);
    assert_eq!(verify(folder).unwrap().events as usize, expected.len() + 10);
}

#[test]
fn archived_segments_are_verified_exported_and_opened() {
    for count in [1, 3] {
        let (folder, expected, _) = long_log();
        archive(folder.path(), 1..=count);
        goes_on(folder.path(), &expected);
    }
}

#[test]
fn an_archive_behind_a_link_serves_to_make_the_index_again() {
    let (folder, expected, segments) = long_log();
    let elsewhere = TempFolder::new();
    let link = folder.path().join("journal/archive");
    std::os::unix::fs::symlink(elsewhere.path(), link).unwrap();
    archive(folder.path(), 1..=segments - 1);
    delete_index(folder.path());
    goes_on(folder.path(), &expected);
}

#[test]
fn the_last_segment_may_be_archived_too_and_a_new_one_is_begun() {
    let (folder, expected, segments) = long_log();
    archive(folder.path(), 1..=segments);
    goes_on(folder.path(), &expected);
}

#[test]
fn segments_are_archived_under_an_open_log() {
    let (folder, expected, segments) = long_log();
    delete_index(folder.path());
    let (log, _) = open(folder.path());
    archive(folder.path(), 1..=segments - 1);
    assert_eq!(events(&log), expected);
    log.append(log.head().sequence, vec![ready(1000, 1)])
        .unwrap();
    assert_eq!(
        verify(folder.path()).unwrap().events as usize,
        expected.len() + 1
    );
}

#[test]
fn a_damaged_or_lost_segment_of_the_archive_is_healed_from_the_index() {
    type Damage = fn(&Path);
    let damages: [Damage; 3] = [
        |segment| change(segment, |it| it[300] ^= 1),
        |segment| change(segment, |it| it.truncate(it.len() - 5)),
        |segment| fs::remove_file(segment).unwrap(),
    ];
    for damage in damages {
        for archived_last in [false, true] {
            let (folder, expected, segments) = long_log();
            let last = if archived_last { segments } else { 2 };
            archive(folder.path(), 1..=last);
            damage(
                &folder
                    .path()
                    .join(format!("journal/archive/{last:08}.journal")),
            );
            let (log, report) = open(folder.path());
            assert!(report.healed().is_some(), "{report:?}");
            assert_eq!(events(&log), expected);
            drop(log);
            assert_eq!(
                verify(folder.path()).unwrap().events as usize,
                expected.len()
            );
        }
    }
}
