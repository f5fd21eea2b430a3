//! Hostile SQL in one process: what is refused, and what becomes of a statement that nothing stops.
//! The corpora run over HTTP in `corpus.rs` and `ours.rs`.
use crate::support::sql::{Sql, create, looking_each_time, within};
use dbforge::clock::Stopwatch;
use dbforge::data::QueryError;
use serde_json::{Value, json};
use std::time::Duration;

/// What the longest statement that nothing stops may take on a machine that is busy otherwise.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_nothing_stops_is_answered_contained_and_seen() {
    let sql = Sql::with(looking_each_time());
    for question in [
        "CREATE VIRTUAL TABLE f USING fts5(x)",
        "INSERT INTO f SELECT replace(hex(zeroblob(20000)), '00', 'a ')",
    ] {
        sql.ask(question).await.unwrap();
    }
    let other = create(&sql.plane);
    sql.ask_of(&other, "CREATE TABLE t (a)").await.unwrap();
    let stuck = format!(
        "SELECT count(*) FROM f WHERE f MATCH 'NEAR({},10)'",
        "a ".repeat(200)
    );
    for question in [stuck.clone(), format!("INSERT INTO f {stuck}")] {
        let started = Stopwatch::start();
        let timeout = Duration::from_millis(200);
        let error = sql.ask_as(&question, within(timeout)).await.unwrap_err();
        assert_eq!(error, QueryError::Timeout { timeout_ms: 200 });
        while sql.plane.health().stuck_threads == 0 {
            assert!(started.elapsed() < PATIENCE, "it works on, and is seen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // On a busy machine the statement may end before these are asked; then they may pass.
        let is_stuck = || sql.plane.health().stuck_threads > 0;
        match sql.ask("SELECT 1").await {
            Ok(_) => assert!(!is_stuck(), "nothing is answered behind it"),
            Err(error) => {
                assert!(matches!(error, QueryError::Unavailable { .. }), "{error}");
                assert!(error.is_retryable());
            }
        }
        sql.ask_of(&other, "INSERT INTO t VALUES (1)")
            .await
            .unwrap();
        let taken = sql.plane.take(
            &sql.target,
            dbforge::clock::Deadline::after(Duration::from_millis(50)),
        );
        if taken.await.is_ok() {
            assert!(!is_stuck(), "nobody moves a file that SQL is on");
        }

        while sql.plane.health().stuck_threads > 0 {
            assert!(started.elapsed() < PATIENCE, "it ends at last");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sql.ask("SELECT 1").await.expect("it takes requests again");
    }
    let rows: Value = sql.rows("SELECT count(*) FROM f").await;
    assert_eq!(
        rows,
        json!([[1]]),
        "what was answered as failed was not kept"
    );
}

#[tokio::test]
async fn a_trigger_or_view_that_calls_what_nobody_may_is_not_made() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    for question in [
        "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT load_extension('x'); END",
        "CREATE TRIGGER x BEFORE UPDATE OF a ON t BEGIN SELECT load_extension('x'); END",
        "CREATE TRIGGER x AFTER DELETE ON t BEGIN SELECT fts3_tokenizer('x'); END",
        "CREATE VIEW x AS SELECT load_extension('x')",
        "CREATE VIEW x AS SELECT * FROM dbstat",
    ] {
        let result = sql.ask(question).await;
        let refused = matches!(result, Err(QueryError::NotAllowed { .. }));
        assert!(refused, "{question}: {result:?}");
    }
    sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
    sql.ask("CREATE VIEW later AS SELECT * FROM not_there_yet")
        .await
        .expect("what is merely not there yet may be named");
    assert_eq!(
        sql.rows("SELECT name FROM sqlite_schema WHERE name = 'x'")
            .await,
        json!([])
    );
}

#[tokio::test]
async fn the_schema_and_the_insides_of_an_index_cannot_be_written_as_rows() {
    let sql = Sql::new();
    sql.ask("CREATE VIRTUAL TABLE f USING fts5(x)")
        .await
        .unwrap();
    for question in [
        "UPDATE f_data SET block = x'00'",
        "DELETE FROM f_content",
        "INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 2, 'CREATE TABLE x (a)')",
        "UPDATE sqlite_schema SET sql = ''",
    ] {
        let error = sql.ask(question).await.unwrap_err();
        assert!(error.to_string().contains("may not be modified"), "{error}");
    }
    sql.ask("INSERT INTO f VALUES ('a word')").await.unwrap();
    let found = sql.rows("SELECT x FROM f WHERE f MATCH 'word'").await;
    assert_eq!(found, json!([["a word"]]));
}

#[tokio::test]
async fn no_value_is_longer_than_a_statement_has_memory_for() {
    let sql = Sql::new();
    sql.ask("SELECT length(zeroblob(67108864))").await.unwrap();
    let error = sql.ask("SELECT length(zeroblob(67108865))").await;
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "SQL Error: string or blob too big");
}

#[tokio::test]
async fn ten_thousand_statements_in_one_are_refused_without_a_stack_to_overflow() {
    let sql = Sql::new();
    for many in ["SELECT 1;".repeat(11_000), "SELECT 1;;".repeat(9_000)] {
        let error = sql.ask(&many).await.unwrap_err();
        assert!(
            matches!(error, QueryError::InvalidRequest { .. }),
            "{error}"
        );
    }
    for one in ["SELECT 1; ; ;\n", "SELECT ';'", "SELECT 1 -- ; SELECT 2"] {
        sql.ask(one).await.unwrap();
    }
}

/// SQLite stores a view without looking into it; this one has 2^29 parts.
#[tokio::test]
async fn views_that_double_with_each_other_are_made_without_being_worked_out() {
    let sql = Sql::new();
    sql.ask("CREATE VIEW x0 AS SELECT 1 AS a").await.unwrap();
    for i in 1..30 {
        let before = i - 1;
        let view = format!("CREATE VIEW x{i} AS SELECT p.a FROM x{before} p, x{before} q");
        let patient = within(Duration::from_secs(300));
        sql.ask_as(&view, patient).await.unwrap();
    }
    sql.ask("SELECT a FROM x3")
        .await
        .expect("a small one works");
}
