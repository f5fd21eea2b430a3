//! Writes: grouped, each for itself, lasting when answered.
mod files;
mod large;
mod many_rows;

use crate::support::sql::{Sql, read_write, soon, within};
use dbforge::clock::{Deadline, Stopwatch};
use dbforge::data::{BatchMode, BatchStatement, Params, QueryError, SqliteConfig};
use futures_util::future::join_all;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// What one writer was told: the rows that were acknowledged, and that nothing else failed. Half of
/// its statements are texts that were seen before, half are new ones.
async fn writer(sql: Arc<Sql>, number: u64) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    for turn in 0..40 {
        // Row 0 is there already.
        let id = match (number + turn) % 8 {
            4 | 5 if turn % 3 == 0 => 0,
            _ => number * 1_000 + turn,
        };
        let (question, options, may_fail): (String, _, bool) = match (number + turn) % 8 {
            0 => (
                // It breaks a rule, and takes the whole transaction with it.
                format!("INSERT OR ROLLBACK INTO t (id, u) VALUES ({id}, 1)"),
                read_write(),
                true,
            ),
            1 => (
                // It passes every check but the one at COMMIT.
                format!("INSERT INTO child (id, parent) VALUES ({id}, -1)"),
                read_write(),
                true,
            ),
            2 if turn % 10 == 2 => (
                // It is cut in the middle of writing.
                format!(
                    "INSERT INTO t (id) WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 \
                     FROM c) SELECT -{id} * 1000000000 - x FROM c"
                ),
                within(Duration::from_millis(20)),
                true,
            ),
            3 => (
                format!("INSERT INTO t (id, u) VALUES ({id}, 1) RETURNING id"),
                read_write(),
                true,
            ),
            4 => (
                format!("INSERT OR ROLLBACK INTO t (id) VALUES ({id})"),
                read_write(),
                id == 0,
            ),
            _ => (
                format!("INSERT INTO t (id) VALUES ({id})"),
                read_write(),
                id == 0,
            ),
        };
        let (question, params) = if turn % 2 == 0 {
            (question, Params::None)
        } else {
            let params = serde_json::from_value(json!([id])).unwrap();
            (question.replace(&format!("({id}"), "(?1"), params)
        };
        let result = sql.request(&sql.target, &question, params, options).await;
        match result {
            Ok(_) if may_fail => panic!("{question} cannot end well"),
            Ok(_) => acknowledged.push(id),
            Err(error) => assert!(may_fail, "{question}: {error}"),
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_neighbour_of_32_loses_an_acknowledged_row_to_another_ones_failure() {
    let sql = Arc::new(Sql::new());
    for question in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, \
         parent REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO t VALUES (0, 1)",
    ] {
        sql.ask(question).await.unwrap();
    }
    let writers: Vec<_> = (1..=32)
        .map(|number| tokio::spawn(writer(Arc::clone(&sql), number)))
        .collect();
    let mut expected = vec![0];
    for writer in writers {
        expected.extend(writer.await.unwrap());
    }
    expected.sort_unstable();

    let options = dbforge::data::QueryOptions {
        max_rows: Some(100_000),
        ..read_write()
    };
    let found = sql
        .ask_as("SELECT id FROM t ORDER BY id", options)
        .await
        .unwrap();
    let found: Vec<u64> = (found["rows"].as_array().unwrap().iter())
        .map(|row| row[0].as_u64().unwrap())
        .collect();
    assert_eq!(found, expected, "what was acknowledged, and nothing else");
    assert_eq!(sql.rows("SELECT * FROM child").await, json!([]));
    assert_eq!(sql.rows("PRAGMA quick_check").await, json!([["ok"]]));
    assert_eq!(sql.rows("PRAGMA foreign_key_check").await, json!([]));
}

/// One thread, as a connection has it: its reads share a transaction.
#[tokio::test]
async fn each_of_32_reads_what_it_was_told_of_while_all_read_and_write() {
    let sql = Arc::new(Sql::new());
    sql.ask("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        .await
        .unwrap();
    let client = |number: u64, sql: Arc<Sql>| async move {
        for turn in 0..50 {
            let id = number * 1_000 + turn;
            let params = format!("[{id}]");
            let insert = "INSERT INTO t VALUES (?)";
            sql.ask_with(insert, &params).await.unwrap();
            for _ in 0..10 {
                let question = "SELECT count(*) FROM t WHERE id = ?";
                let found = sql.ask_with(question, &params).await.unwrap();
                assert_eq!(found["rows"], json!([[1]]), "row {id}");
            }
        }
    };
    let clients = (1..=32).map(|number| tokio::spawn(client(number, Arc::clone(&sql))));
    for client in join_all(clients).await {
        client.unwrap();
    }
}

/// A write that goes on for ever and needs no room.
const ENDLESS: &str = "INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 \
                       FROM c) SELECT count(*) FROM c";

#[tokio::test]
async fn a_long_write_does_not_hold_back_those_it_shares_a_commit_with() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    let stopwatch = Stopwatch::start();
    // While the first one has the line for itself, the others gather behind it.
    let first = async {
        let options = within(Duration::from_millis(200));
        sql.ask_as(ENDLESS, options).await.unwrap_err();
    };
    let short = join_all((0..20).map(|_| async {
        sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
        stopwatch.elapsed()
    }));
    let long = async {
        // Another text: what was learned about the first one does not help.
        let question = format!("{ENDLESS} ");
        let long = sql.ask_as(&question, within(Duration::from_secs(3)));
        long.await.unwrap_err()
    };
    let ((), short, long) = tokio::join!(first, short, long);
    let last = short.into_iter().max().unwrap();
    assert!(last < Duration::from_secs(2), "one waited {last:?}");
    assert_eq!(long, QueryError::Timeout { timeout_ms: 3_000 });
    assert_eq!(sql.rows("SELECT count(*) FROM t").await, json!([[20]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_takes_its_request_with_it() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    let read = ENDLESS.strip_prefix("INSERT INTO t ").unwrap();
    for endless in [ENDLESS, read] {
        let gone = sql.ask_as(endless, within(Duration::from_secs(60)));
        tokio::time::timeout(Duration::from_millis(100), gone)
            .await
            .expect_err("it runs for a minute");
        // Its minute is not over, and the files are free.
        let deadline = Deadline::after(Duration::from_secs(10));
        let taken = sql.plane.take(&sql.target, deadline).await;
        drop(taken.expect("nothing runs any more"));
    }
    sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(sql.rows("SELECT a FROM t").await, json!([[1]]));
}

#[tokio::test]
async fn a_batch_is_kept_whole_or_not_at_all() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a UNIQUE)").await.unwrap();
    let guard = sql.plane.enter(sql.target.database, soon()).await.unwrap();
    let statement = |sql: &str| BatchStatement {
        sql: sql.into(),
        params: Params::None,
    };
    let statements = vec![
        statement("INSERT INTO t VALUES (1)"),
        statement("CREATE TABLE u (a)"),
        statement("INSERT INTO t VALUES (1)"),
    ];
    let error = sql
        .plane
        .batch(
            &guard,
            &sql.target,
            statements.clone(),
            BatchMode::Immediate,
            read_write(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.statement, 2);
    assert!(
        matches!(error.error, QueryError::Constraint { .. }),
        "{error}"
    );
    assert_eq!(
        sql.rows("SELECT name FROM sqlite_schema WHERE name = 'u'")
            .await,
        json!([])
    );
    assert_eq!(sql.rows("SELECT a FROM t").await, json!([]));

    let answers = sql
        .plane
        .batch(
            &guard,
            &sql.target,
            statements[..2].to_vec(),
            BatchMode::Immediate,
            read_write(),
        )
        .await
        .unwrap();
    assert_eq!(answers.len(), 2);
    assert_eq!(sql.rows("SELECT a FROM t").await, json!([[1]]));
}

#[tokio::test]
async fn a_database_that_is_full_refuses_writes_goes_on_reading_and_can_be_emptied() {
    let mut sql = Sql::new();
    sql.target.size_bytes = 256 << 10;
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    let too_much = "INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c \
                    LIMIT 1000) SELECT randomblob(1000) FROM c";
    let error = sql.ask(too_much).await.unwrap_err();
    assert_eq!(error, QueryError::QuotaExceeded);
    assert_eq!(sql.rows("SELECT count(*) FROM t").await, json!([[0]]));
    sql.ask("INSERT INTO t VALUES (1)").await.unwrap();

    sql.target.size_bytes = 8 << 20;
    sql.ask(too_much).await.expect("it may grow now");
    sql.target.size_bytes = 256 << 10;
    let error = sql.ask(too_much).await.unwrap_err();
    assert_eq!(error, QueryError::QuotaExceeded);
    sql.ask("DELETE FROM t")
        .await
        .expect("deleting needs no room");
}

#[tokio::test]
async fn a_line_that_is_full_turns_away() {
    let config = SqliteConfig {
        waiting_writes: 0,
        waiting_reads: 0,
        readers_per_database: 1,
        ..SqliteConfig::default()
    };
    let sql = Sql::with(config);
    let error = sql.ask("CREATE TABLE t (a)").await.unwrap_err();
    assert!(matches!(error, QueryError::Overloaded { .. }), "{error}");
    assert!(error.is_retryable());

    let long =
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c";
    let (first, second) = tokio::join!(
        sql.ask_as(long, within(Duration::from_millis(200))),
        sql.ask_as(long, within(Duration::from_millis(200)))
    );
    let errors = [first.unwrap_err(), second.unwrap_err()];
    assert_eq!(errors[0], QueryError::Timeout { timeout_ms: 200 });
    assert!(
        matches!(errors[1], QueryError::Overloaded { .. }),
        "{}",
        errors[1]
    );
}
