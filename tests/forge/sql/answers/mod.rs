//! What a query answers: values, shapes, numbers, errors and their hints.
mod counters;
mod formats;
mod forms_of_values;
mod largest_numbers;
mod long_values;

use crate::support::sql::{Sql, read_only, read_write, within};
use dbforge::data::{Int64Form, Params, QueryError, QueryOptions, Shape};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn every_kind_of_value_comes_back_as_it_went_in() {
    let sql = Sql::new();
    let answer = sql
        .ask_with(
            "SELECT ?1 AS a, ?2 AS b, ?3 AS c, ?4 AS d, ?5 AS e, ?6 AS f",
            r#"[null, 9223372036854775807, 1.5, "naïve \"\n", {"$base64":"AP8="}, {"$real":"-Infinity"}]"#,
        )
        .await
        .unwrap();
    assert_eq!(
        answer["rows"],
        json!([[
            null,
            9_223_372_036_854_775_807_i64,
            1.5,
            "naïve \"\n",
            {"$base64": "AP8="},
            {"$real": "-Infinity"}
        ]])
    );
    assert_eq!(answer["row_count"], 1);
    assert_eq!(answer["rows_affected"], 0);
    assert_eq!(answer["last_insert_rowid"], json!(null));
    assert_eq!(answer["truncated"], false);
}

#[tokio::test]
async fn an_integer_that_many_readers_cannot_hold_is_text_when_asked() {
    let sql = Sql::new();
    let options = QueryOptions {
        int64: Int64Form::Text,
        ..read_write()
    };
    let question = "SELECT 9007199254740991, 9007199254740992, -9223372036854775807 - 1";
    let answer = sql.ask_as(question, options).await.unwrap();
    let expected = json!([[
        9_007_199_254_740_991_i64,
        "9007199254740992",
        "-9223372036854775808"
    ]]);
    assert_eq!(answer["rows"], expected);
}

#[tokio::test]
async fn columns_have_their_declared_types_and_rows_may_be_objects() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (id INTEGER PRIMARY KEY, \"na\"\"me\" VARCHAR(9))")
        .await
        .unwrap();
    sql.ask("INSERT INTO t VALUES (7, 'x')").await.unwrap();
    let options = QueryOptions {
        shape: Shape::Objects,
        ..read_write()
    };
    let answer = sql
        .ask_as("SELECT *, 1 AS one FROM t", options)
        .await
        .unwrap();
    assert_eq!(
        answer["columns"],
        json!([
            {"name": "id", "type": "INTEGER"},
            {"name": "na\"me", "type": "VARCHAR(9)"},
            {"name": "one", "type": null}
        ])
    );
    assert_eq!(answer["rows"], json!([{"id": 7, "na\"me": "x", "one": 1}]));
}

#[tokio::test]
async fn the_original_shape_is_exact_to_the_letter() {
    let sql = Sql::new();
    let options = QueryOptions {
        shape: Shape::Original,
        ..read_write()
    };
    for (question, expected) in [
        (
            "CREATE TABLE t (a, b)",
            r#"{"data":null,"rows_affected":0,"message":"Query executed successfully."}"#,
        ),
        (
            "INSERT INTO t VALUES (1, x'00ff'), (2, NULL)",
            r#"{"data":null,"rows_affected":2,"message":"Query executed successfully."}"#,
        ),
        (
            "SELECT a, b FROM t",
            r#"{"data":[{"a":1,"b":"AP8="},{"a":2,"b":null}],"rows_affected":2,"message":null}"#,
        ),
        (
            "SELECT a FROM t WHERE a > 9",
            r#"{"data":[],"rows_affected":0,"message":null}"#,
        ),
        (
            "UPDATE t SET b = 3 RETURNING a",
            r#"{"data":[{"a":1},{"a":2}],"rows_affected":2,"message":null}"#,
        ),
    ] {
        let answer = sql
            .request(&sql.target, question, Params::None, options)
            .await
            .unwrap();
        assert_eq!(
            str::from_utf8(&answer.body).unwrap(),
            expected,
            "{question}"
        );
    }
}

#[tokio::test]
async fn rows_come_from_every_statement_that_returns_any() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
        .await
        .unwrap();
    let returning = "INSERT INTO t (b) VALUES ('x'), ('y') RETURNING a, b";
    let answer = sql.ask(returning).await.unwrap();
    assert_eq!(answer["rows"], json!([[1, "x"], [2, "y"]]));
    assert_eq!(answer["rows_affected"], 2);
    assert_eq!(answer["last_insert_rowid"], 2);
    let with = "WITH big AS (SELECT a FROM t WHERE a > 1) UPDATE t SET b = 'z' \
                WHERE a IN big RETURNING b";
    assert_eq!(sql.rows(with).await, json!([["z"]]));
    assert_eq!(sql.rows("PRAGMA user_version").await, json!([[0]]));
    let plan = sql
        .ask("EXPLAIN QUERY PLAN DELETE FROM t WHERE b = 1")
        .await
        .unwrap();
    assert_eq!(plan["row_count"], 1);
    assert_eq!(sql.rows("SELECT count(*) FROM t").await, json!([[2]]));
}

