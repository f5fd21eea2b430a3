//! `last_insert_rowid()`, `changes()` and `total_changes()` say in a request what SQLite says on a
//! connection of its own.
use crate::sql::oracle::{Oracle, Outcome, Statement, Value, plain};
use crate::sql::transactions::{begin, end};
use crate::support::http::HttpForge;
use futures_util::future::join_all;
use serde_json::{Value as Json, json};

const QUERY: &str = "/v1/databases/shop/query";
const BATCH: &str = "/v1/databases/shop/batch";
const SCRIPT: &str = "/v1/databases/shop/script";

const SCHEMA: &[&str] = &[
    "CREATE TABLE o (id INTEGER PRIMARY KEY, x)",
    "CREATE TABLE i (id INTEGER PRIMARY KEY, o, n)",
    "CREATE TABLE w (k PRIMARY KEY, n) WITHOUT ROWID",
    "CREATE TABLE log (id INTEGER PRIMARY KEY, l, c, t)",
    "CREATE TABLE seen (id INTEGER PRIMARY KEY, o, c, n)",
    "CREATE VIEW v AS SELECT last_insert_rowid() AS l, changes() AS c, total_changes() AS t",
    "CREATE TRIGGER g AFTER INSERT ON seen BEGIN
       UPDATE o SET x = x + 1; UPDATE seen SET c = changes() WHERE id = new.id;
       INSERT INTO log VALUES (NULL, last_insert_rowid(), changes(), total_changes());
     END",
    "CREATE VIRTUAL TABLE f USING fts5(body)",
    "INSERT INTO o (x) VALUES (1), (2), (3)",
];

/// What one request does, with everything that moves a counter or must not.
const STATEMENTS: &[&str] = &[
    "SELECT last_insert_rowid(), changes(), total_changes()",
    "INSERT INTO o (x) VALUES (10), (11)",
    "INSERT INTO i (o, n) VALUES (last_insert_rowid(), changes())",
    "INSERT INTO i (o, n) SELECT last_insert_rowid(), total_changes() FROM o",
    "UPDATE o SET x = 0 WHERE id > 2",
    "INSERT INTO log VALUES (NULL, last_insert_rowid(), changes(), total_changes())",
    "DELETE FROM o WHERE id = 999",
    "SELECT * FROM v",
    "INSERT INTO w VALUES ('a', last_insert_rowid())",
    "INSERT INTO w VALUES ('a', 1) ON CONFLICT (k) DO UPDATE SET n = changes()",
    "INSERT OR IGNORE INTO o VALUES (1, 1)",
    "CREATE TABLE made (a)",
    "PRAGMA user_version = 7",
    "SELECT * FROM v",
    "INSERT INTO made VALUES (changes()), (changes())",
    "INSERT INTO seen (o) VALUES (last_insert_rowid())",
    "INSERT INTO i (o, n) VALUES (last_insert_rowid(), changes())",
    "INSERT INTO o VALUES (0, 'zero')",
    "INSERT INTO i (o, n) VALUES (last_insert_rowid(), changes())",
    "INSERT INTO o VALUES (-9223372036854775808, 'least') RETURNING changes()",
    "EXPLAIN DELETE FROM o",
    "REPLACE INTO o VALUES (1, 'again')",
    "DELETE FROM i",
    "SELECT * FROM v",
    "SELECT * FROM seen",
    "SELECT * FROM log",
    "SELECT * FROM made",
    "SELECT * FROM w",
    // What FTS5 writes for itself counts when the transaction ends, and not before.
    "INSERT INTO f (rowid, body) VALUES (77, 'words')",
    "SELECT last_insert_rowid(), changes()",
];

