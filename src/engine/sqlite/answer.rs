//! From columns to the bytes of the answer, with nothing in between.
use super::error::SqlError;
use crate::clock::Stopwatch;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement};
use std::io::Write as _;

/// How a result is written, and how much of it.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The shape of the body.
    pub shape: Shape,
    /// How large integers are written.
    pub int64: Int64Form,
    /// Most rows.
    pub max_rows: u64,
    /// Whether a result with more rows is cut, and says so, instead of being refused.
    pub may_truncate: bool,
    /// Most bytes of the body.
    pub max_bytes: usize,
}

/// The shape of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// `"rows":[[…]]`.
    #[default]
    Rows,
    /// `"rows":[{…}]`.
    Objects,
    /// The original routes: `{"data":[{…}],"rows_affected":n}`, or a message and the number.
    Original,
}

/// How integers beyond ±(2^53 − 1) are written, which many JSON readers cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Int64Form {
    /// As numbers, exactly.
    #[default]
    Number,
    /// As text.
    Text,
}

/// Writes one answer.
pub(super) struct AnswerWriter<'f> {
    form: &'f Form,
    out: Vec<u8>,
    /// `"name":` of each column, where rows are objects.
    names: Vec<Vec<u8>>,
    columns: usize,
    rows: u64,
    truncated: bool,
}

/// What stands behind the rows.
pub(super) struct Totals {
    pub(super) rows_affected: u64,
    pub(super) last_insert_rowid: Option<i64>,
    pub(super) stopwatch: Stopwatch,
}

/// A finished body with its numbers.
pub(super) struct Written {
    pub(super) body: Vec<u8>,
    pub(super) row_count: u64,
    pub(super) truncated: bool,
}

/// Room for the answer to a small question; larger ones grow.
const FIRST_BYTES: usize = 256;

/// The largest integer that every JSON reader holds exactly: 2^53 − 1.
const LARGEST_SAFE_INTEGER: u64 = (1 << 53) - 1;

impl<'f> AnswerWriter<'f> {
    pub(super) fn new(form: &'f Form) -> Self {
        Self {
            form,
            out: Vec::with_capacity(FIRST_BYTES),
            names: Vec::new(),
            columns: 0,
            rows: 0,
            truncated: false,
        }
    }

