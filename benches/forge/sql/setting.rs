//! What every workload is measured on: the tables, their rows, how long and on how many databases.
use std::time::Duration;

/// Rows of the table that is read.
pub(super) const ROWS: usize = 100_000;

pub(super) const SCHEMA: [&str; 3] = [
    "CREATE TABLE kv (id INTEGER PRIMARY KEY, name TEXT, age INTEGER, email TEXT)",
    "CREATE TABLE w (id INTEGER PRIMARY KEY, name TEXT, age INTEGER)",
    "INSERT INTO kv WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
     SELECT i, 'name of ' || i, i % 90, 'person' || i || '@example.org' FROM n",
];

/// How long each turn takes, and how many databases there are.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) turn: Duration,
    pub(crate) databases: usize,
}

/// The route of statements on a database.
pub(super) fn query_path(name: &str) -> String {
    format!("/v1/databases/{name}/query")
}
