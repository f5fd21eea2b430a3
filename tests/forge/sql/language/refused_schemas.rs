//! Views and triggers that nobody could use are refused when they are made.
use crate::support::sql::Sql;
use dbforge::data::QueryError;

async fn sql() -> Sql {
    let sql = Sql::new();
    for made in [
        "CREATE TABLE t (a, b)",
        "CREATE VIEW fine AS SELECT a FROM t",
    ] {
        sql.ask(made).await.unwrap();
    }
    sql
}

#[tokio::test]
async fn a_text_in_double_quotes_is_refused_where_it_would_break_every_use() {
    let sql = sql().await;
    for made in [
        "CREATE VIEW v AS SELECT \"no column\" FROM t",
        "CREATE VIEW v AS SELECT a FROM t WHERE b = \"x\"",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET b = \"done\"; END",
        "CREATE TRIGGER g BEFORE UPDATE OF b ON t WHEN new.b = \"x\" BEGIN SELECT 1; END",
        "CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO t VALUES (\"x\", 1); END",
        "CREATE TRIGGER g INSTEAD OF INSERT ON fine BEGIN SELECT \"it's\"; END",
    ] {
        let Err(QueryError::Sql { message, hint }) = sql.ask(made).await else {
            panic!("{made} was made");
        };
        assert!(message.starts_with("no such column: \""), "{message}");
        let hint = hint.unwrap();
        assert!(hint.contains("is a name; a text is written '"), "{hint}");
        sql.ask("INSERT INTO t VALUES (1, 2)").await.unwrap();
        sql.ask("DELETE FROM t").await.unwrap();
    }
    let left = sql
        .rows("SELECT name FROM sqlite_schema ORDER BY name")
        .await;
    assert_eq!(left, serde_json::json!([["fine"], ["t"]]));
}

#[tokio::test]
async fn names_in_double_quotes_and_tables_that_come_later_are_no_reason_to_refuse() {
    let sql = sql().await;
    for made in [
        "CREATE VIEW v AS SELECT \"a\" AS \"x y\", 'text' FROM \"t\"",
        "CREATE VIEW later AS SELECT * FROM comes_later",
        "CREATE TRIGGER g AFTER INSERT ON \"t\" BEGIN INSERT INTO comes_later VALUES (new.\"a\"); END",
        "CREATE TABLE d (a DEFAULT 'x', b)",
        "CREATE TRIGGER h AFTER INSERT ON d BEGIN SELECT 'x'; END",
    ] {
        sql.ask(made).await.unwrap();
    }
}

#[tokio::test]
async fn a_sequence_that_was_set_past_every_number_is_the_users_conflict() {
    let sql = sql().await;
    sql.ask("CREATE TABLE q (id INTEGER PRIMARY KEY AUTOINCREMENT, n)")
        .await
        .unwrap();
    sql.ask("INSERT INTO q (n) VALUES (1)").await.unwrap();
    for past in [
        "9e999",
        "9223372036854775807",
        "1e19",
        "'9223372036854775807'",
    ] {
        sql.ask(&format!("UPDATE sqlite_sequence SET seq = {past}"))
            .await
            .unwrap();
        let full = sql.ask("INSERT INTO q (n) VALUES (2)").await;
        assert!(
            matches!(&full, Err(QueryError::Constraint { message }) if message.contains("AUTOINCREMENT")),
            "{past}: {full:?}"
        );
    }
    sql.ask("UPDATE sqlite_sequence SET seq = 1").await.unwrap();
    sql.ask("INSERT INTO q (n) VALUES (2)").await.unwrap();
}
