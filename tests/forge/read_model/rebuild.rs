//! The read model may be deleted, damaged or left behind at any time: it comes back from the log.
use crate::support::history::History;
use crate::support::read_model::{Folder, VecLog, contents, export_line, first, follow, soon};
use crate::support::sqlite;
use dbforge::clock::Deadline;
use dbforge::domain::event::recorded::{NewCommit, RecordedEvent};
use dbforge::domain::ids::Sequence;
use dbforge::domain::verb::Verb;
use dbforge::event_log::EventLog;
use dbforge::projections::control_db::{ControlDb, EventFilter, JobFilter, ListError, Opening};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The history cut into its commits.
fn commits(history: &History) -> Vec<Vec<RecordedEvent>> {
    let events = history.log.all();
    let together = |a: &RecordedEvent, b: &RecordedEvent| Arc::ptr_eq(&a.commit, &b.commit);
    events.chunk_by(together).map(<[_]>::to_vec).collect()
}

fn beside(folder: &Folder, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", folder.file().display()))
}

/// Every event of the log, through the lists, whatever has to be built again for it.
async fn read_all(control_db: &ControlDb, log: &VecLog) -> usize {
    let deadline = soon();
    loop {
        match control_db
            .list_events(EventFilter::default(), first(1000))
            .await
        {
            Ok(page) => return page.items.len(),
            Err(ListError::Unavailable { .. }) if !deadline.has_passed() => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!(
                "{error} {:?} {}",
                control_db.position(),
                log.head().sequence
            ),
        }
    }
}

#[tokio::test]
async fn built_again_from_any_prefix_it_equals_what_followed_live() {
    let history = History::eventful();
    let live = Arc::new(VecLog::default());
    let folder = Folder::new();
    let (control_db, opening) = follow(&folder, &live).await;
    assert_eq!(opening, Opening::Created);
    let mut so_far = Vec::new();
    for events in commits(&history) {
        let header = (*events[0].commit).clone();
        let new = events.iter().map(|it| it.event.clone()).collect();
        let commit = NewCommit {
            header,
            events: new,
        };
        let appended = live.append(live.head().sequence, vec![commit]).unwrap();
        so_far.extend(appended.iter().cloned());
        control_db.publish(appended.into());
        let reached = Sequence(so_far.len() as u64);
        control_db.wait_for(reached, soon()).await.unwrap();

        let other = Folder::new();
        let (_again, _) = follow(&other, &VecLog::of(&so_far)).await;
        let (followed, built) = (contents(&folder.file()), contents(&other.file()));
        assert_eq!(followed, built, "at event {reached}");
    }
    assert!(so_far.len() > 80, "the history is eventful");
}

#[tokio::test]
async fn deleting_the_file_changes_nothing() {
    let history = History::eventful();
    let folder = Folder::new();
    drop(follow(&folder, &history.log).await);
    let before = contents(&folder.file());
    fs::remove_file(folder.file()).unwrap();
    fs::write(beside(&folder, "-wal"), "left behind").unwrap();
    let (_again, opening) = follow(&folder, &history.log).await;
    assert_eq!(opening, Opening::Created);
    assert_eq!(contents(&folder.file()), before);
}

