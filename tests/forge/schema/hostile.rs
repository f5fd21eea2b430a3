//! Schemas that were made to break what reads them.
use super::schema;
use crate::support::sql::{Sql, read_only, soon};
use crate::support::sqlite;
use dbforge::data::{QueryError, QueryOptions, TableKind, quoted};
use std::path::PathBuf;
use std::time::Duration;

/// Runs statements as a program would that has the file alone.
async fn outside(sql: &Sql, statements: &str) {
    let alone = sql.plane.take(&sql.target, soon()).await.unwrap();
    let connection = sqlite::open(main_file(sql));
    connection.execute_batch(statements).unwrap();
    connection.close().unwrap();
    drop(alone);
}

fn main_file(sql: &Sql) -> PathBuf {
    sql.plane
        .folders()
        .living(sql.target.database)
        .join("main.db")
}

#[tokio::test]
async fn names_of_any_kind_are_told_as_they_are() {
    let sql = Sql::new();
    let names = [
        "select",
        "a\"b",
        "a'b",
        "a`b",
        "a]b[",
        "new\nline",
        "tab\t",
        "ü 表 🦀",
        "--",
        "/*",
        ";",
        " ",
        "%s",
        "{}",
        "sqlitely",
        "Ä",
        "ä",
        "rowid",
    ];
    for name in names {
        let column = quoted(&format!("{name} column"));
        sql.ask(&format!(
            "CREATE TABLE {} ({column} TEXT REFERENCES {0}, UNIQUE ({column}))",
            quoted(name)
        ))
        .await
        .unwrap();
        let index = format!(
            "CREATE INDEX {} ON {} ({column})",
            quoted(&format!("{name} index")),
            quoted(name)
        );
        sql.ask(&index).await.unwrap();
    }
    let schema = schema(&sql).await.unwrap();
    for name in names {
        let table = schema.find(name).unwrap();
        assert_eq!((table.name.as_str(), table.kind), (name, TableKind::Table));
        assert_eq!(table.columns[0].name, format!("{name} column"));
        assert_eq!(table.unique_keys, [[format!("{name} column")]]);
        assert_eq!(table.foreign_keys[0].to_table, name);
        assert!(
            table
                .indexes
                .iter()
                .any(|it| it.name == format!("{name} index"))
        );
    }
    assert_eq!(schema.tables.len(), names.len());
}

#[tokio::test]
async fn views_that_are_broken_and_modules_that_are_missing_break_nothing_else() {
    let sql = Sql::new();
    outside(
        &sql,
        "CREATE TABLE t (a); CREATE VIEW of_nothing AS SELECT * FROM gone; \
         CREATE VIEW of_itself AS SELECT * FROM of_itself; \
         CREATE VIEW forbidden AS SELECT load_extension('x') AS a; \
         CREATE VIEW fine AS SELECT a FROM t; \
         CREATE VIEW a_to AS SELECT * FROM b_to; CREATE VIEW b_to AS SELECT * FROM a_to; \
         PRAGMA writable_schema = ON; \
         INSERT INTO sqlite_schema VALUES ('table', 'odd', 'odd', 0, 'CREATE VIRTUAL TABLE odd USING no_such(a)');",
    )
    .await;
    let schema = schema(&sql).await.unwrap();
    for name in [
        "of_nothing",
        "of_itself",
        "forbidden",
        "a_to",
        "b_to",
        "odd",
    ] {
        let table = schema.find(name).unwrap();
        assert!(
            table.columns.is_empty() && table.trouble.is_some(),
            "{table:?}"
        );
    }
    assert_eq!(schema.find("odd").unwrap().kind, TableKind::Virtual);
    assert_eq!(schema.find("fine").unwrap().columns.len(), 1);
    assert_eq!(schema.find("t").unwrap().columns.len(), 1);
}

