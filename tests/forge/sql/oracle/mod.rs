//! SQLite itself, asked directly: what it says is right.
mod differential;
mod expressions;
mod grammar;
mod sql_logic;
mod sql_logic_files;

use crate::support::sqlite;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error};
use serde_json::value::RawValue;
use std::path::PathBuf;
use tempfile::TempDir;

/// One value with its type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    /// Text that is no UTF-8.
    TextBytes(Vec<u8>),
    Blob(Vec<u8>),
}

/// Values for a statement's parameters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    Positional(Vec<Value>),
    Named(Vec<(String, Value)>),
}

/// One statement with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) values: Values,
}

/// A statement without parameters.
pub(crate) fn plain(sql: &str) -> Statement {
    Statement {
        sql: sql.to_owned(),
        values: Values::Positional(Vec::new()),
    }
}

/// What came of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Answer {
        /// Name and declared type.
        columns: Vec<(String, Option<String>)>,
        rows: Vec<Vec<Value>>,
        rows_affected: u64,
        last_insert_rowid: Option<i64>,
    },
    Failure {
        is_constraint: bool,
        message: String,
    },
}

/// A database file that nothing but SQLite touches.
pub(crate) struct Oracle {
    _folder: TempDir,
    file: PathBuf,
}

impl Oracle {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("oracle.db");
        Self {
            _folder: folder,
            file,
        }
    }

    /// A connection as SQLite gives it.
    pub(crate) fn connect(&self) -> Connection {
        sqlite::open(&self.file)
    }

    /// Runs one statement on a connection of its own, as a request has one: what `changes()` and
    /// `last_insert_rowid()` say afterwards is this statement's.
    ///
    /// Only what decides about the *meaning* of statements is set as docs/SECURITY.md says.
    pub(crate) fn ask(&self, statement: &Statement) -> Outcome {
        let connection = self.connect_as_the_forge();
        ask(&connection, statement).unwrap_or_else(|error| failure(&error))
    }

    /// Runs statements one after another on one connection, as one request has one.
    pub(crate) fn ask_in_a_row(&self, statements: &[Statement]) -> Vec<Outcome> {
        let connection = self.connect_as_the_forge();
        let outcome = |it| ask(&connection, it).unwrap_or_else(|error| failure(&error));
        statements.iter().map(outcome).collect()
    }

    fn connect_as_the_forge(&self) -> Connection {
        let connection = self.connect();
        connection
            .pragma_update(None, "foreign_keys", true)
            .unwrap();
        // Nobody wants these bytes after a power cut.
        for (pragma, value) in [("synchronous", "OFF"), ("journal_mode", "MEMORY")] {
            connection.pragma_update(None, pragma, value).unwrap();
        }
        for quirk in [
            DbConfig::SQLITE_DBCONFIG_DQS_DML,
            DbConfig::SQLITE_DBCONFIG_DQS_DDL,
            DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
        ] {
            connection.set_db_config(quirk, false).unwrap();
        }
        connection
            .set_limit(Limit::SQLITE_LIMIT_LENGTH, 64 << 20)
            .unwrap();
        connection
    }
}

fn ask(connection: &Connection, statement: &Statement) -> Result<Outcome, Error> {
    let mut prepared = connection.prepare(&statement.sql)?;
    match &statement.values {
        Values::Positional(values) => {
            for (place, value) in (1..).zip(values) {
                prepared.raw_bind_parameter(place, value.as_sqlite())?;
            }
        }
        Values::Named(values) => {
            for (name, value) in values {
                let place = prepared.parameter_index(name)?.unwrap();
                prepared.raw_bind_parameter(place, value.as_sqlite())?;
            }
        }
    }
    let columns = (prepared.columns())
        .map(|it| (it.name().to_owned(), it.decl_type().map(str::to_owned)))
        .collect::<Vec<_>>();
    let mut found = Vec::new();
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next()? {
        let cells = (0..columns.len()).map(|it| row.get_ref(it).map(Value::from));
        found.push(cells.collect::<Result<_, _>>()?);
    }
    drop(rows);
    drop(prepared);
    let inserted = connection.last_insert_rowid();
    Ok(Outcome::Answer {
        columns,
        rows: found,
        rows_affected: connection.changes(),
        last_insert_rowid: (inserted != 0).then_some(inserted),
    })
}