#[tokio::test]
async fn a_statement_that_changes_nothing_says_so() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    sql.ask("INSERT INTO t VALUES (1), (2)").await.unwrap();
    for question in ["CREATE INDEX i ON t (a)", "DELETE FROM t WHERE a = 9"] {
        let answer = sql.ask(question).await.unwrap();
        assert_eq!(answer["rows_affected"], 0, "{question}");
        assert_eq!(answer["last_insert_rowid"], json!(null), "{question}");
    }
}

#[tokio::test]
async fn a_result_past_its_cap_is_cut_when_asked_and_refused_when_not() {
    let sql = Sql::new();
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c";
    let refused = sql.ask(endless).await.unwrap_err();
    let limit = "10000 rows".to_owned();
    assert_eq!(refused, QueryError::ResultTooLarge { limit });

    let options = QueryOptions {
        max_rows: Some(3),
        ..read_write()
    };
    let cut = sql.ask_as(endless, options).await.unwrap();
    assert_eq!(cut["rows"], json!([[1], [2], [3]]));
    assert_eq!(cut["truncated"], true);

    let options = QueryOptions {
        max_bytes: Some(1_000),
        ..read_write()
    };
    let refused = sql.ask_as(endless, options).await.unwrap_err();
    assert!(
        matches!(refused, QueryError::ResultTooLarge { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_wrong_name_is_answered_with_the_nearest_right_one() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE users (id, email)").await.unwrap();
    for (question, message, hint) in [
        (
            "SELECT * FROM usrs",
            "no such table: usrs",
            "did you mean \"users\"?",
        ),
        (
            "INSERT INTO usrs VALUES (1)",
            "no such table: usrs",
            "did you mean \"users\"?",
        ),
        (
            "SELECT emial FROM users",
            "no such column: emial",
            "did you mean \"email\"?",
        ),
    ] {
        let error = sql.ask(question).await.unwrap_err();
        assert_eq!(error.to_string(), format!("SQL Error: {message}"));
        assert_eq!(error.hint(), Some(hint), "{question}");
    }
}

#[tokio::test]
async fn parameters_must_be_exactly_those_that_the_statement_has() {
    let sql = Sql::new();
    let named = sql
        .ask_with("SELECT :a, @b, $c", r#"{"a": 1, "@b": 2, "c": 3}"#)
        .await
        .unwrap();
    assert_eq!(named["rows"], json!([[1, 2, 3]]));
    for (question, params) in [
        ("SELECT ?", "[]"),
        ("SELECT ?", "[1, 2]"),
        ("SELECT 1", "[1]"),
        ("SELECT :a", r#"{"b": 1}"#),
        ("SELECT :a", r#"{"a": 1, "b": 1}"#),
        ("SELECT ?", r#"{"a": 1}"#),
    ] {
        let error = sql.ask_with(question, params).await.unwrap_err();
        let fits = matches!(error, QueryError::ParameterMismatch { .. });
        assert!(fits, "{question} with {params}: {error}");
    }
}

#[tokio::test]
async fn what_may_only_read_cannot_change_anything_by_any_word() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
    let asked_to = QueryOptions {
        readonly: true,
        ..read_write()
    };
    for options in [read_only(), asked_to] {
        for write in [
            "DELETE FROM t",
            "WITH x AS (SELECT 1) DELETE FROM t",
            "REPLACE INTO t VALUES (2)",
            "CREATE TABLE u (a)",
            "DROP TABLE t",
            "PRAGMA user_version = 7",
            "REINDEX",
            "ANALYZE",
            "SELECT 1; DELETE FROM t",
        ] {
            let error = sql.ask_as(write, options).await.unwrap_err();
            let refused = matches!(
                error,
                QueryError::ReadOnly
                    | QueryError::NotAllowed { .. }
                    | QueryError::InvalidRequest { .. }
            );
            assert!(refused, "{write}: {error}");
        }
        let rows = sql.ask_as("SELECT a FROM t", options).await.unwrap();
        assert_eq!(rows["rows"], json!([[1]]));
    }
}

#[tokio::test]
async fn a_read_that_grows_long_leaves_the_fast_lane_and_still_answers() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
        .await
        .unwrap();
    let fill = "INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c \
                LIMIT 200000) SELECT x, x % 7 FROM c";
    sql.ask(fill).await.unwrap();
    let question = "SELECT count(*) FROM (SELECT b FROM t WHERE a <= ?)";
    for (most, _round) in [(1, 1), (1, 2), (200_000, 3), (200_000, 4), (1, 5)] {
        let answer = sql.ask_with(question, &format!("[{most}]")).await.unwrap();
        assert_eq!(answer["rows"], json!([[most]]));
    }
}

#[tokio::test]
async fn a_statement_ends_at_its_deadline_and_the_next_one_does_not_feel_it() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) \
                   SELECT count(*) FROM c";
    for question in [endless.to_owned(), format!("INSERT INTO t {endless}")] {
        let options = within(Duration::from_millis(100));
        let error = sql.ask_as(&question, options).await.unwrap_err();
        assert_eq!(error, QueryError::Timeout { timeout_ms: 100 }, "{question}");
        assert_eq!(sql.rows("SELECT count(*) FROM t").await, json!([[0]]));
        sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
        sql.ask("DELETE FROM t").await.unwrap();
    }
}
