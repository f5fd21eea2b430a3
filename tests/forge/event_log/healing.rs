//! Healing is told once, keeps the folder closed, and looks at the hashes of what is new.
use super::damaged_log::{
    change, delete_index, events, frame_starts, has_lost_nothing, journal, open, reseal, small,
};
use crate::support::{commit, ready};
use dbforge::domain::event::LogHealed;
use dbforge::event_log::EventLog;
use dbforge::event_log::disk::OpenFinding;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn tell(log: &impl EventLog, detail: String) {
    let told = commit(1000, vec![LogHealed { detail }.into()]);
    log.append(log.head().sequence, vec![told]).unwrap();
}

#[test]
fn healing_that_no_event_tells_of_yet_is_told_by_the_next_open() {
    let damages: [fn(&Path); 4] = [
        |folder| change(&journal(folder), |it| it[2000] ^= 1),
        |folder| fs::remove_dir_all(folder.join("journal")).unwrap(),
        |folder| change(&folder.join("HEAD"), |it| it[0] ^= 1),
        |folder| change(&folder.join("events.sled/conf"), |it| it.fill(0)),
    ];
    for damage in damages {
        let copy = small().damaged(damage);
        let told = open(copy.path()).1.healed().unwrap();
        for _ in 0..2 {
            let (log, report) = open(copy.path());
            let detail = told.clone();
            assert_eq!(report.findings, [OpenFinding::HealedBefore { detail }]);
            assert_eq!(events(&log), small().events);
        }
        let (log, report) = open(copy.path());
        tell(&log, report.healed().unwrap());
        drop(log);
        let (log, report) = open(copy.path());
        assert_eq!(report.healed(), None, "it is told");
        assert_eq!(log.head().sequence.0, 91);
    }
}

#[test]
fn a_note_that_outlived_its_event_is_not_told_again() {
    let copy = small().damaged(|folder| change(&journal(folder), |it| it[2000] ^= 1));
    let (log, report) = open(copy.path());
    let note = copy.path().join("healed");
    let noted = fs::read(&note).unwrap();
    tell(&log, report.healed().unwrap());
    assert!(!note.exists());
    drop(log);
    // As after a crash between the event's sync and the note's removal.
    fs::write(&note, noted).unwrap();
    assert_eq!(open(copy.path()).1.healed(), None);
    assert!(!note.exists());
}

#[test]
fn damage_that_comes_before_earlier_healing_was_told_is_told_with_it() {
    let copy = small().damaged(|folder| change(&folder.join("HEAD"), |it| it[0] ^= 1));
    open(copy.path());
    change(&journal(copy.path()), |it| it[2000] ^= 1);
    let told = open(copy.path()).1.healed().unwrap();
    assert!(told.contains("HEAD was replaced"), "{told}");
    assert!(told.contains("journal was restored"), "{told}");
}

#[test]
fn a_healed_journal_is_as_closed_to_others_as_the_one_before() {
    let mode = |folder: &Path| fs::metadata(folder).unwrap().permissions().mode() & 0o777;
    for closed in [0o700, 0o750] {
        let copy = small().damaged(|folder| {
            let closed = fs::Permissions::from_mode(closed);
            fs::set_permissions(folder.join("journal"), closed).unwrap();
            change(&journal(folder), |it| it[2000] ^= 1);
        });
        open(copy.path());
        assert_eq!(mode(&copy.path().join("journal")), closed);
        assert_eq!(mode(&journal(copy.path())), 0o600);
    }
    let copy = small().damaged(|folder| fs::remove_dir_all(folder.join("journal")).unwrap());
    open(copy.path());
    assert_eq!(mode(&copy.path().join("journal")), 0o700);
}

/// Changes an event in a way that its frame's checksum bears out.
fn forge(folder: &Path, frame: usize) {
    let starts = frame_starts();
    change(&journal(folder), |bytes| {
        let frame = &mut bytes[starts[frame]..starts[frame + 1]];
        let actor = frame.windows(4).position(|it| it == b"root").unwrap();
        frame[actor] = b'b';
        reseal(frame);
    });
}

#[test]
fn an_event_changed_together_with_its_checksum_is_healed_from_the_index() {
    for frame in [0, 20, 58] {
        let copy = small().damaged(|folder| forge(folder, frame));
        let report = has_lost_nothing(copy.path(), &small().events);
        assert!(report.healed().unwrap().contains("hash"), "{report:?}");
    }
}

#[test]
fn an_event_changed_so_in_the_only_copy_makes_the_log_read_only() {
    for without_head in [false, true] {
        let copy = small().damaged(|folder| {
            forge(folder, 20);
            delete_index(folder);
            if without_head {
                fs::remove_file(folder.join("HEAD")).unwrap();
            }
        });
        let (log, report) = open(copy.path());
        assert!(report.read_only.unwrap().contains("hash"));
        assert_eq!(events(&log), small().events[..30]);
        assert!(
            log.append(log.head().sequence, vec![ready(1000, 1)])
                .is_err()
        );
    }
}