#[tokio::test]
async fn stored_text_that_is_no_sql_is_an_error_and_no_fault() {
    let sql = Sql::new();
    outside(
        &sql,
        "CREATE TABLE t (a); PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE t (a'",
    )
    .await;
    let error = schema(&sql).await.unwrap_err();
    assert!(
        matches!(error, QueryError::Broken { .. } | QueryError::Sql { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn ten_thousand_tables_are_told_without_holding_up_the_thread_that_serves() {
    let sql = Sql::new();
    let tables: String = (0..10_000)
        .map(|number| format!("CREATE TABLE t{number} (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INT REFERENCES t0);"))
        .collect();
    outside(&sql, &format!("BEGIN; {tables} COMMIT;")).await;
    // On a runtime of one thread, which would see no tick if reading held it.
    let mut ticks = 0;
    let options = QueryOptions {
        timeout: Some(Duration::from_secs(60)),
        ..read_only()
    };
    let guard = sql.plane.enter(sql.target.database, soon()).await.unwrap();
    let mut reading = std::pin::pin!(sql.plane.schema(&guard, &sql.target, &options));
    let schema = loop {
        tokio::select! {
            schema = &mut reading => break schema.unwrap(),
            () = tokio::task::yield_now() => ticks += 1,
        }
    };
    assert_eq!(schema.tables.len(), 10_000);
    assert_eq!(
        schema.find("t9999").unwrap().foreign_keys[0].to_columns,
        ["id"]
    );
    assert!(ticks > 10, "{ticks} ticks");
}

#[tokio::test]
async fn more_than_is_told_is_refused_with_the_bound() {
    let sql = Sql::new();
    let comment = "x".repeat(900_000);
    let tables: String = (0..20)
        .map(|number| format!("CREATE TABLE t{number} (a /* {comment} */);"))
        .collect();
    outside(&sql, &tables).await;
    let error = schema(&sql).await.unwrap_err();
    assert!(
        matches!(&error, QueryError::PayloadTooLarge { limit, .. } if limit.contains("16777216 bytes")),
        "{error:?}"
    );
}

#[tokio::test]
async fn views_that_double_with_each_have_no_columns_and_break_nothing_else() {
    for joins in [false, true] {
        let sql = Sql::new();
        let mut statements = "CREATE TABLE t (a); CREATE VIEW z AS SELECT a FROM t; \
                              CREATE VIEW v0 AS SELECT 1 AS a FROM t;"
            .to_owned();
        for depth in 1..60 {
            let before = format!("v{}", depth - 1);
            let body = match joins {
                true => format!("SELECT 1 AS a FROM {before}, {before} AS other"),
                false => format!("SELECT a FROM {before} UNION ALL SELECT a FROM {before}"),
            };
            statements += &format!("CREATE VIEW v{depth} AS {body};");
        }
        outside(&sql, &statements).await;
        let schema = schema(&sql).await.unwrap();
        for (name, is_told) in [("t", true), ("z", true), ("v3", true), ("v59", false)] {
            let table = schema.find(name).unwrap();
            assert_eq!(table.columns.len(), usize::from(is_told), "{table:?}");
            assert_eq!(table.trouble.is_none(), is_told, "{table:?}");
        }
        sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
        let health = sql.plane.health();
        assert_eq!(health.stuck_threads, 0, "{health:?}");
    }
}

#[tokio::test]
async fn a_function_that_is_missing_keeps_no_other_column_from_being_read() {
    let sql = Sql::new();
    outside(
        &sql,
        "CREATE TABLE t (a, b DEFAULT (abs(1)), c AS (abs(a)) STORED, d AS (abs(a))); \
         INSERT INTO t (a) VALUES (7); PRAGMA writable_schema = ON; \
         UPDATE sqlite_schema SET sql = replace(sql, 'abs', 'no_such')",
    )
    .await;
    let schema = schema(&sql).await.unwrap();
    assert_eq!(schema.find("t").unwrap().columns.len(), 4);
    let answer = sql.ask("SELECT a FROM t").await;
    assert!(answer.is_ok(), "{answer:?}");
}
