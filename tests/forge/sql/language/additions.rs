//! Functions and tables that people expect of SQLite beside its core.
use crate::support::sql::{Sql, within};
use crate::support::sqlite;
use dbforge::data::{Param, Params, QueryError};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn math_functions_are_there() {
    let sql = Sql::new();
    let question = "SELECT ceil(1.2), floor(-1.2), trunc(1.9), sqrt(9), pow(2, 10), mod(7, 3), \
                    ln(1), log(100), log2(8), exp(0), round(pi(), 1), degrees(0), sin(0)";
    let expected = json!([[
        2.0, -2.0, 1.0, 3.0, 1024.0, 1.0, 0.0, 2.0, 3.0, 1.0, 3.1, 0.0, 0.0
    ]]);
    assert_eq!(sql.rows(question).await, expected);
}

/// What SQLite itself says, which has them, too.
fn plainly(setup: &str, question: &str) -> Result<Vec<Option<f64>>, String> {
    let plain = sqlite::in_memory();
    plain.execute_batch(setup).unwrap();
    let mut statement = plain.prepare(question).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    let rows: Result<_, rusqlite::Error> = rows.collect();
    rows.map_err(|error| error.to_string())
}

#[tokio::test]
async fn percentiles_are_those_of_sqlite() {
    let sql = Sql::new();
    let setup = "CREATE TABLE n (a, g); \
                 INSERT INTO n VALUES (3, 1), (1, 1), (NULL, 1), (2.5, 1), (2.5, 2), (7, 2), \
                                      (-4, 2), (1e300, 3), (9223372036854775807, 3)";
    for statement in setup.split("; ") {
        sql.ask(statement).await.unwrap();
    }
    for question in [
        "SELECT median(a) FROM n",
        "SELECT median(a) FROM n WHERE g = 9",
        "SELECT median(a) FROM n WHERE a IS NULL",
        "SELECT median(a) FROM n GROUP BY g",
        "SELECT percentile(a, 25) FROM n",
        "SELECT percentile(a, '12.5') FROM n GROUP BY g",
        "SELECT percentile(a, 100) FROM n",
        "SELECT percentile_cont(a, 0.9) FROM n",
        "SELECT percentile_disc(a, 0.5) FROM n",
        "SELECT percentile_disc(a, 0) FROM n",
        "SELECT percentile_cont(a, 0.3) OVER (ORDER BY rowid ROWS 2 PRECEDING) FROM n",
        "SELECT median(a) OVER (PARTITION BY g ORDER BY a) FROM n",
        "SELECT percentile_disc(a, 0.7) OVER (ORDER BY rowid ROWS BETWEEN 1 PRECEDING AND 2 \
         FOLLOWING EXCLUDE CURRENT ROW) FROM n",
        "SELECT percentile(a, 101) FROM n",
        "SELECT percentile_cont(a, 1.5) FROM n",
        "SELECT percentile_cont(a, 'x') FROM n",
        "SELECT percentile(a, g) FROM n",
        "SELECT median('x')",
        "SELECT median(9e999)",
        "SELECT percentile_disc(NULL, NULL)",
    ] {
        let actual = sql.ask(question).await;
        match (plainly(setup, question), actual) {
            (Ok(expected), Ok(answer)) => {
                let actual: Vec<_> = (answer["rows"].as_array().unwrap().iter())
                    .map(|row| row[0].as_f64())
                    .collect();
                assert_eq!(actual, expected, "{question}");
            }
            (Err(expected), Err(QueryError::Sql { message, .. })) => {
                assert_eq!(message, expected, "{question}");
            }
            (expected, actual) => panic!("{question}: {expected:?}, {actual:?}"),
        }
    }
}

/// Numbers in an order that makes the square of their number of steps in SQLite's own.
#[tokio::test]
async fn no_order_of_the_numbers_makes_a_percentile_slow_and_their_memory_is_bounded() {
    let sql = Sql::new();
    let killer = "WITH RECURSIVE c(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM c LIMIT 400000), \
                  a AS (SELECT iif(k < 200000, iif(k % 2, 200000 + k, k + 1), 2 * (k - 200000)) \
                  AS n FROM c)";
    let question = format!("{killer} SELECT median(n) FROM a");
    let answer = sql.ask_as(&question, within(Duration::from_secs(50)));
    answer.await.unwrap();
    let many: Vec<_> = (0..100).map(|it| format!("median(x + {it})")).collect();
    let question = format!(
        "WITH RECURSIVE c(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM c LIMIT 300000) \
         SELECT {} FROM c",
        many.join(", ")
    );
    let error = sql
        .ask_as(&question, within(Duration::from_secs(50)))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
}

