//! A migration is applied once, in order, in one transaction.
use super::{applied, apply, apply_with, rows, shop};
use serde_json::json;

#[tokio::test]
async fn a_migration_is_applied_once_whatever_its_line_ends_are() {
    let forge = shop().await;
    let sql = "CREATE TABLE t (a);\nINSERT INTO t VALUES (1);\n";
    let first = apply(&forge, "0001_t", sql).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(first.json()["statements"], 2);
    assert_eq!(first.json()["applied_by"], "root");
    for same in [sql.to_owned(), sql.replace('\n', "\r\n")] {
        let again = apply(&forge, "0001_t", &same).await;
        assert_eq!(again.status, 200, "{}", again.text);
        assert_eq!(again.json(), first.json());
    }
    assert_eq!(rows(&forge, "SELECT a FROM t").await, json!([[1]]));
    assert_eq!(applied(&forge).await, ["0001_t"]);
}

#[tokio::test]
async fn another_text_under_a_used_name_is_refused() {
    let forge = shop().await;
    assert_eq!(apply(&forge, "1", "CREATE TABLE t (a)").await.status, 201);
    let changed = apply(&forge, "1", "CREATE TABLE t (a, b)").await;
    let hint = changed.problem(409, "migration_changed");
    assert!(hint.contains("as a new one"), "{hint}");
    assert_eq!(applied(&forge).await, ["1"]);
}

#[tokio::test]
async fn a_name_that_comes_before_the_last_one_is_refused_unless_it_is_meant() {
    let forge = shop().await;
    assert_eq!(apply(&forge, "2_b", "CREATE TABLE b (a)").await.status, 201);
    assert_eq!(
        apply(&forge, "10_c", "CREATE TABLE c (a)").await.status,
        201
    );
    let late = apply(&forge, "9_a", "CREATE TABLE a (a)").await;
    late.problem(409, "migration_out_of_order");
    let meant = json!({ "name": "9_a", "sql": "CREATE TABLE a (a)", "out_of_order": true });
    assert_eq!(apply_with(&forge, meant).await.status, 201);
    assert_eq!(applied(&forge).await, ["2_b", "10_c", "9_a"]);
}

#[tokio::test]
async fn a_statement_that_fails_takes_all_of_it_back_and_is_told_with_its_place() {
    let forge = shop().await;
    let sql = "CREATE TABLE t (a);\n\nINSERT INTO t VALUES (1);\nINSERT INTO u VALUES (1);";
    let failed = apply(&forge, "1", sql).await;
    let hint = failed.problem(400, "sql_error");
    assert!(
        hint.contains("statement 2, at line 4, failed; the migration was rolled back"),
        "{hint}"
    );
    assert_eq!(failed.json()["statement"], 2);
    assert_eq!(failed.json()["offset"], 47);
    assert!(applied(&forge).await.is_empty());
    let tables = rows(&forge, "SELECT name FROM sqlite_schema").await;
    assert_eq!(tables, json!([]));
}

#[tokio::test]
async fn begin_and_commit_inside_are_what_a_migration_is_anyway() {
    let forge = shop().await;
    let sql = "BEGIN TRANSACTION; CREATE TABLE t (a); COMMIT; BEGIN; SAVEPOINT s; INSERT INTO t VALUES (1); \
        ROLLBACK TO s; RELEASE s; INSERT INTO t VALUES (2); END;";
    let done = apply(&forge, "1", sql).await;
    assert_eq!(done.status, 201, "{}", done.text);
    assert_eq!(done.json()["statements"], 6);
    assert_eq!(rows(&forge, "SELECT a FROM t").await, json!([[2]]));
}

#[tokio::test]
async fn what_cannot_run_in_a_transaction_is_told_before_anything_runs() {
    let forge = shop().await;
    for (sql, what) in [
        ("CREATE TABLE t (a); VACUUM", "VACUUM"),
        ("CREATE TABLE t (a); ROLLBACK", "ROLLBACK"),
        ("CREATE TABLE t (a); ATTACH 'x' AS y", "ATTACH"),
        (
            "CREATE TABLE t (a); PRAGMA writable_schema = ON",
            "writable_schema",
        ),
    ] {
        let refused = apply(&forge, "1", sql).await;
        refused.problem(403, "statement_not_allowed");
        assert!(refused.text.contains(what), "{}", refused.text);
        assert_eq!(refused.json()["statement"], 1);
    }
    assert!(applied(&forge).await.is_empty());
}

#[tokio::test]
async fn a_text_that_was_cut_off_is_refused() {
    let forge = shop().await;
    for (sql, inside) in [
        (
            "CREATE TABLE one (a);\n/* cut off CREATE TABLE two (a);",
            "a comment that begins on line 2",
        ),
        ("/* cut", "a comment"),
        (
            "CREATE TABLE one (a);\n\nINSERT INTO one VALUES ('it",
            "a string that begins on line 3",
        ),
        ("CREATE TABLE \"one (a);", "a name"),
    ] {
        let refused = apply(&forge, "1", sql).await;
        refused.problem(400, "invalid_request");
        assert!(refused.text.contains(inside), "{}", refused.text);
    }
    assert!(applied(&forge).await.is_empty());
}

