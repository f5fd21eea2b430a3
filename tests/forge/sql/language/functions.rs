//! The functions that replace SQLite's own answer as SQLite's own do.
use crate::support::sql::{Sql, within};
use crate::support::sqlite;
use dbforge::data::{Param, QueryError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use serde_json::json;
use std::time::Duration;

/// A statement has this long; only one that SQLite's own functions run in takes it all.
const PATIENCE: Duration = Duration::from_secs(30);

/// Values that meet often: few letters, some of several bytes, digits, NUL, and no text at all.
fn value() -> impl Strategy<Value = Param> {
    let letter = prop::sample::select(vec![
        'a', 'b', ' ', 'é', '€', '𝄞', '0', 'f', '\0', '1', '-', '.',
    ]);
    prop_oneof![
        8 => prop::collection::vec(letter, 0..12)
            .prop_map(|it| Param::Text(it.into_iter().collect())),
        2 => prop::collection::vec(prop::sample::select(vec![0u8, b'a', 0xc3, 0xa9, 0x80, 0xff]), 0..8)
            .prop_map(Param::Blob),
        1 => (-120i64..120).prop_map(Param::Integer),
        1 => (-9i32..9).prop_map(|it| Param::Real(f64::from(it) / 8.0)),
        1 => Just(Param::Real(1.0e300)),
        1 => Just(Param::Null),
    ]
}

/// JSON that often has the same keys.
fn json_object() -> impl Strategy<Value = Param> {
    let leaf = prop_oneof![Just(json!(null)), Just(json!(1)), Just(json!("x"))];
    let tree = leaf.prop_recursive(3, 12, 4, |inner| {
        let key = prop::sample::select(vec!["a", "b", "c", "é"]);
        prop::collection::vec((key, inner), 0..4).prop_map(|it| {
            serde_json::Value::Object(it.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
        })
    });
    prop_oneof![4 => tree.prop_map(|it| Param::Text(it.to_string())), 1 => value()]
}

/// What SQLite's own function says, as text that tells types and bytes apart.
fn plainly(plain: &Connection, question: &str, values: &[Param]) -> Option<String> {
    let mut statement = plain.prepare(question).unwrap();
    for (place, value) in (1..).zip(values) {
        let value = match value {
            Param::Null => ValueRef::Null,
            Param::Integer(it) => ValueRef::Integer(*it),
            Param::Real(it) => ValueRef::Real(*it),
            Param::Text(it) => ValueRef::Text(it.as_bytes()),
            Param::TextBytes(it) => ValueRef::Text(it),
            Param::Blob(it) => ValueRef::Blob(it),
        };
        statement
            .raw_bind_parameter(place, ToSqlOutput::Borrowed(value))
            .unwrap();
    }
    let mut rows = statement.raw_query();
    match rows.next().ok()?.unwrap().get(0).unwrap() {
        Value::Text(it) => Some(it),
        other => panic!("quote() gives text, not {other:?}"),
    }
}

#[test]
fn every_replaced_function_says_what_sqlites_own_says() {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let sql = tokio.block_on(async { Sql::new() });
    let plain = sqlite::in_memory();
    let same = |call: &str, values: Vec<Param>| {
        // hex() shows bytes that are no UTF-8, typeof() what they are taken for.
        let question =
            format!("SELECT quote(hex({call}) || ' ' || typeof({call}) || ({call} IS NULL))");
        let expected = plainly(&plain, &question, &values);
        let request = dbforge::data::Params::Positional(values.clone().into());
        let answer = tokio.block_on(sql.request(
            &sql.target,
            &question,
            request,
            crate::support::sql::read_only(),
        ));
        let actual = answer.ok().map(|it| {
            let body: serde_json::Value = serde_json::from_slice(&it.body).unwrap();
            body["rows"][0][0].as_str().unwrap().to_owned()
        });
        assert_eq!(actual, expected, "{call} of {values:?}");
    };

    let mut runner = TestRunner::new(Config {
        cases: 1_500,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&(value(), value(), value()), |(a, b, c)| {
            same("instr(?1, ?2)", vec![a.clone(), b.clone()]);
            same("replace(?1, ?2, ?3)", vec![a.clone(), b.clone(), c]);
            same("trim(?1, ?2)", vec![a.clone(), b.clone()]);
            same("ltrim(?1, ?2)", vec![a.clone(), b.clone()]);
            same("rtrim(?1, ?2)", vec![a.clone(), b.clone()]);
            same("unhex(?1, ?2)", vec![a.clone(), b.clone()]);
            // Bytes that are no UTF-8, and text all the same.
            for call in ["instr", "trim", "ltrim", "rtrim", "unhex"] {
                let call = format!("{call}(CAST(?1 AS TEXT), CAST(?2 AS TEXT))");
                same(&call, vec![a.clone(), b.clone()]);
            }
            same(
                "replace(CAST(?1 AS TEXT), CAST(?2 AS TEXT), 'x')",
                vec![a, b],
            );
            Ok(())
        })
        .unwrap();
    runner
        .run(&(json_object(), json_object()), |(a, b)| {
            same("json_patch(?1, ?2)", vec![a.clone(), b.clone()]);
            same("jsonb_patch(?1, ?2)", vec![a.clone(), b.clone()]);
            same("json_array(json_patch(?1, ?2))", vec![a, b]);
            Ok(())
        })
        .unwrap();
}

/// SQLite's own take a minute and more for these, past every deadline; those in their place take a
/// fraction of a second, and several on a machine that is busy otherwise.
#[tokio::test]
async fn no_length_makes_one_of_them_run_into_its_deadline() {
    let sql = Sql::new();
    let long = "hex(zeroblob(999990))";
    let half = "hex(zeroblob(499990)) || '1'";
    for call in [
        format!("instr({long}, {half})"),
        format!("length(replace({long}, {half}, 'x'))"),
        format!("length(trim({long}, {half}))"),
        format!("length(ltrim({long}, {half}))"),
        format!("length(rtrim({long}, {half}))"),
        format!("length(unhex({long}, {half}))"),
    ] {
        let answer = sql
            .ask_as(&format!("SELECT {call}"), within(PATIENCE))
            .await;
        answer.unwrap_or_else(|error| panic!("{call}: {error}"));
    }
    // These are refused instead.
    let object = |letter| {
        format!(
            "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 30000) \
             SELECT '{{' || group_concat('\"{letter}' || x || '\":1') || '}}' FROM c)"
        )
    };
    for function in ["json_patch", "jsonb_patch"] {
        let call = format!("{function}({}, {})", object('a'), object('b'));
        let error = sql
            .ask_as(&format!("SELECT {call}"), within(PATIENCE))
            .await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "SQL Error: string or blob too big"
        );
    }
}

#[tokio::test]
async fn a_result_that_no_value_can_hold_is_refused_before_it_is_made() {
    let sql = Sql::new();
    let error = sql
        .ask(
            "SELECT replace(replace(hex(zeroblob(499990)), '0', 'ab'), 'a', hex(zeroblob(499990)))",
        )
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "SQL Error: string or blob too big");
}

/// A text in which words meet, with ends of sentences, and matches side by side.
fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec!["a", "b", "c", "ab", "é", "x", "y", "z", "w"]);
    let gap = prop::sample::select(vec![" ", " ", " ", ". ", ": ", "  ", ", ", ".", "\n", "-"]);
    prop::collection::vec((word, gap), 0..40).prop_map(|it| {
        let parts = it.into_iter().map(|(word, gap)| format!("{word}{gap}"));
        parts.collect()
    })
}