#[tokio::test]
async fn only_its_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let _open = follow(&folder, &History::begin().log).await;
    for file in [
        folder.file(),
        beside(&folder, "-wal"),
        beside(&folder, "-shm"),
    ] {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_file_that_is_behind_goes_on_where_it_was() {
    let history = History::eventful();
    let events = history.log.all();
    let folder = Folder::new();
    let whole = Folder::new();
    let _whole = follow(&whole, &history.log).await;
    for length in [1, 17, 40, events.len()] {
        drop(follow(&folder, &VecLog::of(&events[..length])).await);
        let (again, opening) = follow(&folder, &VecLog::of(&events[..length])).await;
        assert_eq!(opening, Opening::Continued(Sequence(length as u64)));
        drop(again);
    }
    assert_eq!(contents(&folder.file()), contents(&whole.file()));
}

#[tokio::test]
async fn a_file_ahead_of_its_log_is_built_again() {
    let events = History::eventful().log.all();
    let folder = Folder::new();
    drop(follow(&folder, &VecLog::of(&events)).await);
    let shorter = VecLog::of(&events[..20]);
    let (_again, opening) = follow(&folder, &shorter).await;
    let Opening::Replaced(reason) = opening else {
        panic!("{opening:?}");
    };
    assert!(reason.contains("the log ends at 20"), "{reason}");
    let fresh = Folder::new();
    let _fresh = follow(&fresh, &shorter).await;
    assert_eq!(contents(&folder.file()), contents(&fresh.file()));
}

#[tokio::test]
async fn a_file_of_another_log_is_built_again() {
    let history = History::eventful();
    let folder = Folder::new();
    drop(follow(&folder, &history.log).await);
    let mut events = history.log.all();
    events.last_mut().unwrap().hash = [7; 32];
    let other = VecLog::of(&events);
    let (_again, opening) = follow(&folder, &other).await;
    let Opening::Replaced(reason) = opening else {
        panic!("{opening:?}");
    };
    assert!(reason.contains("is not the log's"), "{reason}");
    assert!(contents(&folder.file()).contains(&hex::encode([7; 32])));
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_set_aside() {
    let history = History::eventful();
    let folder = Folder::new();
    drop(follow(&folder, &history.log).await);
    let before = contents(&folder.file());
    let connection = sqlite::open(folder.file());
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let (_again, opening) = follow(&folder, &history.log).await;
    let Opening::Replaced(reason) = opening else {
        panic!("{opening:?}");
    };
    assert!(reason.contains("99 migrations"), "{reason}");
    assert_eq!(contents(&folder.file()), before);
    assert_eq!(contents(&beside(&folder, ".set-aside")), before);
}

#[tokio::test]
async fn a_file_that_is_no_database_any_more_is_built_again_at_start() {
    let history = History::eventful();
    let folder = Folder::new();
    drop(follow(&folder, &history.log).await);
    let before = contents(&folder.file());
    let bytes = fs::read(folder.file()).unwrap();
    let damages: [(&str, Vec<u8>); 5] = [
        ("garbage", b"not a database, not at all".to_vec()),
        ("half of it", bytes[..bytes.len() / 2].to_vec()),
        ("its first page alone", bytes[..4096].to_vec()),
        ("zeros", vec![0; bytes.len()]),
        ("nothing", Vec::new()),
    ];
    for (what, damaged) in damages {
        fs::write(folder.file(), damaged).unwrap();
        let (again, _) = follow(&folder, &history.log).await;
        assert_eq!(
            read_all(&again, &history.log).await,
            history.log.all().len()
        );
        drop(again);
        assert_eq!(contents(&folder.file()), before, "{what}");
    }
}

#[tokio::test]
async fn damage_deep_inside_is_found_by_reading_and_built_again() {
    let history = History::eventful();
    let folder = Folder::new();
    drop(follow(&folder, &history.log).await);
    let before = contents(&folder.file());
    // The event table's leaves: the root page is left as it is, so that opening finds nothing.
    let connection = sqlite::open(folder.file());
    let sql = "SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf'";
    let mut statement = connection.prepare(sql).unwrap();
    let pages = statement.query_map([], |row| row.get(0)).unwrap();
    let pages: Vec<i64> = pages.map(Result::unwrap).collect();
    drop(statement);
    drop(connection);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(folder.file())
        .unwrap();
    for page in &pages[..pages.len() / 2] {
        let offset = u64::try_from((page - 1) * 4096).unwrap();
        file.write_all_at(&[0xEE; 4096], offset).unwrap();
    }
    let (again, opening) = follow(&folder, &history.log).await;
    assert_eq!(opening, Opening::Continued(history.log.head().sequence));
    assert_eq!(
        read_all(&again, &history.log).await,
        history.log.all().len()
    );
    again
        .wait_for(history.log.head().sequence, soon())
        .await
        .unwrap();
    assert_eq!(contents(&folder.file()), before);
}

#[tokio::test]
async fn deleted_while_in_use_it_is_built_again() {
    let history = History::eventful();
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    let before = contents(&folder.file());
    fs::remove_file(folder.file()).unwrap();
    assert_eq!(
        read_all(&control_db, &history.log).await,
        history.log.all().len()
    );
    control_db
        .wait_for(history.log.head().sequence, soon())
        .await
        .unwrap();
    assert_eq!(contents(&folder.file()), before);
}

#[tokio::test]
async fn what_was_read_while_it_was_built_again_does_not_count() {
    let history = History::eventful();
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    let is_built_again = async {
        fs::remove_file(folder.file()).unwrap();
        read_all(&control_db, &history.log).await
    };
    let read = control_db.whole(is_built_again).await;
    assert!(
        matches!(&read, Err(ListError::Unavailable { reason }) if reason.contains("is being rebuilt")),
        "{read:?}"
    );
    assert_eq!(control_db.whole(async { 1 }).await, Ok(1));
}

#[tokio::test]
async fn damage_that_following_finds_is_built_again_and_readers_see_the_new_file() {
    let mut history = History::eventful();
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    let before = read_all(&control_db, &history.log).await;
    let vandal = sqlite::open(folder.file());
    vandal.execute_batch("DROP TABLE labels").unwrap();
    drop(vandal);
    let head = history.log.head().sequence;
    history.create("one-more", &[]);
    let new = history.log.read_after(head, 10).unwrap();
    let expected = before + new.len();
    control_db.publish(new.into());
    let now = history.log.head().sequence;
    control_db.wait_for(now, soon()).await.unwrap();
    assert_eq!(read_all(&control_db, &history.log).await, expected);
    assert!(beside(&folder, ".set-aside").exists());
    let whole = Folder::new();
    let _whole = follow(&whole, &history.log).await;
    assert_eq!(contents(&folder.file()), contents(&whole.file()));
}

#[tokio::test]
async fn killed_at_any_moment_it_goes_on() {
    let history = History::eventful();
    let log = VecLog::of(&[]);
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &log).await;
    let whole = Folder::new();
    let _whole = follow(&whole, &history.log).await;
    for (number, events) in commits(&history).into_iter().enumerate() {
        let reached = events.last().unwrap().sequence;
        control_db.publish(events.into());
        control_db.wait_for(reached, soon()).await.unwrap();
        if number % 5 != 0 {
            continue;
        }
        // What a kill leaves behind, with the last pages of the WAL in any state of being written.
        let wal = fs::read(beside(&folder, "-wal")).unwrap();
        for lost in [0, 1, 1000, 5000] {
            let left = Folder::new();
            fs::copy(folder.file(), left.file()).unwrap();
            let kept = &wal[..wal.len().saturating_sub(lost)];
            fs::write(beside(&left, "-wal"), kept).unwrap();
            let (_again, opening) = follow(&left, &history.log).await;
            assert!(
                !matches!(opening, Opening::Created),
                "what was there is looked at: {opening:?}"
            );
            assert_eq!(
                contents(&left.file()),
                contents(&whole.file()),
                "at {reached}"
            );
        }
    }
}

#[tokio::test]
async fn what_was_not_published_is_read_from_the_log() {
    let mut history = History::begin();
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    history.create("unheard-of", &[]);
    let shop = history.create("shop", &[]);
    history.finish_job(shop);
    let last = history.log.all().last().unwrap().clone();
    control_db.publish([last.clone()].into());
    control_db.wait_for(last.sequence, soon()).await.unwrap();
    let whole = Folder::new();
    let _whole = follow(&whole, &history.log).await;
    assert_eq!(contents(&folder.file()), contents(&whole.file()));
}

#[tokio::test]
async fn publishing_more_than_fits_in_the_inbox_loses_nothing() {
    let mut history = History::begin();
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    let mut publications = Vec::new();
    for number in 0..600 {
        let before = history.log.head().sequence;
        history.create(&format!("db-{number}"), &[]);
        publications.push(history.log.read_after(before, 10).unwrap());
    }
    for events in publications {
        control_db.publish(events.into());
    }
    let head = history.log.head().sequence;
    control_db.wait_for(head, soon()).await.unwrap();
    let whole = Folder::new();
    let _whole = follow(&whole, &history.log).await;
    assert_eq!(contents(&folder.file()), contents(&whole.file()));
}

#[tokio::test]
async fn a_log_that_cannot_be_read_for_a_while_is_tried_again() {
    let mut history = History::begin();
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    history.log.is_unreadable.store(true, Ordering::SeqCst);
    history.create("unheard-of", &[]);
    let shop = history.create("shop", &[]);
    let last = history.log.all().last().unwrap().clone();
    control_db.publish([last.clone()].into());
    let deadline = soon();
    while control_db.position().trouble.is_none() {
        assert!(!deadline.has_passed(), "it says why it stays behind");
        tokio::task::yield_now().await;
    }
    history.log.is_unreadable.store(false, Ordering::SeqCst);
    control_db.wait_for(last.sequence, soon()).await.unwrap();
    assert!(contents(&folder.file()).contains(&shop.to_string()));
}

#[tokio::test]
async fn waiting_for_an_event_that_does_not_come_ends_at_its_deadline() {
    let history = History::begin();
    let folder = Folder::new();
    let (control_db, _) =
        sqlite::control_db(&folder.file(), history.log.clone(), export_line).unwrap();
    let deadline = Deadline::after(Duration::from_millis(20));
    let behind = control_db
        .wait_for(Sequence(2), deadline)
        .await
        .unwrap_err();
    assert_eq!(behind.wanted, Sequence(2));
    assert!(deadline.has_passed());
}

/// The migrations that a file had seen whose events held their texts.
const BEFORE_TEXTS_STAYED_IN_THE_LOG: [&str; 4] = [
    include_str!("../../../migrations/control/0001_events.sql"),
    include_str!("../../../migrations/control/0002_jobs.sql"),
    include_str!("../../../migrations/control/0003_databases.sql"),
    include_str!("../../../migrations/control/0004_tokens.sql"),
];

#[tokio::test]
async fn a_file_of_an_older_program_is_removed_and_built_again() {
    let history = History::eventful();
    let (folder, whole) = (Folder::new(), Folder::new());
    let _whole = follow(&whole, &history.log).await;
    let old = sqlite::open(folder.file());
    for migration in BEFORE_TEXTS_STAYED_IN_THE_LOG {
        old.execute_batch(migration).unwrap();
    }
    old.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA user_version = 4;
         INSERT INTO events (sequence, time, kind, actor, request_id, event)
         VALUES (1, '2026', 'forge_founded', 'forge', 'r', '{}');
         UPDATE progress SET sequence = 1;",
    )
    .unwrap();
    std::mem::forget(old); // its WAL stays, as after a kill
    let (_again, opening) = follow(&folder, &history.log).await;
    let Opening::Replaced(reason) = opening else {
        panic!("{opening:?}");
    };
    assert_eq!(reason, "it has 4 migrations, and migration 5 rebuilds it");
    assert_eq!(contents(&folder.file()), contents(&whole.file()));
    assert!(!beside(&folder, ".set-aside").exists(), "its room is free");
}

