//! From a server's rows to the bytes of an answer, with nothing in between.
use super::values::{self, OwnType};
use crate::clock::Milliseconds;
use crate::engine::postgres::client::fields;
use crate::engine::sql::written::{csv_text, number, text};
use crate::engine::sql::{
    BareColumns, Counters, Form, Format, InsertTarget, Param, QueryAnswer, QueryError, Shape,
};
use crate::shares::Held;
use std::collections::HashMap;
use std::io::Write as _;
use std::time::Duration;

/// A column of a result.
#[derive(Debug, Clone)]
pub(super) struct ResultColumn {
    pub(super) name: String,
    pub(super) of: OwnType,
}

/// Room for the answer to a small question; larger ones grow.
const FIRST_BYTES: usize = 256;

/// Writes one answer.
#[derive(Debug)]
pub(super) struct RowWriter<'f> {
    form: &'f Form,
    pub(super) out: Vec<u8>,
    columns: &'f [ResultColumn],
    /// `"name":` of each column, where rows are objects; `None` for one that a later column of the
    /// same name stands for.
    names: Vec<Option<Vec<u8>>>,
    /// What stands before the values of each row, where rows are written in SQL.
    insert: Vec<u8>,
    /// How many columns are written.
    shown: usize,
    rows: u64,
    truncated: bool,
    bare: BareColumns,
    hidden: Vec<Param>,
}

/// What stands between rows, before and behind each.
fn delimiters(form: &Form) -> [&'static [u8]; 3] {
    match (form.format, form.shape) {
        (Format::Json, Shape::Rows) => [b",", b"[", b"]"],
        (Format::Json, _) => [b",", b"{", b"}"],
        (Format::Ndjson, Shape::Rows) => [b"", b"[", b"]\n"],
        (Format::Ndjson, _) => [b"", b"{", b"}\n"],
        (Format::Csv, _) => [b"", b"", b"\r\n"],
        (Format::Array, _) => [b",\n", b"{", b"}"],
        (Format::Sql, _) => [b"", b"", b");\n"],
    }
}

