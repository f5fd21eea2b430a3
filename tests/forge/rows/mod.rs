//! Rows without SQL, in PostgREST's dialect.
mod clients;
mod injections;
mod killed;
mod pages;
mod postgrest;
mod reading;
mod strictness;
mod values;
mod writing;

use crate::support::http::{Answer, HttpForge, ROOT};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

/// What stands in an address as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'?')
    .remove(b'&')
    .remove(b'=')
    .remove(b'%')
    .remove(b'/')
    .remove(b',')
    .remove(b'.')
    .remove(b'*')
    .remove(b'(')
    .remove(b')')
    .remove(b'_')
    .remove(b'-');

const SCHEMA: &[&str] = &[
    "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER, \
     email TEXT UNIQUE, data JSON, active BOOLEAN DEFAULT 1)",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), \
     amount REAL, status TEXT DEFAULT 'new', seller_id INTEGER REFERENCES users(id))",
    "CREATE TABLE items (order_id INTEGER REFERENCES orders(id), line INTEGER, sku TEXT, \
     PRIMARY KEY (order_id, line)) WITHOUT ROWID",
    "CREATE TABLE tags (id INTEGER PRIMARY KEY, label TEXT)",
    "CREATE TABLE user_tags (user_id INTEGER REFERENCES users, tag_id INTEGER REFERENCES tags, \
     PRIMARY KEY (user_id, tag_id))",
    "CREATE TABLE emp (id INTEGER PRIMARY KEY, name TEXT, boss_id INTEGER REFERENCES emp(id))",
    "CREATE TABLE \"odd \"\"one\"\"\" (\"select\" INTEGER, \"order\" TEXT, \"limit\" INTEGER, \
     \"a b\" TEXT, \"a.b\" TEXT, \"q\"\"q\" TEXT, \"größe\" REAL, \"50%\" INTEGER)",
    "CREATE TABLE vals (id INTEGER PRIMARY KEY, x)",
    "CREATE TABLE made (id INTEGER PRIMARY KEY, a INT, twice INT AS (a * 2) STORED)",
    "CREATE TABLE strict (id INTEGER PRIMARY KEY, n INT, b BLOB) STRICT",
    "CREATE VIEW grown AS SELECT id, name FROM users WHERE age >= 18",
    "CREATE VIEW names AS SELECT name FROM users",
    "CREATE TRIGGER names_in INSTEAD OF INSERT ON names BEGIN \
     INSERT INTO users (name) VALUES (new.name); END",
    "INSERT INTO users (id, name, age, email, data) VALUES \
     (1, 'Ann', 30, 'ann@x', '{\"city\":\"Bern\",\"n\":[1,2]}'), (2, 'Bob', 17, 'bob@x', NULL), \
     (3, 'cyd', NULL, NULL, '{\"city\":\"Ulm\"}')",
    "INSERT INTO orders (id, user_id, amount, status, seller_id) VALUES \
     (1, 1, 9.5, 'paid', 2), (2, 1, 20, 'new', 3), (3, 2, 5, 'paid', NULL)",
    "INSERT INTO items VALUES (1, 1, 'a'), (1, 2, 'b,c'), (2, 1, 'x')",
    "INSERT INTO tags VALUES (1, 'vip'), (2, 'new')",
    "INSERT INTO user_tags VALUES (1, 1), (1, 2), (2, 2)",
    "INSERT INTO emp VALUES (1, 'Boss', NULL), (2, 'Kim', 1), (3, 'Lee', 1)",
    "INSERT INTO \"odd \"\"one\"\"\" VALUES (1, 'x', 5, 'sp', 'dot', 'quo', 1.5, 50), \
     (2, 'y', 6, 'sp2', 'dot2', 'quo2', 2.5, 51)",
    "INSERT INTO vals VALUES (1, 5), (2, '5'), (3, x'00ff'), (4, NULL), (5, 9e999), (6, -9e999), \
     (7, 9223372036854775807), (8, CAST(x'8061' AS TEXT)), (9, 'true'), (10, 1.5)",
    "INSERT INTO made (id, a) VALUES (1, 2)",
];

/// A forge with a database `shop` that has tables and rows.
async fn shop() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    for sql in SCHEMA {
        run(&forge, sql).await;
    }
    forge
}

async fn run(forge: &HttpForge, sql: &str) -> Answer {
    let body = json!({ "sql": sql }).to_string();
    let answer = forge.post("/v1/databases/shop/query", &body).await;
    assert_eq!(answer.status, 200, "{sql}: {}", answer.text);
    answer
}

/// The path of a table's rows, `users?age=gt.1`, with what needs it escaped.
fn rows(table_and_query: &str) -> String {
    let (table, query) = table_and_query
        .split_once('?')
        .unwrap_or((table_and_query, ""));
    let (table, rest) = table.split_once('/').unwrap_or((table, ""));
    let rest = if rest.is_empty() {
        String::new()
    } else {
        format!("/{rest}")
    };
    let path = format!("/v1/databases/shop/tables/{table}/rows{rest}?{query}");
    utf8_percent_encode(&path, PLAIN).to_string()
}

async fn get(forge: &HttpForge, table_and_query: &str) -> Answer {
    forge.get(&rows(table_and_query)).await
}

/// The rows of an answer, or why there are none.
async fn data(forge: &HttpForge, table_and_query: &str) -> String {
    let answer = get(forge, table_and_query).await;
    let body: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
    match body.get("data") {
        Some(data) => data.to_string(),
        None => answer.text,
    }
}

/// A write with what it prefers.
async fn write(
    forge: &HttpForge,
    method: &str,
    table_and_query: &str,
    prefer: &str,
    body: &str,
) -> Answer {
    let ask = forge.ask(method, &rows(table_and_query)).token(ROOT);
    ask.header("prefer", prefer).body(body).await
}
