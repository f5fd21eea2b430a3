//! Statements that change many pages: their journals, sorters and tables of their own are on disk.
use crate::support::sql::{Sql, soon, within};
use dbforge::data::{BatchMode, BatchStatement, Params, QueryError, SqliteConfig};
use serde_json::json;
use std::time::Duration;

/// Some 24 MiB in 24,000 rows.
const FILL: &str = "INSERT INTO t (a, b) WITH RECURSIVE n (x) AS \
                    (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 24000) \
                    SELECT x, zeroblob(1000) FROM n";

async fn filled(temp_bytes: u64) -> Sql {
    let mut sql = Sql::with(SqliteConfig {
        temp_bytes,
        ..SqliteConfig::default()
    });
    sql.target.size_bytes = 1 << 30;
    sql.ask("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)")
        .await
        .unwrap();
    sql.ask_as(FILL, within(Duration::from_secs(30)))
        .await
        .unwrap();
    sql
}

fn files_of(sql: &Sql) -> Vec<String> {
    let folder = sql.plane.folders().living(sql.target.database);
    let mut files: Vec<String> = (std::fs::read_dir(folder).unwrap())
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    files
}

/// A journal is closed with its transaction, which may end a moment after its answer.
async fn gives_all_back(sql: &Sql) {
    let deadline = soon();
    while sql.plane.health().temp_bytes > 0 {
        assert!(
            !deadline.has_passed(),
            "temporary files are closed in the end"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_files_past_their_bound_end_the_statement_and_nothing_else() {
    let sql = filled(8 << 20).await;
    let before = files_of(&sql);
    for question in [
        "UPDATE t SET b = zeroblob(1001)",
        "CREATE INDEX wide ON t (b, a)",
        "DELETE FROM t WHERE a % 2 = 0",
        "ALTER TABLE t DROP COLUMN a",
        "CREATE TABLE u AS SELECT * FROM t ORDER BY b DESC, a DESC",
    ] {
        let (large, small) = tokio::join!(
            sql.ask_as(question, within(Duration::from_secs(30))),
            sql.ask("INSERT INTO t (a) VALUES (0)"),
        );
        let error = large.unwrap_err();
        let is_told = matches!(&error, QueryError::TemporaryFilesFull { limit }
            if limit.contains("4194304 bytes"));
        assert!(is_told, "{question}: {error}");
        small.expect("a neighbour in the same line is kept");
        gives_all_back(&sql).await;
        assert_eq!(files_of(&sql), before, "{question}");
    }
    let rows = "SELECT count(*), sum(a > 0), max(length(b)) FROM t";
    assert_eq!(sql.rows(rows).await, json!([[24_005, 24_000, 1000]]));
    sql.ask("UPDATE t SET a = 1 WHERE id < 100").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_temporary_files_took_is_given_back() {
    let sql = filled(256 << 20).await;
    for question in [
        "UPDATE t SET b = zeroblob(1001)",
        "CREATE INDEX wide ON t (b, a)",
        "DELETE FROM t WHERE a % 2 = 0",
    ] {
        sql.ask_as(question, within(Duration::from_secs(30)))
            .await
            .unwrap_or_else(|error| panic!("{question}: {error}"));
        gives_all_back(&sql).await;
    }
    let statement = |sql: &str| BatchStatement {
        sql: sql.into(),
        params: Params::None,
    };
    let batch = vec![
        statement("UPDATE t SET a = a + 1"),
        statement("UPDATE t SET a = a - 1"),
    ];
    let guard = sql.plane.enter(sql.target.database, soon()).await.unwrap();
    let options = within(Duration::from_secs(30));
    (sql.plane)
        .batch(&guard, &sql.target, batch, BatchMode::Immediate, options)
        .await
        .unwrap();
    gives_all_back(&sql).await;
    assert_eq!(sql.rows("SELECT count(*) FROM t").await, json!([[12_000]]));
    let check = sql.rows("PRAGMA quick_check").await;
    assert_eq!(check, json!([["ok"]]));
}