#[test]
fn highlight_and_snippet_mark_what_sqlites_own_mark() {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let sql = tokio.block_on(async { Sql::new() });
    let plain = sqlite::in_memory();
    let ask = |question: &str, values: &[Param]| {
        let request = dbforge::data::Params::Positional(values.to_vec().into());
        let request = if values.is_empty() {
            dbforge::data::Params::None
        } else {
            request
        };
        let options = crate::support::sql::read_write();
        let answer = tokio.block_on(sql.request(&sql.target, question, request, options));
        let answer = answer.ok()?;
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        body["rows"][0][0].as_str().map(str::to_owned)
    };
    for (table, tokenizer) in [("f", "unicode61"), ("g", "trigram")] {
        let create = format!("CREATE VIRTUAL TABLE {table} USING fts5(x, y, tokenize={tokenizer})");
        plain.execute_batch(&create).unwrap();
        ask(&create, &[]);
    }
    let query = prop::sample::select(vec![
        "a",
        "a OR b",
        "\"a b\"",
        "a AND c",
        "\"a b\" OR b OR \"b c\"",
        "y : a",
        "ab*",
        "NEAR(a b, 3)",
        "a NOT z",
        "\"a b c\"",
        "\"b a\" OR ab",
    ]);
    let rows = (text(), text(), query, -1i64..3, 0i64..12);
    let mut runner = TestRunner::new(Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&rows, |(x, y, query, column, tokens)| {
            for table in ["f", "g"] {
                let empty = format!("DELETE FROM {table}");
                let insert = format!("INSERT INTO {table} VALUES (?1, ?2)");
                plain.execute(&empty, []).unwrap();
                plain.execute(&insert, [&x, &y]).unwrap();
                ask(&empty, &[]);
                ask(&insert, &[Param::Text(x.clone()), Param::Text(y.clone())]);
                for call in [
                    format!("highlight({table}, {column}, '[', ']')"),
                    format!("highlight({table}, {column}, NULL, '}}')"),
                    format!("snippet({table}, {column}, '<', '>', '...', {tokens})"),
                    format!("snippet({table}, {column}, '', NULL, '…', 64)"),
                ] {
                    let question =
                        format!("SELECT quote({call}) FROM {table} WHERE {table} MATCH ?1");
                    let expected = plain
                        .query_row(&question, [query], |row| row.get::<_, String>(0))
                        .ok();
                    let actual = ask(&question, &[Param::Text(query.to_owned())]);
                    prop_assert_eq!(
                        actual,
                        expected,
                        "{} for {} in {:?}, {:?}",
                        call,
                        query,
                        x,
                        y
                    );
                }
            }
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_hundred_thousand_matches_in_one_row_are_marked_before_the_deadline() {
    let sql = Sql::new();
    for question in [
        "CREATE VIRTUAL TABLE f USING fts5(x)",
        "INSERT INTO f SELECT replace(hex(zeroblob(100000)), '00', 'a ')",
    ] {
        sql.ask(question).await.unwrap();
    }
    for (call, expected) in [
        ("length(highlight(f, 0, '<', '>'))", json!([[400_000]])),
        (
            "snippet(f, 0, '<', '>', '...', 3)",
            json!([["<a> <a> <a>..."]]),
        ),
    ] {
        let question = format!("SELECT {call} FROM f WHERE f MATCH 'a'");
        let answer = sql.ask_as(&question, within(PATIENCE)).await.unwrap();
        assert_eq!(answer["rows"], expected, "{call}");
    }
}

#[tokio::test]
async fn a_constraint_that_is_added_compares_no_long_values_by_functions_that_nothing_stops() {
    let sql = Sql::new();
    for made in [
        "CREATE TABLE t (a, b, found AS (instr(a, b)))",
        "CREATE TABLE texts (a)",
        "INSERT INTO t VALUES (hex(zeroblob(1000)), '1')",
        "INSERT INTO texts VALUES (hex(zeroblob(500000)))",
        "ALTER TABLE t ADD CONSTRAINT none CHECK (instr(a, b) = 0)",
        "ALTER TABLE t ADD CHECK (found = 0)",
        "ALTER TABLE texts ADD CHECK (a LIKE '0%')",
        "CREATE TABLE plain AS SELECT hex(zeroblob(50000)) AS a",
        "ALTER TABLE plain ADD CHECK (length(a) > 1)",
        // instr would work for minutes on one step.
        "INSERT INTO t VALUES (hex(zeroblob(500000)), hex(zeroblob(200000)) || '1')",
        "INSERT INTO texts VALUES (hex(zeroblob(2000000)))",
    ] {
        sql.ask(made).await.unwrap();
    }
    for refused in [
        "ALTER TABLE t ADD CHECK (instr(a, b) < 9)",
        "ALTER TABLE t ADD CHECK (found < 8)",
        "ALTER TABLE t ALTER COLUMN found SET NOT NULL",
        "ALTER TABLE t ADD CHECK (replace(a, b, '') <> '')",
        "ALTER TABLE texts ADD CHECK (a LIKE '0%0%')",
    ] {
        let error = sql.ask(refused).await.unwrap_err();
        assert!(
            matches!(&error, QueryError::Sql { hint: Some(hint), .. } if hint.contains("copy the rows")),
            "{refused}: {error:?}"
        );
    }
    // Other statements have long values still.
    assert_eq!(
        sql.rows("SELECT max(length(a)) FROM t").await,
        json!([[1_000_000]])
    );
}
