//! SQLite's own limits, and the sizes of caches.
use crate::engine::sql::MAX_PARAMETERS;
use rusqlite::limits::Limit;

/// Most bytes of one text, BLOB or row: a statement has memory for three of them.
pub const MAX_VALUE_BYTES: usize = 64 << 20;

/// Most bytes of one statement.
pub(crate) const MAX_STATEMENT_BYTES: i32 = 1 << 20;

/// SQLite's own limits, as every connection has them.
pub const LIMITS: &[(Limit, i32)] = &[
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_STATEMENT_BYTES),
    (Limit::SQLITE_LIMIT_LENGTH, fits(MAX_VALUE_BYTES)),
    (Limit::SQLITE_LIMIT_COLUMN, 1_000),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 1_000),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 500),
    // A statement of the longest text has fewer steps; a nest of views has more.
    (Limit::SQLITE_LIMIT_VDBE_OP, 1_000_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 1_000),
    // For SQLite's own LIKE and GLOB, which ALTER TABLE alone calls: nothing interrupts them.
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, fits(MAX_PARAMETERS)),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1_000),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Most tables, views, indexes and triggers of a schema that is told.
pub(crate) const MOST_OBJECTS: usize = 50_000;

/// Most bytes of their SQL: they are kept in memory for as long as the database is open.
pub(crate) const MOST_SCHEMA_BYTES: usize = 16 << 20;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "checked in the same line, while the program is built"
)]
pub(crate) const fn fits(it: usize) -> i32 {
    assert!(it <= i32::MAX as usize, "a limit of SQLite's has 31 bits");
    it as i32
}

/// Page cache of one connection, in KiB: 512 pages, which hold the hot part of most databases.
pub(crate) const PAGE_CACHE_KIB: i64 = 2_048;

/// Page cache of a busy reader, in KiB. A page that is not in it costs a point select as much as the
/// search, since each of its cells is checked anew.
pub(crate) const LARGE_CACHE_KIB: i64 = 16_384;