    /// Writes everything before the rows. Called once, when the statement has been stepped: a
    /// statement from the cache learns of changed columns only then.
    ///
    /// # Errors
    /// [`SqlError::ResultTooLarge`]: a thousand columns may have long names.
    pub(super) fn head(&mut self, statement: &Statement<'_>) -> Result<(), SqlError> {
        self.columns = statement.column_count();
        let names: usize = statement.column_names().map(str::len).sum();
        self.refuse_more_than_wanted(names)?;
        if self.form.shape != Shape::Rows {
            self.names = (statement.column_names())
                .map(|name| {
                    let mut key = Vec::with_capacity(name.len() + 3);
                    text(&mut key, name.as_bytes());
                    key.push(b':');
                    key
                })
                .collect();
        }
        if self.form.shape == Shape::Original {
            self.out.extend_from_slice(br#"{"data":["#);
            return Ok(());
        }
        self.out.extend_from_slice(br#"{"columns":["#);
        for (index, column) in statement.columns().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(br#"{"name":"#);
            text(&mut self.out, column.name().as_bytes());
            self.out.extend_from_slice(br#","type":"#);
            match column.decl_type() {
                Some(it) => text(&mut self.out, it.as_bytes()),
                None => self.out.extend_from_slice(b"null"),
            }
            self.out.push(b'}');
        }
        self.out.extend_from_slice(br#"],"rows":["#);
        Ok(())
    }

    /// Writes one row. `false` when no more are wanted.
    pub(super) fn row(&mut self, row: &Row<'_>) -> Result<bool, SqlError> {
        if self.rows == self.form.max_rows {
            if self.form.may_truncate {
                self.truncated = true;
                return Ok(false);
            }
            return Err(SqlError::ResultTooLarge {
                limit: format!("{} rows", self.form.max_rows),
            });
        }
        let (open, close) = match self.form.shape {
            Shape::Rows => (b'[', b']'),
            Shape::Objects | Shape::Original => (b'{', b'}'),
        };
        if self.rows > 0 {
            self.out.push(b',');
        }
        self.rows += 1;
        self.out.push(open);
        for column in 0..self.columns {
            if column > 0 {
                self.out.push(b',');
            }
            if let Some(name) = self.names.get(column) {
                self.out.extend_from_slice(name);
            }
            let value = row
                .get_ref(column)
                .map_err(|it| SqlError::from_sqlite(&it, None))?;
            self.value(value);
            self.refuse_more_than_wanted(self.out.len())?;
        }
        self.out.push(close);
        Ok(true)
    }

    fn refuse_more_than_wanted(&self, bytes: usize) -> Result<(), SqlError> {
        if bytes > self.form.max_bytes {
            return Err(SqlError::ResultTooLarge {
                limit: format!("{} bytes", self.form.max_bytes),
            });
        }
        Ok(())
    }

    /// Writes what stands behind the rows.
    pub(super) fn finish(mut self, totals: &Totals) -> Written {
        let out = &mut self.out;
        match self.form.shape {
            Shape::Original if self.columns == 0 => {
                out.clear();
                out.extend_from_slice(
                    br#"{"message":"Query executed successfully.","rows_affected":"#,
                );
                number(out, totals.rows_affected);
            }
            Shape::Original => {
                out.extend_from_slice(br#"],"rows_affected":"#);
                number(out, self.rows);
            }
            Shape::Rows | Shape::Objects => {
                out.extend_from_slice(br#"],"row_count":"#);
                number(out, self.rows);
                out.extend_from_slice(br#","rows_affected":"#);
                number(out, totals.rows_affected);
                out.extend_from_slice(br#","last_insert_rowid":"#);
                match totals.last_insert_rowid {
                    Some(it) => integer(out, it, self.form.int64),
                    None => out.extend_from_slice(b"null"),
                }
                let truncated = if self.truncated { "true" } else { "false" };
                let elapsed_ms = totals.stopwatch.elapsed().as_secs_f64() * 1_000.0;
                write!(
                    out,
                    r#","truncated":{truncated},"elapsed_ms":{elapsed_ms:.3}"#
                )
                .expect("writing to memory does not fail");
            }
        }
        out.push(b'}');
        Written {
            body: self.out,
            row_count: self.rows,
            truncated: self.truncated,
        }
    }

    fn value(&mut self, value: ValueRef<'_>) {
        let out = &mut self.out;
        match value {
            ValueRef::Null => out.extend_from_slice(b"null"),
            ValueRef::Integer(it) => integer(out, it, self.form.int64),
            ValueRef::Real(it) if it.is_finite() => number(out, it),
            ValueRef::Real(it) => {
                let name = if it > 0.0 { "Infinity" } else { "-Infinity" };
                write!(out, r#"{{"$real":"{name}"}}"#).expect("writing to memory does not fail");
            }
            ValueRef::Text(it) => text(out, it),
            ValueRef::Blob(it) if self.form.shape == Shape::Original => base64(out, it),
            ValueRef::Blob(it) => {
                out.extend_from_slice(br#"{"$base64":"#);
                base64(out, it);
                out.push(b'}');
            }
        }
    }
}

fn integer(out: &mut Vec<u8>, it: i64, form: Int64Form) {
    if form == Int64Form::Text && it.unsigned_abs() > LARGEST_SAFE_INTEGER {
        out.push(b'"');
        number(out, it);
        out.push(b'"');
    } else {
        number(out, it);
    }
}

fn number(out: &mut Vec<u8>, it: impl serde::Serialize) {
    serde_json::to_writer(out, &it).expect("a number is written to memory");
}

/// Text as a JSON string; what is no UTF-8 in it shows as U+FFFD.
fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(it) => serde_json::to_writer(out, it),
        Err(_) => serde_json::to_writer(out, &*String::from_utf8_lossy(bytes)),
    }
    .expect("text is written to memory");
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len() + 1;
    let length = bytes.len().div_ceil(3) * 4;
    out.push(b'"');
    out.resize(start + length, 0);
    let written = STANDARD
        .encode_slice(bytes, &mut out[start..])
        .expect("base64 of n bytes takes four for each three begun");
    debug_assert_eq!(written, length, "padding fills the last four");
    out.push(b'"');
}
