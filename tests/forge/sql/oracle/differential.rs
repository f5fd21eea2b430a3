//! Every statement has the outcome that SQLite itself gives it: values with their types, names,
//! numbers and errors.
//!
//! `DBFORGE_SQL_CASES=20000` looks further than the usual run.
use super::grammar::session;
use super::{Oracle, Outcome, Statement, Value, Values, plain};
use crate::support::http::{Answer, HttpForge};
use crate::support::test_forge::create;
use dbforge::domain::command::Command;
use dbforge::domain::database::Durability;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::cell::{Cell, RefCell};

/// Sessions of the usual run: as many as take a few seconds.
const CASES: u32 = 256;

/// What the sandbox takes away from SQLite, each with its reason. SQLite itself runs them all.
const REFUSED: &[(&str, u16, &str, &str)] = &[
    (
        "ATTACH ':memory:' AS other",
        403,
        "statement_not_allowed",
        "other files are other people's",
    ),
    (
        "BEGIN",
        403,
        "statement_not_allowed",
        "a request is a transaction of its own",
    ),
    (
        "SAVEPOINT s",
        403,
        "statement_not_allowed",
        "a request is a transaction of its own",
    ),
    (
        "CREATE TEMP TABLE x (a)",
        403,
        "statement_not_allowed",
        "no request sees another's connection",
    ),
    (
        "PRAGMA foreign_keys = OFF",
        403,
        "statement_not_allowed",
        "whoever relies on them is another request",
    ),
    (
        "PRAGMA locking_mode = EXCLUSIVE",
        403,
        "statement_not_allowed",
        "no request keeps the others out",
    ),
    (
        "CREATE VIRTUAL TABLE x USING fts4(a)",
        403,
        "statement_not_allowed",
        "FTS3 and FTS4 take pointers",
    ),
    (
        "SELECT 1; SELECT 2",
        400,
        "invalid_request",
        "one statement a request",
    ),
    (
        "-- nothing",
        400,
        "invalid_request",
        "a request without a statement is a mistake",
    ),
    (
        "SELECT \"no such column\"",
        400,
        "sql_error",
        "a misspelt column is not a text",
    ),
];

/// A gateway and, beside it, SQLite itself.
struct Both {
    forge: HttpForge,
    oracle: Oracle,
}

impl Both {
    async fn new() -> Self {
        let forge = HttpForge::new().await;
        let Command::CreateDatabase(mut command) = create("d") else {
            unreachable!("it makes one")
        };
        // Nobody pulls the plug here.
        command.durability = Durability::Relaxed;
        forge
            .submit(Command::CreateDatabase(command))
            .await
            .unwrap();
        forge.settle().await;
        Self {
            forge,
            oracle: Oracle::new(),
        }
    }

    /// Runs a statement here and there.
    async fn compare(&self, statement: &Statement) -> Result<Outcome, String> {
        let expected = self.oracle.ask(statement);
        let answer = self.ask(statement).await;
        difference(&expected, &answer).map_or(Ok(expected), |it| {
            Err(format!("{it}\nof {statement:?}\nanswered {}", answer.text))
        })
    }

    async fn ask(&self, statement: &Statement) -> Answer {
        let params = match &statement.values {
            Values::Positional(values) => {
                let values: Vec<_> = values.iter().map(Value::to_json).collect();
                format!("[{}]", values.join(","))
            }
            Values::Named(values) => {
                let fields = values.iter().map(|(name, value)| {
                    format!(
                        "{}:{}",
                        serde_json::to_string(name).unwrap(),
                        value.to_json()
                    )
                });
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }
        };
        let sql = serde_json::to_string(&statement.sql).unwrap();
        let body = format!(r#"{{"sql":{sql},"params":{params}}}"#);
        self.forge.post("/v1/databases/d/query", &body).await
    }
}

/// An answer's fields as they are written.
#[derive(Deserialize)]
struct Body<'a> {
    columns: Vec<Column>,
    #[serde(borrow)]
    rows: Vec<Vec<&'a RawValue>>,
    row_count: usize,
    rows_affected: u64,
    last_insert_rowid: Option<i64>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    r#type: Option<String>,
}

