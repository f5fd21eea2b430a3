//! LIKE and GLOB say what SQLite says, to patterns of any length, and end by their deadline.
use crate::support::http::{HttpForge, ROOT};
use crate::support::sql::{Sql, within};
use crate::support::sqlite;
use crate::support::test_forge::create;
use dbforge::data::QueryError;
use proptest::prelude::RngExt as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

use rusqlite::types::Value as SqliteValue;
use serde_json::{Value, json};
use std::time::Duration;

/// Pieces of which patterns, texts and escapes are made up. Two of the same kind meet often.
const PIECES: &[&[u8]] = &[
    b"%",
    b"%",
    b"_",
    b"*",
    b"*",
    b"?",
    b"[",
    b"[^",
    b"[]",
    b"]",
    b"-",
    b"^",
    b"a",
    b"a",
    b"A",
    b"b",
    b"B",
    b"z",
    b"@",
    b"`",
    b"\\",
    "é".as_bytes(),
    "É".as_bytes(),
    "日".as_bytes(),
    "😀".as_bytes(),
    b"\x00",
    b"\x80",
    b"\xc3",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc1\x81",
    b"\xf8\x90\x80\x80",
    b"\xbf",
];

fn made_up(rng: &mut TestRng, most: u32) -> String {
    let mut bytes = Vec::<u8>::new();
    for _ in 0..rng.random_range(0..=most) {
        bytes.extend(PIECES[rng.random_range(0..PIECES.len())]);
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match rng.random_range(0..24) {
        0 => "NULL".to_owned(),
        1 => rng.random_range(-20..20).to_string(),
        2 => "1.5".to_owned(),
        3 => format!("x'{hex}'"),
        _ => format!("CAST(x'{hex}' AS TEXT)"),
    }
}

/// What SQLite itself answers: one column of integers and NULLs, or an error.
fn plainly(sql: &rusqlite::Connection, question: &str) -> Result<Vec<Value>, String> {
    let mut statement = sql.prepare(question).unwrap();
    let rows = statement.query_map([], |row| row.get(0));
    let rows: Result<Vec<_>, _> = rows.unwrap().collect();
    let rows = rows.map_err(|error| error.to_string())?;
    Ok(rows
        .into_iter()
        .map(|value| match value {
            SqliteValue::Integer(it) => json!([it]),
            SqliteValue::Null => json!([null]),
            other => panic!("{question}: {other:?}"),
        })
        .collect())
}

async fn compare(sql: &Sql, plain: &rusqlite::Connection, question: &str) {
    let expected = plainly(plain, question);
    let answer = match sql.ask(question).await {
        Ok(mut answer) => Ok(answer["rows"].take().as_array().unwrap().clone()),
        Err(QueryError::Sql { message, .. }) => Err(message),
        Err(error) => panic!("{question}: {error}"),
    };
    assert!(
        answer == expected,
        "{question:.2000}\n{answer:?}\n{expected:?}"
    );
}

#[tokio::test]
async fn made_up_patterns_match_what_they_match_in_sqlite() {
    let sql = Sql::new();
    let plain = sqlite::in_memory();
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut matches = 0;
    for most in [3, 6, 12, 200] {
        for _ in 0..12 {
            let pairs: Vec<_> = (0..40)
                .map(|_| {
                    let pattern = made_up(&mut rng, most);
                    // A text that shares pieces with its pattern matches it now and then.
                    let text = match rng.random_range(0..3) {
                        0 => format!("replace({pattern}, '%', 'aé')"),
                        _ => made_up(&mut rng, most),
                    };
                    format!("({pattern}, {text})")
                })
                .collect();
            let pairs = format!("WITH pairs(p, t) AS (VALUES {})", pairs.join(", "));
            for operator in [
                "t LIKE p",
                "t GLOB p",
                "t LIKE p ESCAPE 'a'",
                "t LIKE p ESCAPE '%'",
                "t LIKE p ESCAPE '_'",
                "t LIKE p ESCAPE 'é'",
                "t LIKE '%' || p || '%'",
                "t GLOB '*' || p",
                "t GLOB p || '*[' || p",
            ] {
                let question = format!("{pairs} SELECT {operator} FROM pairs");
                compare(&sql, &plain, &question).await;
                matches += plainly(&plain, &question)
                    .unwrap()
                    .iter()
                    .filter(|row| **row == json!([1]))
                    .count();
            }
        }
    }
    assert!(matches > 500, "{matches} matches compare too little");
    for escape in [
        "''",
        "'ab'",
        "NULL",
        "7",
        "77",
        "x'ff'",
        "CAST(x'c3' AS TEXT)",
        "x'61'",
    ] {
        let question = format!("SELECT 'a%b' LIKE '%a%%b' ESCAPE {escape}");
        compare(&sql, &plain, &question).await;
    }
    for bytes in [49_999, 50_000, 50_001] {
        for operator in ["LIKE", "GLOB"] {
            let question = format!("SELECT 'a' {operator} '{}'", "a".repeat(bytes));
            compare(&sql, &plain, &question).await;
        }
    }
}

const LONG: &str = "%a%b%c%d%e%f%g%h%i%j%k%l%m%n%o%p%q%r%s%t%u%v%w%x%y%z%";
const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz";

#[tokio::test]
async fn a_long_pattern_is_taken_over_every_route() {
    let forge = HttpForge::new().await;
    forge.submit(create("d")).await.unwrap();
    forge.settle().await;
    let database = "/v1/databases/d";
    let post = async |path: &str, body: Value| {
        let answer = forge.post(path, &body.to_string()).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        answer
    };
    let query = format!("{database}/query");
    for sql in [
        "CREATE TABLE t (a, n DEFAULT 0)",
        &format!("CREATE VIEW v AS SELECT a FROM t WHERE a LIKE '{LONG}'"),
        &format!("CREATE TABLE checked (a CHECK (a NOT GLOB '{LONG}'))"),
        "INSERT INTO t (a) VALUES ('abcdefghijklmnopqrstuvwxyz'), ('b')",
    ] {
        post(&query, json!({ "sql": sql })).await;
    }
    let select = json!({"sql": "SELECT a FROM t WHERE a LIKE ?", "params": [LONG]});
    let update = json!({"sql": "UPDATE t SET n = n + 1 WHERE a LIKE ?", "params": [LONG]});
    for _ in 0..3 {
        let answer = post(&query, select.clone()).await.json();
        assert_eq!(answer["rows"], json!([[ALPHABET]]));
        let answer = post(&query, update.clone()).await.json();
        assert_eq!(answer["rows_affected"], 1);
    }
    let lines = post(&format!("{query}?format=ndjson"), select.clone()).await;
    assert!(
        lines.text.contains(&format!(r#"["{ALPHABET}"]"#)),
        "{}",
        lines.text
    );
    let view = post(&query, json!({"sql": "SELECT a FROM v"})).await.json();
    assert_eq!(view["rows"], json!([[ALPHABET]]));
    let batch = json!({"statements": [update, select]});
    let answer = post(&format!("{database}/batch"), batch).await.json();
    assert_eq!(answer["results"][0]["rows_affected"], 1, "{answer}");
    let script =
        format!("UPDATE t SET n = n + 1 WHERE a LIKE '{LONG}'; INSERT INTO checked VALUES (1);");
    let answer = forge.ask("POST", &format!("{database}/script")).token(ROOT);
    let answer = answer
        .header("content-type", "text/plain")
        .body(&script)
        .await;
    assert!(answer.status.is_success(), "{}", answer.text);
    let begun = post(&format!("{database}/transactions"), json!({}))
        .await
        .json();
    let inside = format!("{database}/transactions/{}", begun["id"].as_str().unwrap());
    post(&format!("{inside}/query"), update).await;
    let answer = post(&format!("{inside}/query"), select).await.json();
    assert_eq!(answer["rows"], json!([[ALPHABET]]));
    post(&format!("{inside}/commit"), json!({})).await;
    let numbers = post(&query, json!({"sql": "SELECT n FROM t"})).await.json();
    assert_eq!(numbers["rows"], json!([[6], [0]]));
    let audit = json!({"sql": format!("SELECT '{ALPHABET}' LIKE '{LONG}'")});
    let answer = post("/v1/audit/query", audit).await.json();
    assert_eq!(answer["rows"], json!([[1]]));
}

#[tokio::test]
async fn an_index_serves_patterns_that_begin_with_letters() {
    let sql = Sql::new();
    for statement in [
        "CREATE TABLE t (a TEXT COLLATE NOCASE UNIQUE, b TEXT UNIQUE)",
        "INSERT INTO t VALUES ('Abc', 'abc'), ('xyz', 'xyz')",
    ] {
        sql.ask(statement).await.unwrap();
    }
    let long = format!("abc%{}", "%".repeat(60));
    for condition in [
        "a LIKE 'abc%'",
        "a LIKE 'a\\%c%' ESCAPE '\\'",
        "b GLOB 'abc*'",
        &format!("a LIKE '{long}'"),
    ] {
        // Of a read and of a write, each on a connection of its own.
        for statement in ["SELECT * FROM t", "DELETE FROM t"] {
            let plan = format!("EXPLAIN QUERY PLAN {statement} WHERE {condition}");
            let plan = sql.rows(&plan).await.to_string();
            assert!(plan.contains("SEARCH t USING"), "{condition}: {plan}");
        }
    }
    // An index that tells case apart serves no LIKE, and one that does not, no GLOB.
    for condition in ["b LIKE 'abc%'", "a GLOB 'abc*'"] {
        let plan = format!("EXPLAIN QUERY PLAN SELECT * FROM t WHERE {condition}");
        let plan = sql.rows(&plan).await.to_string();
        assert!(plan.contains("SCAN t"), "{condition}: {plan}");
    }
    let found = "SELECT (SELECT b FROM t WHERE a LIKE 'aBC%'), (SELECT a FROM t WHERE b GLOB 'a*')";
    assert_eq!(sql.rows(found).await, json!([["abc", "Abc"]]));
}

#[tokio::test]
async fn a_pattern_that_takes_long_ends_by_its_deadline_and_the_next_statement_runs() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a, n DEFAULT 0)").await.unwrap();
    // Half a megabyte to a megabyte.
    sql.ask("INSERT INTO t (a) VALUES (replace(hex(zeroblob(500000)), '0', 'a'))")
        .await
        .unwrap();
    let letters = "a".repeat(40_000);
    let any = "%a".repeat(500);
    for (condition, what) in [
        (format!("a LIKE '%{letters}b'"), "a long piece"),
        (
            format!("a LIKE '{any}%{letters}_b%'"),
            "many wildcards before it",
        ),
        (format!("a GLOB '*[a-c]{letters}b*'"), "a set"),
        (
            format!("a GLOB '*{}b'", "[^b-y]?".repeat(5_000)),
            "many sets",
        ),
        (
            format!("a LIKE '%é%' || replace(a, 'a', '') || '%{letters}é'"),
            "no letter of the text",
        ),
    ] {
        for statement in ["SELECT n FROM t", "UPDATE t SET n = n + 1"] {
            let timeout = Duration::from_millis(300);
            let question = format!("{statement} WHERE {condition} OR n < 0");
            match sql.ask_as(&question, within(timeout)).await {
                Err(QueryError::Timeout { .. }) => {}
                Ok(answer) => assert_eq!(answer["row_count"], 0, "{what}"),
                Err(error) => panic!("{what}: {error}"),
            }
            // A thread that nothing stopped would have its database rest.
            assert_eq!(sql.rows("SELECT n FROM t").await, json!([[0]]), "{what}");
        }
    }
    let worst = format!("SELECT n FROM t WHERE a LIKE '%{letters}b'");
    let late = sql.ask_as(&worst, within(Duration::from_millis(300))).await;
    assert!(matches!(late, Err(QueryError::Timeout { .. })), "{late:?}");
    // One that only looks long does not go back at all.
    let many = format!("SELECT a LIKE '{}b%' FROM t", "%a".repeat(500));
    let answer = sql.ask_as(&many, within(Duration::from_secs(50))).await;
    assert_eq!(answer.unwrap()["rows"], json!([[0]]));
}

#[tokio::test]
async fn a_pattern_past_the_bound_is_told_so_with_the_bound() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    for question in [
        format!("SELECT 'a' LIKE '{}'", "%".repeat(50_001)),
        // SQLite checks the rows that are there with its own functions, which nothing interrupts.
        format!("ALTER TABLE t ADD CHECK (a LIKE '%{}')", "a".repeat(50)),
    ] {
        if question.starts_with("ALTER") {
            sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
        }
        let error = sql.ask(&question).await.unwrap_err();
        let hint = error.hint().unwrap_or_default();
        assert!(error.to_string().contains("pattern too complex"), "{error}");
        assert!(hint.contains("50,000 bytes"), "{question:.60}: {hint}");
    }
}