fn failure(error: &Error) -> Outcome {
    let (code, message) = match error {
        Error::SqliteFailure(code, message) => (code, message.clone()),
        Error::SqlInputError { error, msg, .. } => (error, Some(msg.clone())),
        other => {
            return Outcome::Failure {
                is_constraint: false,
                message: other.to_string(),
            };
        }
    };
    Outcome::Failure {
        is_constraint: code.code == rusqlite::ErrorCode::ConstraintViolation,
        message: message.unwrap_or_default(),
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(it) => Self::Integer(it),
            ValueRef::Real(it) => Self::Real(it),
            ValueRef::Text(it) => match str::from_utf8(it) {
                Ok(text) => Self::Text(text.to_owned()),
                Err(_) => Self::TextBytes(it.to_vec()),
            },
            ValueRef::Blob(it) => Self::Blob(it.to_vec()),
        }
    }
}

impl Value {
    pub(crate) fn as_sqlite(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(it) => ValueRef::Integer(*it),
            Self::Real(it) => ValueRef::Real(*it),
            Self::Text(it) => ValueRef::Text(it.as_bytes()),
            Self::TextBytes(it) => ValueRef::Text(it),
            Self::Blob(it) => ValueRef::Blob(it),
        })
    }

    /// As a request sends it.
    pub(crate) fn to_json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Integer(it) => it.to_string(),
            // Rust writes the shortest text that reads as the same number; `{:?}` has its point.
            Self::Real(it) if it.is_finite() => format!("{it:?}"),
            Self::Real(it) if *it > 0.0 => r#"{"$real":"Infinity"}"#.to_owned(),
            Self::Real(_) => r#"{"$real":"-Infinity"}"#.to_owned(),
            Self::Text(it) => serde_json::to_string(it).unwrap(),
            Self::TextBytes(it) => format!(r#"{{"$text_base64":"{}"}}"#, STANDARD.encode(it)),
            Self::Blob(it) => format!(r#"{{"$base64":"{}"}}"#, STANDARD.encode(it)),
        }
    }

    /// As an answer has it. Types are told by how the JSON is written: `1` is an integer, `1.0`
    /// is not. Read from the text, so that no JSON reader rounds in between.
    pub(crate) fn from_json(raw: &RawValue) -> Self {
        let text = raw.get();
        match text.as_bytes()[0] {
            b'n' => Self::Null,
            b'"' => Self::Text(serde_json::from_str(text).unwrap()),
            b'{' => special(text),
            _ if text.contains(['.', 'e', 'E']) => Self::Real(text.parse().unwrap()),
            _ => Self::Integer(text.parse().unwrap()),
        }
    }

    /// The same value of the same type, to the last bit.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Real(one), Self::Real(two)) => one.to_bits() == two.to_bits(),
            _ => self == other,
        }
    }
}

fn special(text: &str) -> Value {
    let object: serde_json::Value = serde_json::from_str(text).unwrap();
    if let Some(base64) = object["$base64"].as_str() {
        return Value::Blob(STANDARD.decode(base64).unwrap());
    }
    if let Some(base64) = object["$text_base64"].as_str() {
        return Value::TextBytes(STANDARD.decode(base64).unwrap());
    }
    match object["$real"].as_str() {
        Some("Infinity") => Value::Real(f64::INFINITY),
        Some("-Infinity") => Value::Real(f64::NEG_INFINITY),
        _ => panic!("no value of the API: {text}"),
    }
}