#[tokio::test]
async fn a_series_is_counted_out_up_and_down_and_within_its_numbers() {
    let sql = Sql::new();
    for (series, expected) in [
        ("generate_series(1, 5)", json!([1, 2, 3, 4, 5])),
        ("generate_series(0, 10, 4)", json!([0, 4, 8])),
        ("generate_series(5, 1, -2)", json!([5, 3, 1])),
        ("generate_series(5, 1)", json!([])),
        ("generate_series(1, 5, -1)", json!([])),
        ("generate_series(1, 3, 0)", json!([1, 2, 3])),
        ("generate_series(NULL, 3)", json!([])),
        ("generate_series(1, 3, NULL)", json!([])),
        ("generate_series('2', 3.9)", json!([2, 3])),
        ("generate_series(7) LIMIT 2", json!([7, 8])),
        (
            "generate_series(0, 10, 4) ORDER BY value DESC",
            json!([8, 4, 0]),
        ),
        (
            "generate_series(10, 0, -4) ORDER BY value",
            json!([2, 6, 10]),
        ),
        (
            "generate_series(9223372036854775805, 9223372036854775807, 2)",
            json!([9_223_372_036_854_775_805_i64, i64::MAX]),
        ),
        (
            "generate_series(-9223372036854775807 - 1, 9223372036854775807, \
             9223372036854775807)",
            json!([i64::MIN, -1, i64::MAX - 1]),
        ),
        (
            "generate_series(9223372036854775807, -9223372036854775807 - 1, \
             -9223372036854775807 - 1) ORDER BY value",
            json!([-1, i64::MAX]),
        ),
        (
            "generate_series WHERE start = 1 AND stop = 9 AND step = 4",
            json!([1, 5, 9]),
        ),
        (
            "generate_series(1, 9) WHERE value BETWEEN 3 AND 4",
            json!([3, 4]),
        ),
    ] {
        let rows = sql.rows(&format!("SELECT value FROM {series}")).await;
        let values: Vec<_> = (rows.as_array().unwrap().iter())
            .map(|row| row[0].clone())
            .collect();
        assert_eq!(Value::from(values), expected, "{series}");
    }
    sql.ask("CREATE TABLE t (n)").await.unwrap();
    sql.ask("INSERT INTO t VALUES (2), (3)").await.unwrap();
    let joined = "SELECT n, value FROM t JOIN generate_series(1, n) ORDER BY n, value";
    let expected = json!([[2, 1], [2, 2], [3, 1], [3, 2], [3, 3]]);
    assert_eq!(sql.rows(joined).await, expected);

    let error = sql.ask("SELECT * FROM generate_series").await.unwrap_err();
    assert!(error.to_string().contains("first argument"), "{error}");
    let endless = "SELECT count(*) FROM generate_series(1, 1e18)";
    let short = within(Duration::from_millis(50));
    let error = sql.ask_as(endless, short).await.unwrap_err();
    assert_eq!(error, QueryError::Timeout { timeout_ms: 50 });
    sql.ask("CREATE VIRTUAL TABLE g USING generate_series")
        .await
        .expect_err("it is a function");
}