impl<'f> RowWriter<'f> {
    /// Writes everything before the rows.
    ///
    /// # Errors
    /// [`QueryError::ResultTooLarge`]: a thousand columns may have long names.
    /// [`QueryError::DuplicateColumn`] where rows are objects.
    pub(super) fn begin(
        form: &'f Form,
        columns: &'f [ResultColumn],
        inserts: Option<&InsertTarget>,
    ) -> Result<Self, QueryError> {
        let bare = match form.shape {
            Shape::Bare(bare) => bare,
            _ => BareColumns::default(),
        };
        let shown = columns.len().saturating_sub(usize::from(bare.hidden));
        let mut writer = Self {
            form,
            out: Vec::with_capacity(FIRST_BYTES),
            columns,
            names: Vec::new(),
            insert: Vec::new(),
            shown,
            rows: 0,
            truncated: false,
            bare,
            hidden: Vec::new(),
        };
        let names: usize = columns.iter().map(|column| column.name.len()).sum();
        if names > form.max_bytes {
            return Err(too_many_bytes(form));
        }
        if form.format == Format::Csv {
            writer.csv_header();
            return Ok(writer);
        }
        if let Some(target) = inserts {
            writer.insert = insert_into(target, columns);
            return Ok(writer);
        }
        if form.shape != Shape::Rows || form.format == Format::Array {
            writer.names = keys(&columns[..shown], form.shape)?;
        }
        match (form.format, form.shape) {
            (_, Shape::Original) => writer.out.extend_from_slice(br#"{"data":["#),
            (Format::Ndjson, Shape::Objects | Shape::Bare(_)) => {}
            (Format::Array, _) | (_, Shape::Bare(_)) => writer.out.push(b'['),
            (Format::Ndjson, Shape::Rows) => {
                writer.column_list();
                writer.out.extend_from_slice(b"}\n");
            }
            (_, _) => {
                writer.column_list();
                writer.out.extend_from_slice(br#","rows":["#);
            }
        }
        Ok(writer)
    }

    fn column_list(&mut self) {
        self.out.extend_from_slice(br#"{"columns":["#);
        for (place, column) in self.columns.iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(br#"{"name":"#);
            text(&mut self.out, column.name.as_bytes());
            self.out.extend_from_slice(br#","type":"#);
            text(&mut self.out, column.of.name.as_bytes());
            self.out.push(b'}');
        }
        self.out.push(b']');
    }

    fn csv_header(&mut self) {
        if self.shown == 0 {
            return;
        }
        for (place, column) in self.columns[..self.shown].iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            let escapes = self.form.escapes_formulas;
            csv_text(&mut self.out, column.name.as_bytes(), escapes);
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// Writes one row. `false` when no more are wanted: this one was not written.
    ///
    /// # Errors
    /// When there are more rows than may be.
    pub(super) fn row(&mut self, row: &[u8]) -> Result<bool, QueryError> {
        if self.bare.counts_changes && self.shown == 0 {
            self.rows += 1;
            return Ok(true);
        }
        if self.truncated {
            return Ok(false);
        }
        let is_full = self.bare.is_paged && self.rows > 0 && self.is_half_full();
        if is_full || self.rows == self.form.max_rows && self.form.may_truncate {
            self.truncated = true;
            return Ok(false);
        }
        if self.rows == self.form.max_rows {
            return Err(QueryError::ResultTooLarge {
                limit: format!("{} rows", self.form.max_rows),
            });
        }
        let [between, open, close] = delimiters(self.form);
        if self.rows > 0 {
            self.out.extend_from_slice(between);
        }
        self.rows += 1;
        self.out.extend_from_slice(open);
        self.out.extend_from_slice(&self.insert);
        let mut is_first = true;
        for (place, value) in fields(row).take(self.shown).enumerate() {
            let name = match self.names.get(place) {
                Some(None) => continue,
                Some(Some(name)) => name.as_slice(),
                None => b"",
            };
            if self.bare.strips_nulls && value.is_none() {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(name);
            let kind = &self.columns[place].of.kind;
            match (self.form.format, value) {
                (Format::Csv, None) => {}
                (Format::Csv, Some(value)) => {
                    values::csv(&mut self.out, value, kind, self.form.escapes_formulas);
                }
                (Format::Sql, None) => self.out.extend_from_slice(b"NULL"),
                (Format::Sql, Some(value)) => values::literal(&mut self.out, value, kind),
                (_, None) => self.out.extend_from_slice(b"null"),
                (_, Some(value)) => values::json(&mut self.out, value, kind, self.form.int64),
            }
        }
        self.out.extend_from_slice(close);
        if self.bare.hidden > 0 {
            self.keep_hidden(row);
        }
        Ok(true)
    }

    fn is_half_full(&self) -> bool {
        self.out.len() >= self.form.max_bytes / 2
    }

    /// Keeps the columns of a row that are not written, if it may be the last.
    fn keep_hidden(&mut self, row: &[u8]) {
        let is_full = self.rows == self.form.max_rows || self.is_half_full();
        if self.form.may_truncate && !is_full {
            return;
        }
        let values = fields(row).zip(self.columns).skip(self.shown);
        let hidden = values.map(|(value, column)| values::hidden(value, &column.of.kind));
        self.hidden = hidden.collect();
    }

    /// Writes what stands behind the rows. `rows_affected` is what the server says.
    pub(super) fn finish(
        mut self,
        held: Held,
        rows_affected: u64,
        elapsed: Duration,
    ) -> QueryAnswer {
        let rows_affected = match self.bare.counts_changes {
            true => self.rows,
            false => rows_affected,
        };
        match (self.form.format, self.form.shape) {
            (Format::Csv | Format::Sql, _) | (Format::Ndjson, Shape::Objects | Shape::Bare(_)) => {}
            (_, Shape::Original) => self.original_totals(rows_affected),
            (Format::Json, Shape::Bare(_)) => self.out.push(b']'),
            (Format::Json, _) => {
                self.out.extend_from_slice(b"],");
                self.totals(rows_affected, elapsed);
            }
            (Format::Ndjson, Shape::Rows) => {
                self.out.push(b'{');
                self.totals(rows_affected, elapsed);
                self.out.push(b'\n');
            }
            (Format::Array, _) => self.out.extend_from_slice(b"]\n"),
        }
        QueryAnswer {
            body: held.keep(self.out),
            row_count: self.rows,
            rows_affected,
            truncated: self.truncated,
            elapsed,
            counters: Counters::default(),
            hidden: self.hidden,
        }
    }

    fn totals(&mut self, rows_affected: u64, elapsed: Duration) {
        let (rows, truncated, elapsed_ms) = (self.rows, self.truncated, Milliseconds(elapsed));
        write!(
            self.out,
            r#""row_count":{rows},"rows_affected":{rows_affected},"last_insert_rowid":null,"truncated":{truncated},"elapsed_ms":{elapsed_ms}}}"#
        )
        .expect("writing to memory does not fail");
    }

    fn original_totals(&mut self, rows_affected: u64) {
        let (rows, message): (u64, &[u8]) = if self.columns.is_empty() {
            self.out.clear();
            self.out.extend_from_slice(br#"{"data":null"#);
            (rows_affected, br#""Query executed successfully.""#)
        } else {
            self.out.push(b']');
            (self.rows, b"null")
        };
        self.out.extend_from_slice(br#","rows_affected":"#);
        number(&mut self.out, rows);
        self.out.extend_from_slice(br#","message":"#);
        self.out.extend_from_slice(message);
        self.out.push(b'}');
    }
}

/// The keys of rows that are objects.
fn keys(columns: &[ResultColumn], shape: Shape) -> Result<Vec<Option<Vec<u8>>>, QueryError> {
    let mut last = HashMap::with_capacity(columns.len());
    for (place, column) in columns.iter().enumerate() {
        let before = last.insert(column.name.as_str(), place);
        if before.is_some() && matches!(shape, Shape::Objects | Shape::Bare(_)) {
            return Err(QueryError::DuplicateColumn {
                name: column.name.clone(),
            });
        }
    }
    let key = |(place, column): (usize, &ResultColumn)| {
        (last[column.name.as_str()] == place).then(|| {
            let mut key = Vec::with_capacity(column.name.len() + 3);
            text(&mut key, column.name.as_bytes());
            key.push(b':');
            key
        })
    };
    Ok(columns.iter().enumerate().map(key).collect())
}

/// The beginning of an INSERT: all that stands before the values of a row.
fn insert_into(target: &InsertTarget, columns: &[ResultColumn]) -> Vec<u8> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let names: Vec<String> = match &target.columns {
        Some(names) => names.iter().map(|name| quoted(name)).collect(),
        None => columns.iter().map(|column| quoted(&column.name)).collect(),
    };
    let names = match names.is_empty() {
        true => String::new(),
        false => format!("({})", names.join(",")),
    };
    format!("INSERT INTO {}{names} VALUES(", quoted(&target.table)).into()
}

/// The answer is longer than it may be.
pub(super) fn too_many_bytes(form: &Form) -> QueryError {
    QueryError::ResultTooLarge {
        limit: format!("{} bytes", form.max_bytes),
    }
}
