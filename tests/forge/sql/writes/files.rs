//! Files: reserved, moved and removed at any crash point; closed before they move; bounded in
//! number.
use crate::support::TempFolder;
use crate::support::sql::{Sql, create, read_write, soon};
use dbforge::clock::Deadline;
use dbforge::data::{AccessError, FolderError, FolderPlace, Folders, QueryError, SqliteConfig};
use dbforge::domain::ids::DatabaseId;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uuid::Uuid;

fn folders() -> (TempFolder, Folders, DatabaseId) {
    let home = TempFolder::new();
    let folders = Folders::open(home.path(), None).unwrap();
    (home, folders, DatabaseId(Uuid::new_v4()))
}

#[test]
fn a_folder_goes_from_reserved_to_trash_and_back_and_twice_is_once() {
    let (_home, folders, database) = folders();
    for _ in 0..2 {
        let folder = folders.ensure_reserved(database).unwrap();
        let mode = folder.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::write(folder.join("main.db"), b"rows").unwrap();
        assert_eq!(fs::read(folder.join("main.db")).unwrap(), b"rows");
    }
    for _ in 0..2 {
        folders.ensure_trashed(database).unwrap();
        assert_eq!(folders.place(database).unwrap(), FolderPlace::Trash);
        assert_eq!(folders.list_trashed().unwrap(), [database]);
    }
    for _ in 0..2 {
        folders.ensure_restored(database).unwrap();
        assert_eq!(folders.list_living().unwrap(), [database]);
        let rows = fs::read(folders.living(database).join("main.db")).unwrap();
        assert_eq!(rows, b"rows");
    }
    for _ in 0..2 {
        folders.ensure_purged(database).unwrap();
        assert_eq!(folders.place(database).unwrap(), FolderPlace::Nowhere);
    }
    for moved in [
        folders.ensure_trashed(database),
        folders.ensure_restored(database),
    ] {
        let error = moved.unwrap_err();
        assert!(matches!(error, FolderError::Missing { .. }), "{error}");
        assert!(!error.is_transient());
    }
}