#[tokio::test]
async fn regular_expressions_match_as_the_regex_crate_reads_them() {
    let sql = Sql::new();
    for (question, expected) in [
        ("'hello world' REGEXP 'wor'", json!(1)),
        ("'hello' REGEXP '^ell'", json!(0)),
        ("'hello' REGEXP '^h.*o$'", json!(1)),
        ("'HELLO' REGEXP '(?i)hello'", json!(1)),
        ("'a1é€' REGEXP '^\\w+€$'", json!(1)),
        ("'über' REGEXP '\\bber'", json!(0)),
        ("'über' REGEXP '\\büber\\b'", json!(1)),
        ("'' REGEXP ''", json!(1)),
        ("'' REGEXP '.'", json!(0)),
        ("NULL REGEXP 'a'", json!(null)),
        ("'a' REGEXP NULL", json!(null)),
        ("12 REGEXP '^1'", json!(1)),
        ("x'ff00' REGEXP '(?-u:\\xff)'", json!(1)),
        ("'a' NOT REGEXP 'b'", json!(1)),
        ("regexp('b', 'abc')", json!(1)),
    ] {
        let rows = sql.rows(&format!("SELECT {question}")).await;
        assert_eq!(rows, json!([[expected]]), "{question}");
    }
    let error = sql.ask("SELECT 'a' REGEXP '('").await.unwrap_err();
    assert!(error.to_string().contains("unclosed group"), "{error}");
    for question in [
        "CREATE TABLE t (a CHECK (a REGEXP '^[a-z]+$'))",
        "INSERT INTO t VALUES ('abc')",
    ] {
        sql.ask(question).await.unwrap();
    }
    let error = sql.ask("INSERT INTO t VALUES ('a1')").await.unwrap_err();
    assert!(matches!(error, QueryError::Constraint { .. }), "{error}");
}

#[tokio::test]
async fn no_pattern_is_large_slow_or_deep_without_end() {
    let sql = Sql::new();
    let ask = async |pattern: &str, text: &str, timeout_ms| {
        let values = Params::Positional([Param::Text(pattern.into())].into());
        let question = format!("SELECT {text} REGEXP ?1");
        let timeout = within(Duration::from_millis(timeout_ms));
        sql.request(&sql.target, &question, values, timeout).await
    };
    for (pattern, reason) in [
        ("a".repeat(1_001), "longer than"),
        ("(".repeat(400) + &")".repeat(400), "nest"),
        ("((a{100}){100}){100}".to_owned(), "takes more"),
        (r"[\pL\pN]{999}".to_owned(), "takes more"),
    ] {
        let error = ask(&pattern, "'a'", 20_000).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{pattern:.20}: {error}");
    }
    // Each of them is a long way for a search that goes back.
    for pattern in ["(a+)+$", "(a|aa)+$", "(.*)(.*)(.*)(.*)[^a]$"] {
        let text = "replace(hex(zeroblob(50000)), '0', 'a') || 'b'";
        ask(pattern, text, 20_000).await.unwrap();
    }
    // A large automaton over a long text runs into the deadline, and no further.
    let text = "replace(hex(randomblob(1900000)), '0', 'é')";
    let slow = ask(r"(?i)(\w|[^x])*é.{400}é(\w|.)*é$", text, 300).await;
    match slow {
        Err(QueryError::Timeout { .. }) | Ok(_) => {}
        Err(error) => assert!(error.to_string().contains("too long"), "{error}"),
    }
    // What many patterns take counts as the statement's memory. On a database of its own: a busy
    // machine may still be at the search above, and the database rests until it has ended.
    let sql = Sql::new();
    let many: Vec<_> = (0..300)
        .map(|it| format!(r"'a' REGEXP '\w{{40}}{it}'"))
        .collect();
    let question = format!("SELECT {}", many.join(", "));
    let patient = within(Duration::from_secs(50));
    let error = sql.ask_as(&question, patient).await.unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
}

#[tokio::test]
async fn the_words_of_an_index_and_the_pages_of_a_database_can_be_looked_at() {
    let sql = Sql::new();
    for question in [
        "CREATE VIRTUAL TABLE f USING fts5(x)",
        "INSERT INTO f VALUES ('a b'), ('b c b')",
        "CREATE VIRTUAL TABLE words USING fts5vocab(f, row)",
        "CREATE VIRTUAL TABLE places USING fts5vocab('f', 'instance')",
    ] {
        sql.ask(question).await.unwrap();
    }
    let rows = sql.rows("SELECT term, doc, cnt FROM words").await;
    assert_eq!(rows, json!([["a", 1, 1], ["b", 2, 3], ["c", 1, 1]]));
    assert_eq!(sql.rows("SELECT count(*) FROM places").await, json!([[5]]));

    let rows = sql
        .rows(
            "SELECT sum(pgsize) = (SELECT page_count * page_size FROM pragma_page_count, \
             pragma_page_size) FROM dbstat",
        )
        .await;
    assert_eq!(rows, json!([[1]]));
    let paths = "SELECT DISTINCT path FROM dbstat WHERE path NOT GLOB '/*'";
    assert_eq!(
        sql.rows(paths).await,
        json!([]),
        "paths are places in trees"
    );
    sql.rows("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE")
        .await;
}