/// What is not as SQLite says.
fn difference(expected: &Outcome, answer: &Answer) -> Option<String> {
    match expected {
        Outcome::Failure {
            is_constraint,
            message,
        } => {
            let is_long = message.ends_with("string or blob too big");
            let status = match (is_constraint, is_long) {
                (true, _) => 409,
                (_, true) => 413,
                _ => 400,
            };
            let code = if *is_constraint {
                "constraint_violation"
            } else if is_long {
                "result_too_large"
            } else {
                "sql_error"
            };
            let body = answer.json();
            let detail = format!("SQL Error: {message}");
            let same = answer.status == status && body["code"] == code && body["detail"] == *detail;
            (!same).then(|| format!("SQLite says {status}: {detail}"))
        }
        Outcome::Answer {
            columns,
            rows,
            rows_affected,
            last_insert_rowid,
        } => {
            if answer.status != 200 {
                return Some("SQLite runs it".to_owned());
            }
            let body: Body<'_> = serde_json::from_str(&answer.text).unwrap();
            let names = body.columns.into_iter().map(|it| (it.name, it.r#type));
            if names.collect::<Vec<_>>() != *columns {
                return Some(format!("the columns are {columns:?}"));
            }
            if body.row_count != rows.len() || body.rows.len() != rows.len() {
                return Some(format!("there are {} rows", rows.len()));
            }
            let cells = body.rows.iter().flatten().map(|it| Value::from_json(it));
            for (actual, expected) in cells.zip(rows.iter().flatten()) {
                if !actual.is(expected) {
                    return Some(format!("{expected:?} became {actual:?}"));
                }
            }
            let numbers = (body.rows_affected, body.last_insert_rowid);
            let same = numbers == (*rows_affected, *last_insert_rowid);
            (!same).then(|| format!("SQLite counts {rows_affected}, {last_insert_rowid:?}"))
        }
    }
}

/// The usual run makes up the same sessions every time; one that is asked for by number, others.
#[expect(
    clippy::disallowed_methods,
    reason = "a setting of this test, not of the program"
)]
fn inventor() -> TestRunner {
    let config = |cases| Config {
        failure_persistence: None,
        ..Config::with_cases(cases)
    };
    match std::env::var("DBFORGE_SQL_CASES") {
        Ok(text) => {
            let cases = text.parse().expect("DBFORGE_SQL_CASES is a number");
            TestRunner::new(config(cases))
        }
        Err(_) => {
            let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
            TestRunner::new_with_rng(config(CASES), rng)
        }
    }
}

#[test]
fn made_up_statements_have_the_outcome_that_sqlite_gives_them() {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let both = RefCell::new(tokio.block_on(Both::new()));
    let (answered, failed) = (Cell::new(0), Cell::new(0));
    let mut runner = inventor();
    runner
        .run(&session(), |statements| {
            for statement in &statements {
                let outcome = tokio.block_on(both.borrow().compare(statement));
                match outcome {
                    Ok(Outcome::Answer { .. }) => answered.set(answered.get() + 1),
                    Ok(Outcome::Failure { .. }) => failed.set(failed.get() + 1),
                    Err(difference) => {
                        // What it left differs as well, and would mislead a shorter session.
                        both.replace(tokio.block_on(Both::new()));
                        return Err(TestCaseError::fail(difference));
                    }
                }
            }
            Ok(())
        })
        .unwrap();
    let (answered, failed): (u32, u32) = (answered.get(), failed.get());
    // A grammar that makes nonsense alone would compare error messages alone.
    let enough = answered > failed / 2;
    assert!(enough, "{answered} answers, {failed} errors");
}

#[tokio::test]
async fn written_statements_have_the_outcome_that_sqlite_gives_them() {
    let both = Both::new().await;
    for sql in include_str!("../../../fixtures/sql/statements.sql")
        .split("\n;\n")
        .filter(|it| !it.trim().is_empty())
    {
        if let Err(difference) = both.compare(&plain(sql.trim())).await {
            panic!("{difference}");
        }
    }
}

