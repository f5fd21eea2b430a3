//! Single values that are read and written as bytes, however long they are.
use super::Param;
use crate::domain::database::Durability;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a value is that was looked for: it is read there only if it still has that size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValuePlace {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// The row's own number.
    pub row: i64,
    /// Bytes of the value.
    pub size: u64,
}

/// Bytes of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValuePart {
    /// Of which value.
    pub place: ValuePlace,
    /// The first byte, from 0.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// A value that becomes the bytes of a file, in one transaction. Done in a child process alone,
/// while the gateway's writer rests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValueOrder {
    /// The folder of the database.
    pub folder: PathBuf,
    /// What its commits survive.
    pub durability: Durability,
    /// Most bytes that it may have.
    pub size_bytes: u64,
    /// The UPDATE. Its first parameter stands for the value, or for the size of its room.
    pub sql: String,
    /// The parameters after the first.
    pub params: Vec<Param>,
    /// Where the bytes are.
    pub file: PathBuf,
    /// How many.
    pub size: u64,
    /// How they get into the database.
    pub way: ValueWay,
}

/// How a value is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueWay {
    /// The statement makes room for bytes and answers the row's number; they are copied there, and
    /// little of them is in memory.
    Room {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// As the statement's parameter, as bytes.
    Blob,
    /// As the statement's parameter, as text.
    Text,
}

/// What came of a [`ValueOrder`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueWritten {
    /// The value is there.
    Written,
    /// There is no such row, or its value has none of the marks.
    NoRow,
    /// A rule of the schema forbids it.
    Constraint(String),
    /// The database refuses it, in these words.
    Sql(String),
    /// Others have the database.
    Locked,
    /// The database has all the room that it may have.
    QuotaExceeded,
    /// The disk has no room.
    DiskFull,
    /// There was not enough memory.
    OutOfMemory,
    /// The disk failed while the data was made lasting.
    OutcomeUnknown,
}