#[tokio::test]
async fn a_command_of_the_shell_is_told_as_one() {
    let forge = shop().await;
    for sql in [
        ".timeout 30000\nCREATE TABLE t (a);",
        "CREATE TABLE t (a);\n.timeout 30000",
    ] {
        let refused = apply(&forge, "1", sql).await;
        refused.problem(400, "sql_error");
        let said = "`.timeout` is a command of the sqlite3 shell, not SQL: remove the line";
        assert!(refused.text.contains(said), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_dry_run_shows_what_would_come_of_it_and_leaves_nothing() {
    let forge = shop().await;
    let body = json!({ "name": "1", "sql": "CREATE TABLE t (a)", "dry_run": true });
    let tried = apply_with(&forge, body).await;
    assert_eq!(tried.status, 200, "{}", tried.text);
    assert!(applied(&forge).await.is_empty());
    let body = json!({ "name": "1", "sql": "CREATE TABLE", "dry_run": true });
    apply_with(&forge, body).await.problem(400, "sql_error");
    assert_eq!(apply(&forge, "1", "CREATE TABLE t (a)").await.status, 201);
}

#[tokio::test]
async fn names_that_are_none_and_tokens_that_may_not_write_are_refused() {
    let forge = shop().await;
    for name in [String::new(), "a\nb".to_owned(), "x".repeat(256)] {
        apply(&forge, &name, "SELECT 1")
            .await
            .problem(400, "invalid_request");
    }
    let path = "/v1/databases/shop/migrations";
    let body = json!({ "name": "1", "sql": "CREATE TABLE t (a)" }).to_string();
    let reader = forge.token("reader", "\"read\"", "\"shop\"").await;
    let refused = forge.ask("POST", path).token(&reader).body(&body).await;
    refused.problem(403, "insufficient_scope");
    let listed = forge.ask("GET", path).token(&reader).empty().await;
    assert_eq!(listed.text, r#"{"data":[],"next_cursor":null}"#);
}

#[tokio::test]
async fn the_table_of_migrations_is_internal_and_another_one_of_its_name_is_told() {
    let forge = shop().await;
    assert_eq!(apply(&forge, "1", "CREATE TABLE t (a)").await.status, 201);
    let schema = forge.get("/v1/databases/shop/schema").await.json();
    let internal = |at: usize| schema["tables"][at]["internal"].as_bool().unwrap();
    assert_eq!(schema["tables"][0]["name"], "dbforge_migrations");
    assert!(internal(0) && !internal(1));
    rows(&forge, "DROP TABLE dbforge_migrations").await;
    rows(&forge, "CREATE TABLE dbforge_migrations (mine)").await;
    apply(&forge, "2", "SELECT 1")
        .await
        .problem(409, "table_exists");
    assert!(applied(&forge).await.is_empty());
}

#[tokio::test]
async fn of_two_that_apply_the_same_at_once_one_does() {
    let forge = shop().await;
    let sql = "CREATE TABLE t (a)";
    let (one, other) = tokio::join!(apply(&forge, "1", sql), apply(&forge, "1", sql));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201]);
}

#[tokio::test]
async fn of_a_file_with_a_part_that_takes_it_back_the_other_part_is_applied() {
    let forge = shop().await;
    for (name, sql) in [
        (
            "1_dbmate",
            "-- migrate:up\nCREATE TABLE one (a);\n\n-- migrate:down\nDROP TABLE one;\n",
        ),
        (
            "2_goose",
            "-- +goose Up\n-- +goose StatementBegin\nCREATE TABLE two (a);\n-- +goose StatementEnd\n\
             -- +goose Down\nDROP TABLE two;",
        ),
        (
            "3_sql_migrate",
            "-- +migrate Up\nCREATE TABLE three (a);\n-- +migrate Down\nDROP TABLE three;",
        ),
    ] {
        let answer = apply(&forge, name, sql).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(answer.json()["statements"], 1);
    }
    let made =
        "SELECT name FROM sqlite_schema WHERE name IN ('one', 'two', 'three') ORDER BY rowid";
    assert_eq!(
        rows(&forge, made).await,
        json!([["one"], ["two"], ["three"]])
    );
    let turned = apply(
        &forge,
        "4",
        "-- +goose Down\nDROP TABLE one;\n-- +goose Up\nSELECT 1;",
    )
    .await;
    assert_eq!(turned.status, 400, "{}", turned.text);
}

#[tokio::test]
async fn a_migration_cannot_change_what_says_which_were_applied() {
    let forge = shop().await;
    assert_eq!(apply(&forge, "1", "CREATE TABLE one (a)").await.status, 201);
    for sql in [
        "DROP TABLE dbforge_migrations",
        "DELETE FROM dbforge_migrations",
        "ALTER TABLE dbforge_migrations RENAME TO other",
        "UPDATE dbforge_migrations SET checksum = 'x'",
    ] {
        let answer = apply(&forge, "2", sql).await;
        assert_eq!(answer.status, 403, "{sql}: {}", answer.text);
        assert!(
            answer.text.contains("dbforge_migrations"),
            "{}",
            answer.text
        );
    }
    assert_eq!(applied(&forge).await, ["1"]);
}