#[tokio::test]
async fn events_need_the_log_to_be_shown_and_other_lists_do_not() {
    let history = History::eventful();
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    history.log.is_unreadable.store(true, Ordering::SeqCst);
    let events = control_db.list_events(EventFilter::default(), first(3));
    let refused = events.await.unwrap_err().to_string();
    assert_eq!(
        refused,
        "lists are temporarily unavailable: cannot read events after sequence 0: the test says so"
    );
    assert!(control_db.event(Sequence(2)).await.is_err());
    let jobs = control_db.list_jobs(JobFilter::default(), first(3));
    assert_eq!(jobs.await.unwrap().items.len(), 3);
    history.log.is_unreadable.store(false, Ordering::SeqCst);
    let events = control_db.list_events(EventFilter::default(), first(3));
    assert_eq!(events.await.unwrap().items.len(), 3);
    assert_eq!(
        control_db.position().trouble,
        None,
        "nothing is built again"
    );
}

/// What a million events may take, and a few pages that every file has.
const BYTES_PER_EVENT: u64 = 400;
const PAGES_OF_ANY_FILE: u64 = 40 * 4096;

#[tokio::test]
async fn an_event_takes_at_most_400_bytes_with_all_that_is_kept_of_its_job() {
    let mut history = History::begin();
    for number in 0..80 {
        let database = history.create(&format!("shop-{number}"), &[]);
        history.finish_job(database);
        for _ in 0..4 {
            history.submit("token/ci", Verb::Restart.on(database));
            history.finish_job(database);
        }
    }
    let folder = Folder::new();
    drop(follow(&folder, &history.log).await);
    let bytes = fs::metadata(folder.file()).unwrap().len();
    let events = history.log.head().sequence.0;
    assert!(events > 3000, "{events}");
    let each = bytes.saturating_sub(PAGES_OF_ANY_FILE) / events;
    assert!(each <= BYTES_PER_EVENT, "{each} bytes an event");
}