/// Statements of every kind, each asked behind one that changes three rows.
const KINDS: &[&str] = &[
    "EXPLAIN INSERT INTO o (x) VALUES (1)",
    "EXPLAIN UPDATE o SET x = 1",
    "EXPLAIN DELETE FROM o",
    "EXPLAIN SELECT * FROM o",
    "EXPLAIN QUERY PLAN UPDATE o SET x = 1",
    "EXPLAIN CREATE TABLE never (a)",
    "EXPLAIN CREATE TABLE never (a)",
    "EXPLAIN PRAGMA user_version = 3",
    "PRAGMA user_version",
    "PRAGMA user_version = 8",
    "PRAGMA table_info(o)",
    "PRAGMA foreign_keys = ON",
    "PRAGMA integrity_check",
    "PRAGMA optimize",
    "SELECT count(*) FROM o",
    "VALUES (1), (2)",
    "WITH c AS (SELECT 1) SELECT * FROM c",
    "CREATE TABLE n (id INTEGER PRIMARY KEY, a)",
    "CREATE TABLE copied AS SELECT * FROM o",
    "CREATE INDEX ox ON o (x)",
    "CREATE VIEW ov AS SELECT * FROM o",
    "CREATE TRIGGER ot AFTER INSERT ON n BEGIN INSERT INTO i (n) VALUES (1), (2); END",
    "CREATE TRIGGER ovt INSTEAD OF INSERT ON ov BEGIN INSERT INTO i (n) VALUES (1), (2); END",
    "ALTER TABLE n ADD COLUMN b",
    "ALTER TABLE n RENAME COLUMN b TO c",
    "ALTER TABLE n DROP COLUMN c",
    "INSERT INTO n (a) SELECT 1 FROM o",
    "INSERT INTO ov VALUES (1, 1)",
    "ALTER TABLE n RENAME TO m",
    "DELETE FROM m WHERE id = 1",
    "DELETE FROM m",
    "INSERT INTO m (a) SELECT 1 WHERE 0",
    "UPDATE m SET a = 2 WHERE 0",
    "DROP TABLE copied",
    "REINDEX o",
    "ANALYZE o",
    "INSERT OR IGNORE INTO o VALUES (1, 1)",
    "INSERT INTO w VALUES ('a', 1), ('b', 2) ON CONFLICT DO UPDATE SET n = 5",
    "REPLACE INTO w VALUES ('a', 2)",
    "INSERT INTO o (x) VALUES (7), (8) RETURNING id",
    "CREATE VIRTUAL TABLE p USING rtree(id, a, b)",
    "INSERT INTO p VALUES (5, 1, 2), (6, 1, 2)",
    "DELETE FROM p",
    "DROP TABLE p",
];

/// In a transaction alone: those about savepoints, and those that fail.
const KINDS_IN_A_TRANSACTION: &[&str] = &[
    "SAVEPOINT s",
    "INSERT INTO i (n) VALUES (1)",
    "ROLLBACK TO s",
    "RELEASE s",
    "INSERT INTO o VALUES (70, 1), (1, 1)",
    "INSERT OR FAIL INTO o VALUES (71, 1), (1, 1)",
    "UPDATE o SET id = 1",
    "INSERT INTO i (n) SELECT abs(-9223372036854775808)",
    "SELECT abs(-9223372036854775808)",
    "SELECT * FROM nowhere",
    "DELETE FROM nowhere",
    "EXPLAIN DELETE FROM nowhere",
    "CREATE TABLE o (a)",
    "nonsense",
];

const COUNTERS: &str = "SELECT last_insert_rowid(), changes(), total_changes()";

/// Each of them between one that changes three rows and one that asks for the counters.
fn between<'s>(kinds: &[&'s str]) -> Vec<&'s str> {
    let around = |kind: &&'s str| ["UPDATE i SET n = n WHERE id > -10", *kind, COUNTERS];
    kinds.iter().flat_map(around).collect()
}

async fn shop() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let made = batch(&forge, BATCH, "immediate", SCHEMA).await;
    assert_eq!(made.as_array().unwrap().len(), SCHEMA.len());
    forge
}

async fn batch(forge: &HttpForge, path: &str, transaction: &str, statements: &[&str]) -> Json {
    let statements: Vec<_> = statements.iter().map(|it| json!({ "sql": it })).collect();
    let body = json!({"statements": statements, "transaction": transaction}).to_string();
    let answer = forge.post(path, &body).await;
    assert_eq!(answer.status, 200, "{transaction}: {}", answer.text);
    answer.json()["results"].take()
}

