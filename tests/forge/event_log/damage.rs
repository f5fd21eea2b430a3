//! Files that were cut, changed, zeroed or deleted: nothing is lost in silence, nothing panics.
use super::damaged_log::{
    append_pairs, change, cut_journal, delete_index, events, frame_starts, has_lost_nothing,
    is_read_only_with_a_prefix, journal, open, reseal, small,
};
use crate::support::{TempFolder, commit, files_below, keyed, ready, write_files};
use dbforge::domain::event::LogHealed;
use dbforge::domain::ids::Sequence;
use dbforge::event_log::disk::{DiskEventLog, OpenError, OpenFinding, Settings};
use dbforge::event_log::verify::{VerifyError, verify};
use dbforge::event_log::{AppendError, EventLog};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn a_log_that_was_closed_opens_without_findings() {
    let copy = small().damaged(|_| {});
    let report = has_lost_nothing(copy.path(), &small().events);
    assert_eq!(report.findings, []);
    assert_eq!(report.healed(), None);
}

#[test]
fn a_journal_cut_anywhere_in_its_last_two_frames_is_healed_from_the_index() {
    let starts = frame_starts();
    let end = starts[starts.len() - 1];
    for length in starts[starts.len() - 3]..end {
        let copy = small().damaged(|folder| cut_journal(folder, length));
        let (log, report) = open(copy.path());
        assert_eq!(report.read_only, None, "cut at {length}");
        assert!(report.healed().unwrap().contains("journal was restored"));
        assert_eq!(events(&log), small().events, "cut at {length}");
    }
}

#[test]
fn an_unfinished_write_that_nobody_was_told_of_is_cut() {
    let starts = frame_starts();
    let end = starts[starts.len() - 1];
    for length in starts[starts.len() - 3]..end {
        let copy = small().damaged(|folder| {
            cut_journal(folder, length);
            delete_index(folder);
            fs::remove_file(folder.join("HEAD")).unwrap();
        });
        assert_eq!(
            verify(copy.path()).unwrap().unfinished_bytes as usize,
            length - starts.iter().rfind(|it| **it <= length).unwrap()
        );
        let whole_frames = starts.iter().filter(|it| **it <= length).count() - 1;
        let kept = if whole_frames == 58 { 87 } else { 89 };
        let (log, report) = open(copy.path());
        assert_eq!(report.read_only, None);
        assert_eq!(report.healed(), None, "a crash is no damage");
        assert_eq!(events(&log), small().events[..kept], "cut at {length}");
        let cut = report
            .findings
            .iter()
            .any(|it| matches!(it, OpenFinding::TornTailCut { .. }));
        assert_eq!(cut, !starts.contains(&length), "cut at {length}");
        let end = Sequence(kept as u64);
        log.append(end, vec![ready(1000, 1)]).unwrap();
        assert_eq!(verify(copy.path()).unwrap().events as usize, kept + 1);
    }
}

#[test]
fn events_of_which_only_the_file_head_still_knows_make_the_log_read_only() {
    let starts = frame_starts();
    for length in starts[57..60].iter().flat_map(|it| [*it, it + 5, it + 40]) {
        let copy = small().damaged(|folder| {
            cut_journal(folder, length);
            delete_index(folder);
        });
        is_read_only_with_a_prefix(copy.path(), &small().events);
    }
}

#[test]
fn a_journal_changed_anywhere_is_healed_from_the_index_and_kept_aside() {
    let length = frame_starts()[60];
    for at in (0..length).step_by(149) {
        let copy = small().damaged(|folder| change(&journal(folder), |it| it[at] ^= 0x40));
        assert!(
            matches!(verify(copy.path()), Err(VerifyError::Damaged { .. })) || at > length - 300
        );
        let damaged = fs::read(journal(copy.path())).unwrap();
        let report = has_lost_nothing(copy.path(), &small().events);
        let aside = report.findings.iter().find_map(|it| match it {
            OpenFinding::JournalHealed { aside, .. } => aside.clone(),
            _ => None,
        });
        assert_eq!(
            fs::read(aside.unwrap().join("00000001.journal")).unwrap(),
            damaged
        );
    }
}

#[test]
fn a_journal_with_a_hole_is_healed_from_the_index() {
    let damages: [fn(&mut Vec<u8>); 5] = [
        |it| it[3000..6000].fill(0),
        |it| it.fill(0),
        |it| drop(it.drain(3000..6000)),
        |it| it.clear(),
        |it| it.extend([0xDB; 3000]),
    ];
    for (index, damage) in damages.into_iter().enumerate() {
        let copy = small().damaged(|folder| change(&journal(folder), damage));
        let report = has_lost_nothing(copy.path(), &small().events);
        assert_eq!(report.healed().is_some(), index < 4, "{report:?}");
    }
}

#[test]
fn a_deleted_journal_is_written_again_from_the_index() {
    let copy = small().damaged(|folder| fs::remove_dir_all(folder.join("journal")).unwrap());
    let report = has_lost_nothing(copy.path(), &small().events);
    assert!(matches!(
        report.findings[0],
        OpenFinding::JournalHealed { aside: None, .. }
    ));
}

