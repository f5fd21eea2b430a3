//! The profile of a connection, point by point, where nothing else tries it.
use crate::attacks::scene::{Scene, query};
use crate::support::sql::{Sql, create, within};
use dbforge::clock::{Deadline, Stopwatch};
use dbforge::data::{QueryError, SqliteConfig};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::time::Duration;

/// A test that waits as long as this has failed.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn nobody_else_on_this_machine_can_look_into_a_database() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    let folder = sql.plane.folders().living(sql.target.database);
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    for file in ["main.db", "main.db-wal", "main.db-shm"] {
        let file = fs::metadata(folder.join(file)).unwrap();
        assert_eq!(file.mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_file_with_a_second_name_or_behind_a_link_is_nobodys_database() {
    let sql = Sql::new();
    let other = create(&sql.plane);
    sql.ask_of(&other, "CREATE TABLE secrets (s)")
        .await
        .unwrap();
    drop(sql.plane.take(&other, Deadline::after(PATIENCE)).await);
    let folder = |target: &dbforge::data::Target| sql.plane.folders().living(target.database);
    let (own, secret) = (folder(&sql.target), folder(&other).join("main.db"));
    fs::rename(own.join("main.db"), own.join("aside")).unwrap();
    let main = own.join("main.db");
    for link in 0..3 {
        match link {
            0 => fs::hard_link(&secret, &main),
            1 => symlink(&secret, &main),
            _ => symlink(own.join("aside"), &main),
        }
        .unwrap();
        let error = sql.ask("SELECT s FROM secrets").await.unwrap_err();
        assert_eq!(error, QueryError::DataMissing);
        fs::remove_file(&main).unwrap();
    }
    fs::rename(own.join("aside"), &main).unwrap();
    sql.ask("SELECT 1").await.unwrap();
    sql.ask_of(&other, "SELECT s FROM secrets").await.unwrap();
}

#[tokio::test]
async fn a_connection_that_saw_a_timeout_or_ran_out_of_room_is_not_used_again() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    sql.ask("SELECT 1").await.unwrap();
    assert_eq!(sql.plane.health().connections, 2, "a writer and a reader");
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) \
                   SELECT count(*) FROM c";
    let short = within(Duration::from_millis(50));
    let error = sql.ask_as(endless, short).await.unwrap_err();
    assert_eq!(error, QueryError::Timeout { timeout_ms: 50 });
    until(|| sql.plane.health().connections == 1).await;
    sql.ask("SELECT 1").await.unwrap();

    let fills = "INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) \
                 SELECT zeroblob(4000000) FROM c";
    let patient = within(Duration::from_secs(60));
    let error = sql.ask_as(fills, patient).await.unwrap_err();
    assert_eq!(error, QueryError::QuotaExceeded);
    sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(sql.rows("SELECT a FROM t").await, json!([[1]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_read_does_not_let_the_wal_grow_without_end() {
    let sql = Sql::with(SqliteConfig {
        wal_bytes: 1 << 20,
        ..SqliteConfig::default()
    });
    for question in [
        "CREATE TABLE t (a)",
        "INSERT INTO t VALUES (zeroblob(300000))",
    ] {
        sql.ask(question).await.unwrap();
    }
    let folder = sql.plane.folders().living(sql.target.database);
    let wal_bytes = || {
        folder
            .join("main.db-wal")
            .metadata()
            .map_or(0, |it| it.len())
    };
    let long = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) \
                SELECT count(*) FROM t, c";
    let patient = within(Duration::from_secs(60));
    let reading = sql.ask_as(long, patient);
    let writing = async {
        let started = Stopwatch::start();
        loop {
            assert!(started.elapsed() < PATIENCE, "the WAL is bounded at last");
            match sql.ask("UPDATE t SET a = randomblob(300000)").await {
                Ok(_) => assert!(wal_bytes() < 3 << 20, "{} bytes", wal_bytes()),
                Err(error) => {
                    assert!(matches!(error, QueryError::Overloaded { .. }), "{error}");
                    assert!(error.is_retryable());
                    return;
                }
            }
        }
    };
    tokio::select! {
        ended = reading => panic!("the read was to be the longer one: {ended:?}"),
        () = writing => {}
    }
    // The reader's client went away, and with it the read.
    let started = Stopwatch::start();
    while sql.ask("UPDATE t SET a = 1").await.is_err() {
        assert!(started.elapsed() < PATIENCE, "writes go on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(sql.rows("SELECT a FROM t").await, json!([[1]]));
}

#[test]
fn a_statement_that_nothing_stops_shows_among_the_numbers_until_it_ends() {
    const STUCK: &str = "dbforge_sql_stuck_threads";
    let scene = Scene::new();
    let (other, on) = (scene.attacked(), scene.attacked());
    let text = "INSERT INTO f SELECT replace(hex(zeroblob(20000)), '00', 'a ')";
    assert_eq!(query(&scene.root, &on.name, text).status, 200);
    assert_eq!(scene.metric(STUCK), 0.0);
    let near = "a ".repeat(200);
    let sql = format!("SELECT count(*) FROM f WHERE f MATCH 'NEAR({near},10)'");
    let started = Stopwatch::start();
    let mut timeout_ms = 100;
    while scene.metric(STUCK) < 1.0 {
        assert!(started.elapsed() < PATIENCE, "it works on, and is seen");
        // Where processors are busy, its time may be over before it has begun.
        let body = json!({"sql": sql, "timeout_ms": timeout_ms});
        let answer = scene.ask("stuck", &scene.root, &on, &body);
        let codes = ["statement_timeout", "overloaded"];
        assert!(codes.contains(&answer.code().as_str()), "{answer:?}");
        timeout_ms *= 2;
    }
    let answer = query(&scene.root, &on.name, "SELECT 1");
    if answer.status == 200 {
        assert_eq!(scene.metric(STUCK), 0.0, "nothing is answered behind it");
    } else {
        assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
        assert!(answer.body.contains("does not stop"), "{answer:?}");
    }
    let answer = query(&scene.root, &other.name, "INSERT INTO witness VALUES (1)");
    assert_eq!(answer.status, 200, "{answer:?}");

    scene.is_whole("stuck", &on);
    assert_eq!(scene.metric(STUCK), 0.0);
    assert!(scene.metric("dbforge_sql_connections") > 0.0);
    scene.end("a statement that nothing stops");
}

async fn until(is_so: impl Fn() -> bool) {
    let started = Stopwatch::start();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