async fn rows(forge: &HttpForge, sql: &str) -> Json {
    let answer = forge.post(QUERY, &json!({ "sql": sql }).to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["rows"].take()
}

/// The rows that SQLite itself answers with; null where they do not matter.
fn expected(statements: &[&str]) -> Vec<Json> {
    let oracle = Oracle::new();
    let all = |them: &[&str]| them.iter().map(|it| plain(it)).collect::<Vec<Statement>>();
    oracle.ask_in_a_row(&all(SCHEMA));
    let outcomes = oracle.ask_in_a_row(&all(statements));
    let cell = |value: &Value| -> Json { serde_json::from_str(&value.to_json()).unwrap() };
    let row = |row: &Vec<Value>| row.iter().map(cell).collect::<Json>();
    (outcomes.iter().zip(statements))
        .map(|(outcome, sql)| match outcome {
            Outcome::Answer { rows, .. } if !sql.starts_with("EXPLAIN") => {
                rows.iter().map(row).collect()
            }
            _ => Json::Null,
        })
        .collect()
}

fn assert_same(results: &Json, statements: &[&str], how: &str) {
    let expected = expected(statements);
    for (number, (sql, expected)) in statements.iter().zip(&expected).enumerate() {
        if !expected.is_null() {
            let before = statements[number.saturating_sub(1)];
            let rows = &results[number]["rows"];
            assert_eq!(rows, expected, "{how}: {sql}, behind {before}");
        }
    }
}

#[tokio::test]
async fn statements_of_a_request_count_as_on_one_connection_of_sqlite() {
    for transaction in ["immediate", "deferred", "none"] {
        let forge = shop().await;
        let results = batch(&forge, BATCH, transaction, STATEMENTS).await;
        assert_same(&results, STATEMENTS, transaction);
    }
}

#[tokio::test]
async fn statements_of_a_transaction_count_as_on_one_connection_of_sqlite() {
    for mode in ["immediate", "deferred"] {
        let forge = shop().await;
        let transaction = begin(&forge, &json!({ "mode": mode }).to_string()).await;
        let results = one_after_another(&forge, &transaction, STATEMENTS).await;
        assert_same(&results, STATEMENTS, mode);
        assert_eq!(end(&forge, &transaction, "commit").await.status, 204);

        let transaction = begin(&forge, "{}").await;
        let counters = ["SELECT last_insert_rowid(), changes(), total_changes()"];
        let path = format!("{transaction}/batch");
        let next = batch(&forge, &path, "immediate", &counters).await;
        assert_eq!(next[0]["rows"], json!([[0, 0, 0]]), "another transaction");
    }
}

/// What statements of a transaction answer, each in a request of its own.
async fn one_after_another(forge: &HttpForge, transaction: &str, statements: &[&str]) -> Json {
    let mut results = Vec::new();
    for sql in statements {
        let body = json!({ "sql": sql }).to_string();
        let answer = forge.post(&format!("{transaction}/query"), &body).await;
        results.push(answer.json());
    }
    results.into()
}

#[tokio::test]
async fn statements_of_every_kind_leave_the_counters_as_sqlite_does() {
    let first = &["INSERT INTO i (n) VALUES (1), (2), (3)"][..];
    let statements = [first, &between(KINDS)].concat();
    for transaction in ["immediate", "deferred", "none"] {
        let forge = shop().await;
        let results = batch(&forge, BATCH, transaction, &statements).await;
        assert_same(&results, &statements, transaction);
    }
    let statements = [statements, between(KINDS_IN_A_TRANSACTION)].concat();
    for mode in ["immediate", "deferred"] {
        let forge = shop().await;
        let transaction = begin(&forge, &json!({ "mode": mode }).to_string()).await;
        let results = one_after_another(&forge, &transaction, &statements).await;
        assert_same(&results, &statements, mode);
    }
}

#[tokio::test]
async fn a_script_refers_to_the_row_that_it_has_inserted() {
    let forge = shop().await;
    let script = "INSERT INTO o (x) VALUES (5); INSERT INTO i (o, n) VALUES (last_insert_rowid(), \
                  changes()); INSERT INTO log VALUES (NULL, last_insert_rowid(), 0, total_changes())";
    let ask = forge.ask("POST", SCRIPT).token(crate::support::http::ROOT);
    let answer = ask.header("content-type", "text/plain").body(script).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let found = rows(&forge, "SELECT o, n, l, t FROM i, log").await;
    assert_eq!(found, json!([[4, 1, 1, 2]]));
}

#[tokio::test]
async fn a_request_sees_no_other_requests_numbers_even_in_one_commit() {
    let forge = shop().await;
    let insert = json!({"sql": "INSERT INTO log SELECT NULL, last_insert_rowid(), changes(), \
                                total_changes() UNION ALL SELECT NULL, 0, 0, 0"});
    // More than once, so that it is kept prepared and runs without a savepoint.
    for _ in 0..3 {
        let insert = insert.to_string();
        for answer in join_all((0..20).map(|_| forge.post(QUERY, &insert))).await {
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    }
    let seen = rows(&forge, "SELECT DISTINCT l, c, t FROM log").await;
    assert_eq!(seen, json!([[0, 0, 0]]));
    let read = rows(&forge, "SELECT * FROM v").await;
    assert_eq!(read, json!([[0, 0, 0]]));
}

#[tokio::test]
async fn behind_a_trigger_changes_is_not_the_number_of_another_request() {
    let forge = shop().await;
    let schema = [
        "CREATE TABLE p (a)",
        "CREATE TRIGGER h AFTER INSERT ON p BEGIN UPDATE o SET x = x + 1; END",
    ];
    batch(&forge, BATCH, "immediate", &schema).await;
    for _ in 0..3 {
        let update = "UPDATE o SET x = 0 RETURNING 1";
        assert_eq!(rows(&forge, update).await, json!([[1], [1], [1]]));
        // The second row is made behind the trigger of the first.
        let insert = "INSERT INTO p SELECT changes() FROM (VALUES (1), (2)) RETURNING a";
        assert_eq!(rows(&forge, insert).await, json!([[0], [0]]));
    }
    let temporary = "SELECT count(*) FROM sqlite_temp_schema";
    assert_eq!(rows(&forge, temporary).await, json!([[0]]));
}

#[tokio::test]
async fn the_answer_tells_the_last_rowid_where_a_row_was_inserted_and_null_elsewhere() {
    let forge = shop().await;
    let statements = [
        ("INSERT INTO o VALUES (0, 'zero')", json!(0)),
        ("INSERT INTO i VALUES (0, 0, 0)", json!(0)),
        ("INSERT INTO i VALUES (7, 0, 0), (-3, 0, 0)", json!(-3)),
        ("UPDATE i SET n = 1", json!(null)),
        ("INSERT INTO w VALUES ('x', 1)", json!(null)),
        ("INSERT OR IGNORE INTO o VALUES (0, 'zero')", json!(null)),
        ("INSERT INTO seen (id) VALUES (12)", json!(12)),
        ("CREATE TABLE made AS SELECT 1", json!(null)),
        ("SELECT last_insert_rowid()", json!(null)),
        ("DELETE FROM o WHERE id = 0", json!(null)),
    ];
    let texts: Vec<_> = statements.iter().map(|(sql, _)| *sql).collect();
    let together = batch(&forge, BATCH, "immediate", &texts).await;
    for (number, (sql, expected)) in statements.iter().enumerate() {
        assert_eq!(together[number]["last_insert_rowid"], *expected, "{sql}");
    }
    let zero = forge.post(QUERY, r#"{"sql":"INSERT INTO o VALUES (0, 1)"}"#);
    assert_eq!(zero.await.json()["last_insert_rowid"], 0);
}