#[tokio::test]
async fn a_parameter_arrives_to_the_last_bit() {
    let both = Both::new().await;
    // JSON readers that are made for speed make the first one its neighbour.
    for real in [
        9.223372036854775e18,
        8.41e21,
        1.0715660117e-4,
        3.123456789e-250,
        -0.0,
        5e-324,
    ] {
        let values = Values::Positional(vec![Value::Real(real), Value::Real(real)]);
        let sql = "SELECT ?, typeof(?)".to_owned();
        both.compare(&Statement { sql, values }).await.unwrap();
    }
}

#[tokio::test]
async fn text_that_is_no_utf8_goes_both_ways_and_stays_text() {
    let both = Both::new().await;
    for bytes in [&b"\xff\xfe"[..], b"a\x80b", b"\xed\xa0\x80", b"ok", b""] {
        let values = Values::Positional(vec![Value::TextBytes(bytes.to_vec()); 3]);
        let sql = "SELECT CAST(? AS BLOB), typeof(?), length(?)".to_owned();
        both.compare(&Statement { sql, values }).await.unwrap();
    }
    let made = "CREATE TABLE broken (a TEXT, b)";
    both.compare(&plain(made)).await.unwrap();
    let values = Values::Named(vec![(":a".to_owned(), Value::TextBytes(b"\xc3(".to_vec()))]);
    let sql = "INSERT INTO broken VALUES (:a, :a || 'x') RETURNING *".to_owned();
    both.compare(&Statement { sql, values }).await.unwrap();
    for sql in [
        "SELECT *, a = b, max(a, b) FROM broken",
        "SELECT CAST(x'ff' AS TEXT)",
    ] {
        both.compare(&plain(sql)).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_sandbox_refuses_is_a_short_list() {
    let both = Both::new().await;
    for (sql, status, code, reason) in REFUSED {
        let plainly = both.oracle.connect().execute_batch(sql);
        assert!(plainly.is_ok(), "{sql}: SQLite itself says {plainly:?}");
        let answer = both.ask(&plain(sql)).await;
        assert_eq!(answer.status, *status, "{sql} ({reason}): {}", answer.text);
        answer.problem(*status, code);
    }
}

#[tokio::test]
async fn a_failed_statement_keeps_nothing_where_sqlite_would_keep_a_part() {
    let both = Both::new().await;
    both.compare(&plain("CREATE TABLE t (a UNIQUE)"))
        .await
        .unwrap();
    // OR FAIL keeps the rows before the failing one; a failed request keeps none.
    let sql = plain("INSERT OR FAIL INTO t VALUES (1), (2), (1), (3)");
    let outcome = both.compare(&sql).await.unwrap();
    assert!(matches!(
        outcome,
        Outcome::Failure {
            is_constraint: true,
            ..
        }
    ));
    let left = both.compare(&plain("SELECT a FROM t")).await.unwrap_err();
    assert!(left.starts_with("there are 2 rows"), "{left}");
    let mine = both.ask(&plain("SELECT a FROM t")).await;
    assert_eq!(mine.json()["row_count"], 0);
}

#[tokio::test]
async fn what_another_request_has_changed_in_the_schema_is_known_to_the_next() {
    let both = Both::new().await;
    for sql in [
        "CREATE TABLE t (a)",
        "SELECT * FROM t", // whoever answers this one knows one column
        "DROP TABLE t",
        "CREATE TABLE t (a, b)",
        "SELECT * FROM t UNION SELECT 1, 2",
        "SELECT * FROM pragma_table_info('t')",
        "CREATE TABLE child (t REFERENCES t (b))",
        "PRAGMA foreign_key_check", // a parent without a key
        "SELECT count(*) FROM pragma_foreign_key_check",
        "DROP TABLE child",
        "PRAGMA foreign_key_check",
        "PRAGMA table_info(child)",
        "DROP TABLE t",
        // Two faults: which one is told first depends on whether there is a table.
        "SELECT a FROM t UNION SELECT -0x8000000000000000",
    ] {
        both.compare(&plain(sql)).await.unwrap();
    }
}
