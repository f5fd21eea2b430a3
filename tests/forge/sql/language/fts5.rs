//! Full-text tables whose rows are elsewhere are kept right by their user, and may be wrong; those
//! that keep their rows are wrong when the file is damaged.
use crate::support::sql::Sql;
use crate::support::sqlite;
use dbforge::data::QueryError;
use dbforge::engine::sqlite::MAIN_FILE;
use serde_json::json;

#[tokio::test]
async fn an_index_that_does_not_fit_its_rows_is_the_users_error() {
    let sql = Sql::new();
    for made in [
        "CREATE TABLE doc (id INTEGER PRIMARY KEY, body)",
        "INSERT INTO doc VALUES (1, 'one two'), (2, 'two three')",
        "CREATE VIRTUAL TABLE f USING fts5(body, content='doc', content_rowid='id')",
        "INSERT INTO f(f) VALUES ('rebuild')",
        "CREATE VIRTUAL TABLE bare USING fts5(body, content='')",
        "INSERT INTO bare(rowid, body) VALUES (1, 'a')",
        "CREATE VIRTUAL TABLE loose USING fts5(body, content='', contentless_delete=1)",
        "INSERT INTO loose(rowid, body) VALUES (1, 'a')",
        "CREATE TRIGGER g AFTER DELETE ON doc BEGIN \
           INSERT INTO f(f, rowid, body) VALUES ('delete', old.id, old.body || ' more and more'); END",
    ] {
        sql.ask(made).await.unwrap();
    }
    let wrong = [
        (
            "INSERT INTO f(f, rowid, body) VALUES ('delete', 1, 'no such words are in this table at all')",
            "'rebuild'",
        ),
        (
            "INSERT INTO bare(bare, rowid, body) VALUES ('delete', 1, 'other words than it has')",
            "'delete-all'",
        ),
        ("DELETE FROM doc", "'rebuild'"),
        ("DELETE FROM bare", "contentless_delete=1"),
        ("UPDATE bare SET body = 'b'", "contentless_delete=1"),
        ("INSERT INTO bare(bare) VALUES ('rebuild')", "'delete-all'"),
        ("UPDATE loose SET rowid = 7", "every column"),
        (
            "INSERT INTO loose(loose, rowid, body) VALUES ('delete', 1, 'a')",
            "DELETE FROM",
        ),
    ];
    for _ in 0..2 {
        for (statement, helps) in wrong {
            let error = sql.ask(statement).await.unwrap_err();
            assert!(
                matches!(&error, QueryError::Sql { hint: Some(hint), .. } if hint.contains(helps)),
                "{statement}: {error:?}"
            );
        }
    }
    sql.ask("DROP TRIGGER g").await.unwrap();
    sql.ask("DELETE FROM doc WHERE id = 2").await.unwrap();
    let missing = sql.ask("SELECT body FROM f WHERE f MATCH 'three'").await;
    assert!(
        matches!(&missing, Err(QueryError::Sql { hint: Some(_), .. })),
        "{missing:?}"
    );
    sql.ask("INSERT INTO f(f) VALUES ('rebuild')")
        .await
        .unwrap();
    assert_eq!(
        sql.rows("SELECT body FROM f WHERE f MATCH 'two'").await,
        json!([["one two"]])
    );
}

#[tokio::test]
async fn a_full_text_table_that_is_damaged_is_told_as_such() {
    let sql = Sql::new();
    sql.ask("CREATE VIRTUAL TABLE f USING fts5(body)")
        .await
        .unwrap();
    sql.ask("INSERT INTO f VALUES ('one two'), ('two three')")
        .await
        .unwrap();
    let file = sql
        .plane
        .folders()
        .living(sql.target.database)
        .join(MAIN_FILE);
    let plain = sqlite::open(file);
    plain
        .execute("UPDATE f_data SET block = x'ffffffffffffffff'", [])
        .unwrap();
    drop(plain);
    let error = sql
        .ask("SELECT * FROM f WHERE f MATCH 'two'")
        .await
        .unwrap_err();
    assert!(matches!(error, QueryError::Broken { .. }), "{error:?}");
}

#[tokio::test]
async fn a_check_on_a_reader_sees_what_was_written_through_full_text_tables() {
    let sql = Sql::new();
    for made in [
        "CREATE VIRTUAL TABLE f USING fts5(body)",
        "CREATE VIRTUAL TABLE \"g \"\"h\" USING fts5(body, prefix='1 2')",
    ] {
        sql.ask(made).await.unwrap();
    }
    for round in 0..20 {
        for table in ["f", "\"g \"\"h\""] {
            let insert = format!("INSERT INTO {table} VALUES ('words {round} and more')");
            sql.ask(&insert).await.unwrap();
            sql.rows(&format!(
                "SELECT count(*) FROM {table} WHERE {table} MATCH 'words'"
            ))
            .await;
        }
        if round % 7 == 6 {
            sql.ask("INSERT INTO f(f) VALUES ('optimize')")
                .await
                .unwrap();
            sql.ask("DELETE FROM f WHERE rowid % 2").await.unwrap();
        }
        assert_eq!(
            sql.rows("PRAGMA quick_check").await,
            json!([["ok"]]),
            "{round}"
        );
        let table_valued = "SELECT * FROM pragma_quick_check";
        assert_eq!(sql.rows(table_valued).await, json!([["ok"]]), "{round}");
    }
}