#[test]
fn what_a_crash_left_half_done_is_finished_and_never_taken_for_a_database() {
    let (home, folders, database) = folders();
    let living = home.path().join("databases");
    let half = |room: &Path, prefix: &str| {
        let folder = room.join(format!("{prefix}{database}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("main.db"), b"half").unwrap();
    };
    half(&living, ".reserving-");
    assert_eq!(folders.place(database).unwrap(), FolderPlace::Nowhere);
    assert!(folders.list_living().unwrap().is_empty());
    folders.ensure_reserved(database).unwrap();

    half(&living, ".purging-");
    half(&home.path().join("trash"), ".purging-");
    half(&living, ".reserving-");
    folders.ensure_purged(database).unwrap();
    assert_eq!(fs::read_dir(&living).unwrap().count(), 0);
    assert_eq!(fs::read_dir(home.path().join("trash")).unwrap().count(), 0);
}

#[test]
fn a_database_in_two_places_is_left_for_a_person() {
    let (_home, folders, database) = folders();
    folders.ensure_reserved(database).unwrap();
    fs::create_dir(folders.trashed(database)).unwrap();
    for moved in [
        folders.ensure_trashed(database),
        folders.ensure_restored(database),
        folders.ensure_reserved(database).map(|_| ()),
    ] {
        let error = moved.unwrap_err();
        assert!(matches!(error, FolderError::InTwoPlaces { .. }), "{error}");
    }
    assert!(folders.living(database).exists() && folders.trashed(database).exists());
}

#[test]
fn a_name_that_is_no_databases_is_not_listed() {
    let (home, folders, database) = folders();
    folders.ensure_reserved(database).unwrap();
    for other in ["lost+found", "0", &database.0.simple().to_string()] {
        fs::create_dir(home.path().join("databases").join(other)).unwrap();
    }
    assert_eq!(folders.list_living().unwrap(), [database]);
}

#[tokio::test]
async fn what_was_acknowledged_moves_with_the_main_file_alone() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    sql.ask("INSERT INTO t VALUES (7)").await.unwrap();
    sql.rows("SELECT a FROM t").await;
    let (folders, database) = (sql.plane.folders(), sql.target.database);
    let taken = sql.plane.take(&sql.target, soon()).await.unwrap();
    assert_eq!(sql.plane.health().connections, 0, "no handle outlives it");
    let left: Vec<_> = fs::read_dir(folders.living(database))
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .filter(|it| it != "main.db")
        .collect();
    assert!(left.is_empty(), "{left:?}");

    // The step moves the file away and another one, with other rows, in its place.
    let other = create(&sql.plane);
    sql.ask_of(&other, "CREATE TABLE t (a)").await.unwrap();
    sql.ask_of(&other, "INSERT INTO t VALUES (8)")
        .await
        .unwrap();
    drop(sql.plane.take(&other, soon()).await.unwrap());
    folders.ensure_trashed(database).unwrap();
    fs::rename(folders.living(other.database), folders.living(database)).unwrap();
    drop(taken);
    assert_eq!(sql.rows("SELECT a FROM t").await, json!([[8]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_thread_has_a_handle_in_hand_when_the_files_are_taken() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    let folder = sql.plane.folders().living(sql.target.database);
    // On a busy machine a thread loses its turn at the worst of moments.
    let _busy = BusyMachine::new();
    for turn in 0..200 {
        if turn % 3 > 0 {
            sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
        }
        if turn % 3 < 2 {
            // Another text each time, so that it runs on a thread of its own.
            let question = format!("SELECT count(*) + {turn} FROM t");
            sql.ask(&question).await.unwrap();
        }
        let taken = sql.plane.take(&sql.target, soon()).await.unwrap();
        assert_eq!(sql.plane.health().connections, 0, "turn {turn}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "turn {turn}");
        drop(taken);
    }
}

/// Threads that do nothing, as fast as they can, until it is dropped.
struct BusyMachine(Arc<AtomicBool>);

impl BusyMachine {
    fn new() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        for _ in 0..8 {
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || while !is_over.load(Ordering::Relaxed) {});
        }
        Self(is_over)
    }
}

impl Drop for BusyMachine {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_waits_for_sql_and_gives_up_at_its_deadline() {
    let sql = Sql::new();
    let database = sql.target.database;
    let guard = sql.plane.enter(database, soon()).await.unwrap();
    let soon_over = || Deadline::after(Duration::from_millis(30));
    let refused = sql.plane.take(&sql.target, soon_over()).await.unwrap_err();
    assert_eq!(refused, AccessError::NotDrained);
    drop(guard);
    let taken = sql.plane.take(&sql.target, soon_over()).await.unwrap();
    let refused = sql.plane.enter(database, soon_over()).await.unwrap_err();
    assert_eq!(refused, AccessError::Closed);
    drop(taken);
    sql.ask("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn a_missing_file_is_an_alarm_and_never_an_empty_one() {
    let sql = Sql::new();
    let file = sql
        .plane
        .folders()
        .living(sql.target.database)
        .join("main.db");
    let elsewhere = sql.home.path().join("elsewhere.db");
    fs::rename(&file, &elsewhere).unwrap();
    for question in ["SELECT 1", "CREATE TABLE t (a)"] {
        let error = sql.ask(question).await.unwrap_err();
        assert_eq!(error, QueryError::DataMissing, "{question}");
        assert!(!file.exists());
    }
    // Nor does an accident that left the name alone answer as a database without tables.
    fs::write(&file, "").unwrap();
    assert_eq!(sql.ask("SELECT 1").await, Err(QueryError::DataMissing));
    fs::remove_file(&file).unwrap();
    // Neither a link nor a second name makes another's file one's own.
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    assert_eq!(sql.ask("SELECT 1").await, Err(QueryError::DataMissing));
    fs::remove_file(&file).unwrap();
    fs::hard_link(&elsewhere, &file).unwrap();
    assert_eq!(sql.ask("SELECT 1").await, Err(QueryError::DataMissing));
    fs::remove_file(&elsewhere).unwrap();
    sql.ask("SELECT 1").await.expect("it is its own again");
}

#[tokio::test]
async fn a_write_looks_for_the_file_each_time_and_a_read_now_and_then() {
    let sql = Sql::with(SqliteConfig {
        look_every: Duration::from_secs(3600),
        ..SqliteConfig::default()
    });
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    sql.ask("SELECT a FROM t").await.unwrap();
    let file = sql
        .plane
        .folders()
        .living(sql.target.database)
        .join("main.db");
    fs::rename(&file, sql.home.path().join("elsewhere.db")).unwrap();
    sql.ask("SELECT a FROM t")
        .await
        .expect("it has just looked");
    let lost = sql.ask("INSERT INTO t VALUES (1)").await;
    assert_eq!(lost, Err(QueryError::DataMissing));
    let found = sql.ask("SELECT a FROM t").await;
    assert_eq!(found, Err(QueryError::DataMissing), "a write has told it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_databases_share_few_connections_and_lose_nothing() {
    let sql = Sql::with(SqliteConfig {
        max_connections: 8,
        ..SqliteConfig::default()
    });
    let databases: Vec<_> = (0..40).map(|_| create(&sql.plane)).collect();
    for round in 1..=3 {
        for database in &databases {
            if round == 1 {
                sql.ask_of(database, "CREATE TABLE t (a)").await.unwrap();
            }
            sql.ask_of(database, "INSERT INTO t VALUES (1)")
                .await
                .unwrap();
            let rows = sql.ask_of(database, "SELECT count(*) FROM t").await;
            assert_eq!(rows.unwrap()["rows"], json!([[round]]));
            // A database opens two; what closes does so in the background.
            let open = sql.plane.health().connections;
            assert!(open <= 24, "{open} are open");
        }
    }
    sql.plane.close().await;
    let deadline = soon();
    while sql.plane.health().connections > 0 {
        assert!(!deadline.has_passed(), "all close in the end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_long_wal_is_brought_home_and_cut() {
    let sql = Sql::with(SqliteConfig {
        wal_bytes: 1 << 20,
        ..SqliteConfig::default()
    });
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    let wal = sql
        .plane
        .folders()
        .living(sql.target.database)
        .join("main.db-wal");
    let question = "INSERT INTO t VALUES (randomblob(100000))";
    let mut longest = 0;
    for _ in 0..60 {
        sql.request(&sql.target, question, Default::default(), read_write())
            .await
            .unwrap();
        longest = longest.max(wal.metadata().unwrap().len());
    }
    assert!(longest < 2 << 20, "it grew to {longest} bytes");
    assert_eq!(sql.rows("SELECT count(*) FROM t").await, json!([[60]]));
}
