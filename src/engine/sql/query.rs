//! What is asked of a database in SQL, and what comes back.
use super::form::{Format, Int64Form, Shape};
use super::params::{Param, Params};
use crate::domain::database::{Durability, Isolation};
use crate::domain::ids::DatabaseId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The database that SQL is for, as the state tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Which one.
    pub database: DatabaseId,
    /// Its engine, by the name that the engine has for itself.
    pub engine: &'static str,
    /// Which process answers.
    pub isolation: Isolation,
    /// What an answered write survives.
    pub durability: Durability,
    /// Most bytes its file may grow to.
    pub size_bytes: u64,
}

/// What a token may do to a database's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read them.
    ReadOnly,
    /// Read and change them.
    ReadWrite,
}

/// One statement with everything that shapes its answer.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    /// The statement's text.
    pub sql: String,
    /// Its parameters.
    pub params: Params,
    /// How it is run and answered.
    pub options: QueryOptions,
}

/// How a statement is run and answered.
#[derive(Debug, Clone, Copy)]
pub struct QueryOptions {
    /// The caller wants it refused if it would change something.
    pub readonly: bool,
    /// What the caller's token may do.
    pub access: Access,
    /// Most time; `None` for the default.
    pub timeout: Option<Duration>,
    /// Rows after which the answer is cut and says `truncated`; `None` for the default, past
    /// which the result is refused instead.
    pub max_rows: Option<u64>,
    /// Most bytes of the answer; `None` for the default.
    pub max_bytes: Option<usize>,
    /// How large integers are written.
    pub int64: Int64Form,
    /// What the answer is written in.
    pub format: Format,
    /// The shape of the answer.
    pub shape: Shape,
    /// What becomes of its changes.
    pub keep: Keep,
}

/// What becomes of the changes of a request whose statements end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// Whether they are kept; else they are answered and taken back.
    pub is_kept: bool,
    /// Most rows that all of them may change together; with more, none is kept.
    pub most_affected: Option<u64>,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            is_kept: true,
            most_affected: None,
        }
    }
}

impl QueryOptions {
    /// Everything by default.
    #[must_use]
    pub fn for_access(access: Access) -> Self {
        Self {
            readonly: false,
            access,
            timeout: None,
            max_rows: None,
            max_bytes: None,
            int64: Int64Form::Number,
            format: Format::Json,
            shape: Shape::Rows,
            keep: Keep::default(),
        }
    }

    /// Whether a write may run.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.access == Access::ReadWrite && !self.readonly
    }
}

/// One statement of a batch.
#[derive(Debug, Clone)]
pub struct BatchStatement {
    /// Its text; statements with the same text may share it.
    pub sql: Arc<str>,
    /// Its parameters.
    pub params: Params,
}

/// A finished answer.
#[derive(Debug, Clone)]
pub struct QueryAnswer {
    /// The body, in the format that was asked for.
    pub body: Bytes,
    /// Rows in it.
    pub row_count: u64,
    /// Rows that were inserted, updated or deleted.
    pub rows_affected: u64,
    /// Whether there were more rows.
    pub truncated: bool,
    /// How long the statement itself took.
    pub elapsed: Duration,
    /// What the statements of its session have done, itself included.
    pub counters: Counters,
    /// The hidden columns of its last row, where rows are bare.
    pub hidden: Vec<Param>,
}

/// What keeps the statements of a batch together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BatchMode {
    /// One transaction, in the line of writes from its start.
    #[default]
    Immediate,
    /// One transaction, in the line of writes once a statement writes.
    Deferred,
    /// Nothing: each statement is a transaction of its own.
    None,
}

/// One statement with its parameters.
#[derive(Debug, Clone, Default)]
pub struct Statement {
    /// Its text.
    pub sql: Arc<str>,
    /// Its parameters.
    pub params: Params,
    /// What the statements before it in its session did, where they ran on other connections.
    pub counters: Counters,
    /// The table that rows written in SQL are inserted into, and the names of its columns there.
    pub inserts: Option<Arc<InsertTarget>>,
}

/// Where rows that are written in SQL go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsertTarget {
    /// The table.
    pub table: String,
    /// Its columns in the order of the rows' values; empty for all of them, in the table's order.
    /// `None`: they are named as the result's columns are.
    pub columns: Option<Vec<String>>,
}

/// What the statements of a session have done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// The rowid of the last row that was inserted; 0 when none was.
    pub last_insert_rowid: i64,
    /// Rows that the last INSERT, UPDATE or DELETE changed.
    pub changes: i64,
    /// Rows that all of them changed, triggers and foreign keys included.
    pub total_changes: i64,
}
