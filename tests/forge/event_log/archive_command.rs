//! `dbforge log archive` compresses sealed segments, and everything reads them where they are.
use super::damaged_log::{change, delete_index, events};
use crate::support::cli::{Dbforge, Ended};
use crate::support::{TempFolder, files_below, keyed, ready};
use dbforge::domain::event::recorded::RecordedEvent;
use dbforge::domain::ids::Sequence;
use dbforge::event_log::EventLog;
use dbforge::event_log::archive::{ArchiveError, Archiver};
use dbforge::event_log::disk::{DiskEventLog, OpenError, OpenReport, Segments, Settings};
use dbforge::event_log::verify::{verify, verify_each};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

fn open(forge_dir: &Path) -> (DiskEventLog, OpenReport) {
    let settings = Settings {
        segment_bytes: 1000,
    };
    DiskEventLog::open(forge_dir, settings).unwrap()
}

/// A data folder whose log has several segments and was closed in order.
struct Data {
    folder: TempFolder,
    events: Vec<RecordedEvent>,
    segments: usize,
}

impl Data {
    fn new() -> Self {
        let data = Self::with_commits(20);
        assert!(data.segments > 5, "{}", data.segments);
        data
    }

    fn with_commits(commits: u64) -> Self {
        let folder = TempFolder::in_memory();
        let forge_dir = folder.path().join(".forge");
        let (log, _) = open(&forge_dir);
        for n in 0..commits {
            log.append(Sequence(2 * n), vec![keyed(n, "k")]).unwrap();
        }
        log.close();
        let events = events(&log);
        drop(log);
        let segments = verify(&forge_dir).unwrap().segments;
        Self {
            folder,
            events,
            segments,
        }
    }

    fn forge_dir(&self) -> PathBuf {
        self.folder.path().join(".forge")
    }

    fn archived(&self, number: usize) -> PathBuf {
        let name = format!("journal/archive/{number:08}.journal.zst");
        self.forge_dir().join(name)
    }

    fn run(&self, args: &[&str]) -> Ended {
        Dbforge::with(args).data_dir(self.folder.path()).run()
    }

    fn archive(&self) -> String {
        self.run(&["log", "archive"]).well()
    }

    /// Everything that reads the log reads all of it, and it goes on.
    fn assert_whole(&self) {
        let mut exported = Vec::new();
        verify_each(&self.forge_dir(), |it| exported.push(it.clone())).unwrap();
        assert_eq!(exported, self.events);
        let (log, report) = open(&self.forge_dir());
        assert_eq!((report.healed(), &report.read_only), (None, &None));
        assert_eq!(events(&log), self.events);
        for (at, event) in self.events.iter().enumerate() {
            let one = log.read_after(Sequence(at as u64), 1).unwrap();
            assert_eq!(one.first(), Some(event));
        }
        for step in [1, 2, 5, 9] {
            let wanted: Vec<_> = self.events.iter().step_by(step).cloned().collect();
            let sequences: Vec<_> = wanted.iter().map(|it| it.sequence).collect();
            assert_eq!(log.read_each(&sequences).unwrap(), wanted);
        }
    }
}

