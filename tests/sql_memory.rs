//! A statement's memory is bounded. In a program of its own: the bound is set when SQLite starts in
//! a process, which the other tests share.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#[expect(dead_code, reason = "shared with the other tests, which use all of it")]
#[path = "forge/support/sql.rs"]
mod sql_support;
#[expect(dead_code, reason = "shared with the other tests, which use all of it")]
#[path = "forge/support/sqlite.rs"]
mod sqlite;

use dbforge::data::{QueryError, QueryOptions, SqliteConfig, Target};
use serde_json::json;
use sql_support::{Sql, read_write, within};
use std::fs;
use std::time::Duration;

/// Most bytes of memory that this process has had.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|it| it.starts_with("VmHWM:")).unwrap();
    let kib = line.split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_hoards_memory_ends_and_takes_nobody_with_it() {
    let sql = Sql::with(SqliteConfig {
        temp_bytes: 64 << 20,
        ..SqliteConfig::default()
    });
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
    let hoards = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 200000000) \
                  SELECT x FROM (SELECT x, randomblob(200) AS r FROM c) ORDER BY r";
    let before = peak_bytes();
    for question in [hoards.to_owned(), format!("INSERT INTO t {hoards}")] {
        let error = sql
            .ask_as(&question, within(Duration::from_secs(30)))
            .await
            .unwrap_err();
        // A read sorts in memory, a write on disk.
        let is_told = match &error {
            QueryError::Sql { message, .. } => message.contains("memory"),
            QueryError::TemporaryFilesFull { .. } => question.starts_with("INSERT"),
            _ => false,
        };
        assert!(is_told, "{error}");
        assert_eq!(sql.rows("SELECT a FROM t").await, json!([[1]]));
        sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
        sql.ask("DELETE FROM t WHERE rowid > 1").await.unwrap();
    }
    let grown = peak_bytes() - before;
    assert!(grown < 320 << 20, "memory grew by {} MiB", grown >> 20);

    let sorts = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 100000) \
                 SELECT x FROM (SELECT x, randomblob(100) AS r FROM c) ORDER BY r";
    let options = QueryOptions {
        max_rows: Some(1),
        ..read_write()
    };
    let sorted = sql.ask_as(sorts, options).await;
    sorted.expect("a large sort has room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_of_more_pages_than_memory_has_room_for_ends_well() {
    let sql = Sql::new();
    let target = Target {
        size_bytes: 2 << 30,
        ..sql.target
    };
    let ask = async |question: &str| {
        let options = within(Duration::from_secs(60));
        let asked = sql.request(&target, question, Default::default(), options);
        let answer = asked.await;
        answer.unwrap_or_else(|error| panic!("{question}: {error}"))
    };
    ask("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)").await;
    ask("INSERT INTO t (a, b) WITH RECURSIVE n (x) AS \
         (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 40000) \
         SELECT x, zeroblob(5300) FROM n")
    .await;
    // Each changes or sorts some 210 MiB, and has 192 MiB of memory.
    for question in [
        "UPDATE t SET a = a + 1",
        "CREATE INDEX wide ON t (b, a)",
        "DROP INDEX wide",
        "ALTER TABLE t DROP COLUMN a",
        "CREATE TABLE u AS SELECT * FROM t ORDER BY b DESC, id DESC",
        "INSERT INTO t (b) SELECT b FROM u",
        "DELETE FROM t WHERE id % 2 = 0",
    ] {
        ask(question).await;
    }
    let count = ask("SELECT count(*) FROM t").await;
    let body = String::from_utf8(count.body.to_vec()).unwrap();
    assert!(body.contains("[[40000]]"), "{body}");
}