#[test]
fn a_deleted_index_is_made_again_and_changes_nothing() {
    let copy = small().damaged(delete_index);
    let report = has_lost_nothing(copy.path(), &small().events);
    assert_eq!(report.findings, [OpenFinding::IndexMade { commits: 60 }]);
    assert_eq!(report.healed(), None);
}

#[test]
fn a_damaged_or_lost_head_file_costs_nothing() {
    let damages: [fn(&mut Vec<u8>); 4] = [
        |it| it[0] ^= 1,
        |it| it[40] = b'0',
        |it| it.clear(),
        |it| it.fill(0xff),
    ];
    for damage in damages {
        let copy = small().damaged(|folder| change(&folder.join("HEAD"), damage));
        let report = has_lost_nothing(copy.path(), &small().events);
        assert!(report.healed().unwrap().contains("HEAD"), "{report:?}");
    }
    let copy = small().damaged(|folder| fs::remove_file(folder.join("HEAD")).unwrap());
    assert_eq!(has_lost_nothing(copy.path(), &small().events).findings, []);
}

#[test]
fn two_copies_damaged_in_different_places_heal_each_other() {
    // The index ends early; the journal has a hole before that.
    let early = TempFolder::new();
    let (log, _) = open(early.path());
    append_pairs(&log, 10);
    log.close();
    drop(log);
    let copy = small().damaged(|folder| {
        delete_index(folder);
        write_files(
            &files_below(&early.path().join("events.sled")),
            &folder.join("events.sled"),
        );
        change(&journal(folder), |it| it[1000..1500].fill(7));
    });
    has_lost_nothing(copy.path(), &small().events);
}

#[test]
fn two_copies_damaged_in_one_place_open_read_only_on_the_longest_history() {
    let starts = frame_starts();
    for frame in [0, 1, 30, 57] {
        let copy = small().damaged(|folder| {
            delete_index(folder);
            change(&journal(folder), |it| it[starts[frame] + 50] ^= 1);
        });
        let kept = is_read_only_with_a_prefix(copy.path(), &small().events);
        let before = frame / 2 * 3 + frame % 2 * 2;
        assert_eq!(kept, before, "everything before frame {frame}");
        let reason = open(copy.path()).1.read_only.unwrap();
        let shown = format!("of 90 events, {kept} verify in either copy");
        assert!(reason.ends_with(&shown), "{reason}");
        let again = is_read_only_with_a_prefix(copy.path(), &small().events);
        assert_eq!(again, kept, "opening it again changes nothing");
    }
}

#[test]
fn a_large_commit_is_in_the_journal_alone_so_its_damage_makes_the_log_read_only() {
    let folder = TempFolder::new();
    let (log, _) = open(folder.path());
    let detail = "large ".repeat(5_000);
    log.append(Sequence(0), vec![ready(1, 1)]).unwrap();
    log.append(
        Sequence(1),
        vec![commit(2, vec![LogHealed { detail }.into()])],
    )
    .unwrap();
    log.append(Sequence(2), vec![ready(3, 1)]).unwrap();
    log.close();
    let expected = events(&log);
    drop(log);
    change(&journal(folder.path()), |it| it[20_000] ^= 1);
    assert_eq!(is_read_only_with_a_prefix(folder.path(), &expected), 1);
    change(&journal(folder.path()), |it| it[20_000] ^= 1);
    assert_eq!(
        events(&open(folder.path()).0),
        expected,
        "once it is put right"
    );
}

#[test]
fn a_missing_segment_is_healed_from_the_index() {
    let folder = TempFolder::new();
    let settings = Settings {
        segment_bytes: 1000,
    };
    let (log, _) = DiskEventLog::open(folder.path(), settings).unwrap();
    for n in 0..20 {
        log.append(Sequence(2 * n), vec![keyed(n, "k")]).unwrap();
    }
    log.close();
    let expected = events(&log);
    drop(log);
    let segments = verify(folder.path()).unwrap().segments;
    assert!(segments > 5, "{segments}");
    for number in [1, 3, segments] {
        let copy = TempFolder::new();
        write_files(&files_below(folder.path()), copy.path());
        fs::remove_file(copy.path().join(format!("journal/{number:08}.journal"))).unwrap();
        let (log, report) = DiskEventLog::open(copy.path(), settings).unwrap();
        assert!(report.healed().is_some(), "{report:?}");
        assert_eq!(events(&log), expected);
        drop(log);
        assert!(verify(copy.path()).unwrap().segments > 5);
    }
}

#[test]
fn an_exchange_of_journals_that_a_crash_interrupted_is_ended() {
    let unfinished = small().damaged(|folder| {
        fs::create_dir(folder.join("journal.new")).unwrap();
        fs::write(folder.join("journal.new/00000001.journal"), "unfinished").unwrap();
    });
    has_lost_nothing(unfinished.path(), &small().events);
    let finished = small().damaged(|folder| {
        fs::rename(folder.join("journal"), folder.join("journal.new")).unwrap();
    });
    let report = has_lost_nothing(finished.path(), &small().events);
    assert_eq!(report.findings, []);
}