#[test]
fn every_sealed_segment_is_compressed_and_read_where_it_is() {
    let data = Data::new();
    let told = data.archive();
    assert_eq!(told.lines().count(), data.segments - 1, "{told}");
    assert!(told.starts_with("00000001.journal: "), "{told}");
    let mut in_journal = files_below(&data.forge_dir().join("journal"));
    in_journal.retain(|(name, _)| !name.starts_with("archive"));
    let last = format!("{:08}.journal", data.segments);
    assert_eq!(in_journal.len(), 1);
    assert_eq!(in_journal[0].0, Path::new(&last));
    let mode = fs::metadata(data.archived(1)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    data.assert_whole();
    delete_index(&data.forge_dir());
    data.assert_whole();
    let archived = files_below(&data.forge_dir().join("journal/archive"));
    let (log, report) = open(&data.forge_dir());
    let segments = Segments {
        all: data.segments,
        archived: data.segments - 1,
    };
    assert_eq!(report.segments, segments);
    for n in 0..10 {
        let end = log.head().sequence;
        log.append(end, vec![ready(1000 + n, 1)]).unwrap();
    }
    drop(log);
    assert_eq!(
        files_below(&data.forge_dir().join("journal/archive")),
        archived
    );

    let verified = data.run(&["log", "verify"]).well();
    let archived = format!(
        "archived: {} of the {} files, the events up to ",
        data.segments - 1,
        verify(&data.forge_dir()).unwrap().segments
    );
    assert!(verified.contains(&archived), "{verified}");
    let told = data.run(&["doctor"]).out;
    assert!(
        told.contains("files are archived, the events up to"),
        "{told}"
    );
}

#[test]
fn the_newest_are_kept_when_that_is_said_and_a_second_run_does_the_rest() {
    let data = Data::new();
    let told = data.run(&["log", "archive", "--keep", "2"]).well();
    assert_eq!(told.lines().count(), data.segments - 3, "{told}");
    data.assert_whole();
    assert_eq!(data.archive().lines().count(), 2);
    let again = data.run(&["log", "archive"]);
    assert!(again.err.contains("nothing to archive"), "{again:#?}");
    assert_eq!(again.well(), "");
    data.assert_whole();
}

#[test]
fn what_was_moved_to_the_archive_by_hand_is_compressed_there() {
    let data = Data::new();
    let journal = data.forge_dir().join("journal");
    fs::create_dir(journal.join("archive")).unwrap();
    for name in ["00000001.journal", "00000002.journal"] {
        fs::rename(journal.join(name), journal.join("archive").join(name)).unwrap();
    }
    data.archive();
    assert!(!journal.join("archive/00000001.journal").exists());
    data.assert_whole();
}

#[test]
fn segments_are_archived_under_an_open_log() {
    let data = Data::new();
    let (log, _) = open(&data.forge_dir());
    data.archive();
    assert_eq!(events(&log), data.events);
    log.append(log.head().sequence, vec![ready(1000, 1)])
        .unwrap();
    drop(log);
    let events = verify(&data.forge_dir()).unwrap().events;
    assert_eq!(events as usize, data.events.len() + 1);
}

#[test]
fn killed_at_any_call_it_leaves_the_log_whole_and_goes_on_when_it_is_run_again() {
    for call in ["write", "fsync", "rename", "unlink"] {
        let mut kills = 0;
        loop {
            let data = Data::with_commits(5);
            let mut strace = Command::new("strace");
            strace
                .args(["-D", "-f", "-qqq", "-o", "/dev/null", "--signal=none"])
                .arg(format!("--trace={call}"))
                .arg(format!("--inject={call}:signal=SIGKILL:when={}", kills + 1))
                .arg(env!("CARGO_BIN_EXE_dbforge"))
                .args(["log", "archive"])
                .env("DBFORGE_DATA_DIR", data.folder.path());
            let ended = strace.output().unwrap().status;
            data.assert_whole();
            if ended.success() {
                break;
            }
            kills += 1;
            data.archive();
            data.assert_whole();
            let left: Vec<_> = files_below(&data.forge_dir().join("journal"))
                .into_iter()
                .filter(|(name, _)| name.extension().is_some_and(|it| it == "new"))
                .collect();
            assert_eq!(left, [], "{call} {kills}");
        }
        assert!(kills >= 2, "{call}: killed {kills} times");
    }
}

#[test]
fn a_disk_that_takes_nothing_more_leaves_the_log_whole_and_no_remains() {
    for call in ["write", "fsync", "rename"] {
        let data = Data::with_commits(5);
        let mut strace = Command::new("strace");
        strace
            .args(["-D", "-f", "-qqq", "-o", "/dev/null", "--signal=none"])
            .arg(format!("--trace={call}"))
            .arg("--trace-path")
            .arg(data.archived(1).with_extension("zst.new"))
            .arg(format!("--inject={call}:error=ENOSPC"))
            .arg(env!("CARGO_BIN_EXE_dbforge"))
            .args(["log", "archive"])
            .env("DBFORGE_DATA_DIR", data.folder.path());
        let ended = strace.output().unwrap();
        assert!(!ended.status.success(), "{call}");
        let told = String::from_utf8(ended.stderr).unwrap();
        assert!(told.contains("No space left on device"), "{told}");
        assert_eq!(files_below(&data.forge_dir().join("journal/archive")), []);
        data.assert_whole();
        data.archive();
        data.assert_whole();
    }
}

#[test]
fn a_damaged_or_lost_archive_is_named_and_healed_from_the_index() {
    type Damage = fn(&Path);
    let damages: [(Damage, &str); 3] = [
        (
            |segment| change(segment, |it| it[60] ^= 1),
            "segment 00000002 is damaged at byte 0: it cannot be read: its compressed form is damaged",
        ),
        (
            |segment| change(segment, |it| it.truncate(it.len() - 5)),
            "segment 00000002 is damaged at byte 0: it cannot be read: its compressed form is damaged",
        ),
        (
            |segment| fs::remove_file(segment).unwrap(),
            "segment 00000002 is missing before it: it is neither here nor in `archive`",
        ),
    ];
    for (damage, expected) in damages {
        let data = Data::new();
        data.archive();
        damage(&data.archived(2));
        let told = data.run(&["log", "verify"]).badly(4);
        assert!(told.contains(expected), "{told}");
        assert!(told.contains("the 4 events before it verify"), "{told}");
        let told = data.run(&["log", "archive"]).badly(4);
        assert!(told.contains(expected), "{told}");
        let (log, report) = open(&data.forge_dir());
        assert!(report.healed().unwrap().contains(expected), "{report:?}");
        assert_eq!(events(&log), data.events);
        drop(log);
        let verified = verify(&data.forge_dir()).unwrap();
        assert_eq!(verified.events as usize, data.events.len());
    }
}

#[test]
fn without_an_index_a_lost_archive_leaves_what_comes_before_it() {
    let data = Data::new();
    data.archive();
    fs::remove_file(data.archived(2)).unwrap();
    delete_index(&data.forge_dir());
    let (log, report) = open(&data.forge_dir());
    let reason = report.read_only.unwrap();
    assert!(reason.contains("segment 00000002 is missing"), "{reason}");
    assert!(
        reason.contains("of 40 events, 4 verify in either copy"),
        "{reason}"
    );
    assert_eq!(events(&log), data.events[..4]);
}

#[test]
fn an_archive_that_is_not_mounted_is_told_and_nothing_is_changed() {
    let data = Data::new();
    let elsewhere = TempFolder::in_memory();
    let (disk, away) = (elsewhere.path().join("disk"), elsewhere.path().join("away"));
    fs::create_dir(&disk).unwrap();
    symlink(&disk, data.forge_dir().join("journal/archive")).unwrap();
    data.archive();
    data.assert_whole();
    fs::rename(&disk, &away).unwrap();

    let error = DiskEventLog::open(&data.forge_dir(), Settings::default()).unwrap_err();
    assert!(
        matches!(&error, OpenError::ArchiveUnreachable { target } if *target == disk),
        "{error}"
    );
    let told = data.run(&["log", "verify"]).badly(4);
    let expected = format!("which links to {}, which does not exist", disk.display());
    assert!(told.contains(&expected), "{told}");
    let told = data.run(&["log", "archive"]).badly(3);
    assert!(told.contains("check that the disk is mounted"), "{told}");

    fs::rename(&away, &disk).unwrap();
    data.assert_whole();
}

#[test]
fn one_archives_at_a_time() {
    let data = Data::new();
    let archiver = Archiver::begin(&data.forge_dir()).unwrap();
    let second = Archiver::begin(&data.forge_dir()).unwrap_err();
    assert!(matches!(second, ArchiveError::InUse), "{second}");
    let told = data.run(&["log", "archive"]).badly(1);
    assert!(told.contains("retry when it has finished"), "{told}");
    drop(archiver);
    data.archive();
    data.assert_whole();
}
