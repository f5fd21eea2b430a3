//! A schema is kept as long as it has not changed, and not a moment longer.
use super::schema;
use crate::support::sql::{Sql, read_write, soon};
use crate::support::sqlite;
use dbforge::clock::SystemClock;
use dbforge::data::{
    Access, BatchMode, BatchStatement, NewTransaction, Params, SqliteConfig, TransactionKey,
    TransactionMode,
};
use std::sync::Arc;
use std::time::Duration;

/// Looks at the file of another program's changes only once an hour.
fn trusting() -> SqliteConfig {
    SqliteConfig {
        look_every: Duration::from_secs(3600),
        ..SqliteConfig::default()
    }
}

async fn columns(sql: &Sql, table: &str) -> Vec<String> {
    let schema = schema(sql).await.unwrap();
    let table = schema.find(table);
    let columns = table.map(|table| table.columns.iter().map(|it| it.name.clone()).collect());
    columns.unwrap_or_default()
}

#[tokio::test]
async fn a_schema_that_has_not_changed_is_the_same_one() {
    let sql = Sql::with(trusting());
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    let first = schema(&sql).await.unwrap();
    sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
    assert!(Arc::ptr_eq(&first, &schema(&sql).await.unwrap()));
    sql.ask("CREATE INDEX i ON t (a)").await.unwrap();
    let second = schema(&sql).await.unwrap();
    assert_ne!(first.version, second.version);
    assert_eq!(second.find("t").unwrap().indexes.len(), 1);
}

#[tokio::test]
async fn every_change_is_seen_at_once_and_what_is_rolled_back_is_not() {
    let sql = Sql::with(trusting());
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    assert_eq!(columns(&sql, "t").await, ["a"]);
    sql.ask("ALTER TABLE t ADD COLUMN b").await.unwrap();
    assert_eq!(columns(&sql, "t").await, ["a", "b"]);

    let guard = sql.plane.enter(sql.target.database, soon()).await.unwrap();
    let statements =
        ["ALTER TABLE t ADD COLUMN c", "SELECT no_such_column"].map(|text| BatchStatement {
            sql: text.into(),
            params: Params::None,
        });
    let failed = sql.plane.batch(
        &guard,
        &sql.target,
        statements.to_vec(),
        BatchMode::Immediate,
        read_write(),
    );
    failed.await.unwrap_err();
    assert_eq!(columns(&sql, "t").await, ["a", "b"]);
    let kept = sql.plane.batch(
        &guard,
        &sql.target,
        statements.to_vec(),
        BatchMode::None,
        read_write(),
    );
    kept.await.unwrap_err();
    assert_eq!(columns(&sql, "t").await, ["a", "b", "c"]);
    sql.ask("DROP TABLE t").await.unwrap();
    assert!(columns(&sql, "t").await.is_empty());
}

#[tokio::test]
async fn an_open_transactions_changes_are_seen_when_it_commits() {
    let sql = Sql::with(trusting());
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    for commits in [false, true] {
        let guard = sql.plane.enter(sql.target.database, soon()).await.unwrap();
        let new = NewTransaction {
            mode: TransactionMode::Immediate,
            owner: None,
            access: Access::ReadWrite,
            wait: None,
            idle: None,
            total: None,
        };
        let begun = sql
            .plane
            .begin(&guard, &sql.target, new, &SystemClock)
            .await
            .unwrap();
        let key = TransactionKey {
            id: &begun.id,
            database: sql.target.database,
            owner: None,
        };
        // The second one fails behind a change that is kept.
        let statements =
            ["ALTER TABLE t ADD COLUMN b", "SELECT no_such_column"].map(|text| BatchStatement {
                sql: text.into(),
                params: Params::None,
            });
        let ran = sql.plane.batch_in(
            &key,
            statements.to_vec(),
            BatchMode::None,
            read_write(),
            &SystemClock,
        );
        ran.await.unwrap_err();
        assert_eq!(columns(&sql, "t").await, ["a"]);
        if commits {
            sql.plane.commit(&key, &SystemClock).await.unwrap();
            assert_eq!(columns(&sql, "t").await, ["a", "b"]);
        } else {
            sql.plane.roll_back(&key, &SystemClock).await.unwrap();
            assert_eq!(columns(&sql, "t").await, ["a"]);
        }
    }
}

#[tokio::test]
async fn a_file_that_was_changed_or_exchanged_is_read_anew() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    assert_eq!(columns(&sql, "t").await, ["a"]);
    let folder = sql.plane.folders().living(sql.target.database);
    let other = sqlite::open(folder.join("main.db"));
    other
        .execute_batch("ALTER TABLE t RENAME COLUMN a TO b")
        .unwrap();
    assert_eq!(columns(&sql, "t").await, ["b"]);
    drop(other);

    let alone = sql.plane.take(&sql.target, soon()).await.unwrap();
    let path = folder.join("main.db");
    std::fs::remove_file(&path).unwrap();
    let engine = sql.plane.engines().find("sqlite").unwrap();
    engine.create_file(&folder, sql.target.durability).unwrap();
    drop(alone);
    assert!(columns(&sql, "t").await.is_empty());
}