#[test]
fn an_event_changed_together_with_its_checksum_is_found_by_verifying() {
    let starts = frame_starts();
    let copy = small().damaged(|folder| {
        change(&journal(folder), |bytes| {
            let frame = &mut bytes[starts[20]..starts[21]];
            let at = frame.len() - 33;
            frame[at] ^= 1; // the last byte of the event's data
            reseal(frame);
        });
    });
    match verify(copy.path()) {
        Err(VerifyError::Damaged { damage, last_good }) => {
            assert_eq!(
                (damage.at.segment, damage.at.offset as usize),
                (1, starts[20])
            );
            assert_eq!(last_good.sequence, Sequence(30));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_log_of_a_later_program_is_neither_cut_nor_healed() {
    let starts = frame_starts();
    let copy = small().damaged(|folder| {
        change(&journal(folder), |bytes| {
            let frame = &mut bytes[starts[59]..starts[60]];
            let kind = frame.windows(4).rposition(|it| it == [4, 0, 1, 0]).unwrap();
            frame[kind] = 99;
            reseal(frame);
        });
    });
    assert_eq!(is_read_only_with_a_prefix(copy.path(), &small().events), 90);
    assert!(
        open(copy.path())
            .1
            .read_only
            .unwrap()
            .contains("event kind 99")
    );
}

#[test]
fn a_second_gateway_is_turned_away() {
    let copy = small().damaged(|_| {});
    let (log, _) = open(copy.path());
    let second = DiskEventLog::open(copy.path(), Settings::default());
    assert!(matches!(second, Err(OpenError::InUse { .. })));
    verify(copy.path()).unwrap();
    drop(log);
    open(copy.path());
}

#[test]
fn a_failed_sync_is_final() {
    let folder = TempFolder::new();
    fs::create_dir(folder.path().join("journal")).unwrap();
    // Takes every write and cannot be synced.
    std::os::unix::fs::symlink("/dev/null", journal(folder.path())).unwrap();
    let (log, _) = open(folder.path());
    for _ in 0..2 {
        let refused = log.append(Sequence(0), vec![ready(1, 1)]);
        assert!(
            matches!(&refused, Err(AppendError::ReadOnly { reason }) if reason.contains("failed to sync")),
            "{refused:?}"
        );
        assert_eq!(log.head().sequence, Sequence(0));
        assert!(events(&log).is_empty());
    }
    assert!(log.read_only().unwrap().contains("failed to sync"));
}

#[test]
fn a_failed_write_that_cannot_be_taken_back_is_final() {
    let folder = TempFolder::new();
    fs::create_dir(folder.path().join("journal")).unwrap();
    // Takes no write and cannot be cut.
    std::os::unix::fs::symlink("/dev/full", journal(folder.path())).unwrap();
    let (log, _) = open(folder.path());
    let refused = log.append(Sequence(0), vec![ready(1, 1)]);
    assert!(
        matches!(&refused, Err(AppendError::ReadOnly { reason }) if reason.contains("failed to roll back")),
        "{refused:?}"
    );
}

/// The files of the index, the same in every copy.
fn index_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join("events.sled"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.is_file())
        .collect();
    files.sort();
    files
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_damaged_anywhere_costs_no_event(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        length in 1..5_000_usize,
        how in 0..4,
    ) {
        let copy = small().damaged(|folder| {
            let files = index_files(folder);
            let path = file.get(&files);
            if how == 3 {
                fs::remove_file(path).unwrap();
                return;
            }
            change(path, |bytes| {
                let start = if bytes.is_empty() { 0 } else { at.index(bytes.len()) };
                let end = (start + length).min(bytes.len());
                match how {
                    0 => bytes[start..end].fill(0),
                    1 => bytes[start..end].iter_mut().for_each(|it| *it ^= 0x55),
                    _ => bytes.truncate(start),
                }
            });
        });
        has_lost_nothing(copy.path(), &small().events);
    }
}

#[test]
fn a_larger_index_cut_anywhere_is_made_again_and_its_panics_are_caught() {
    let folder = TempFolder::new();
    let (log, _) = open(folder.path());
    append_pairs(&log, 700);
    log.close();
    let expected = events(&log);
    drop(log);
    let files = files_below(folder.path());
    let mut panicked = false;
    for part in 1..6 {
        let copy = TempFolder::new();
        write_files(&files, copy.path());
        change(&copy.path().join("events.sled/db"), |bytes| {
            bytes.truncate(bytes.len() * part / 6);
        });
        let report = has_lost_nothing(copy.path(), &expected);
        panicked |= report
            .healed()
            .is_some_and(|it| it.contains("sled panicked"));
    }
    assert!(panicked, "one of these cuts makes sled panic");
}
