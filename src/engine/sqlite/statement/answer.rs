//! From columns to the bytes of the answer, with nothing in between.
use super::pieces::Outlet;
use super::values;
use super::values::SpecialForm;
use crate::clock::Milliseconds;
use crate::engine::sql::{BareColumns, Form, Format, InsertTarget, Param, Shape};
use crate::engine::sqlite::error::SqlError;
use crate::engine::sqlite::export::literals;
use crate::shares::Held;
use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement};
use std::collections::HashMap;
use std::io::Write as _;
use std::time::Duration;

/// Writes one answer.
pub(crate) struct AnswerWriter<'f, O> {
    form: &'f Form,
    delimiters: Delimiters,
    out: Vec<u8>,
    outlet: O,
    /// `"name":` of each column, where rows are objects; `None` for one that a later column of the
    /// same name stands for.
    names: Vec<Option<Vec<u8>>>,
    /// Where rows go that are written in SQL, and what stands before the values of each.
    inserts: Option<&'f InsertTarget>,
    insert: Vec<u8>,
    columns: usize,
    rows: u64,
    truncated: bool,
    /// What the last columns are, where rows are bare.
    bare: BareColumns,
    /// Those of the last row that are not written.
    hidden: Vec<Param>,
}

/// The keys of rows that are objects.
///
/// # Errors
/// [`SqlError::DuplicateColumn`]. The original routes answer with the last of equal columns, as
/// the original did.
fn keys(names: &[&str], shape: Shape) -> Result<Vec<Option<Vec<u8>>>, SqlError> {
    let mut last = HashMap::with_capacity(names.len());
    for (place, name) in names.iter().enumerate() {
        if last.insert(*name, place).is_some() && matches!(shape, Shape::Objects | Shape::Bare(_)) {
            return Err(SqlError::DuplicateColumn {
                name: (*name).to_owned(),
            });
        }
    }
    let key = |(place, name): (usize, &&str)| {
        (last[*name] == place).then(|| {
            let mut key = Vec::with_capacity(name.len() + 3);
            values::text(&mut key, name.as_bytes());
            key.push(b':');
            key
        })
    };
    Ok(names.iter().enumerate().map(key).collect())
}

/// The original routes have no form for text that is no UTF-8, and refuse it in the original's
/// words.
fn refuse_broken_text(
    value: &ValueRef<'_>,
    statement: &Statement<'_>,
    column: usize,
) -> Result<(), SqlError> {
    match value {
        ValueRef::Text(it) if std::str::from_utf8(it).is_err() => {
            let name = statement.column_name(column).unwrap_or_default();
            Err(SqlError::Sql {
                message: format!("Could not decode to UTF-8 column '{name}'"),
                hint: Some(format!(
                    "CAST({name} AS BLOB) is base64 here; POST /v1/databases/{{db}}/query answers \
                     such text with {{\"$text_base64\":\"…\"}}"
                )),
            })
        }
        _ => Ok(()),
    }
}

/// What stands around rows.
struct Delimiters {
    between: &'static [u8],
    open: &'static [u8],
    close: &'static [u8],
}

/// What stands behind the rows.
pub(crate) struct Totals {
    pub(crate) rows_affected: u64,
    pub(crate) last_insert_rowid: Option<i64>,
    pub(crate) elapsed: Duration,
}

/// A finished body, or what was not sent of it, with its numbers.
pub(crate) struct Written {
    pub(crate) body: Vec<u8>,
    pub(crate) held: Held,
    pub(crate) row_count: u64,
    pub(crate) truncated: bool,
    pub(crate) hidden: Vec<Param>,
}

/// Room for the answer to a small question; larger ones grow.
const FIRST_BYTES: usize = 256;

impl Delimiters {
    fn of(form: &Form) -> Self {
        let (between, open, close): (&[u8], &[u8], &[u8]) = match (form.format, form.shape) {
            (Format::Json, Shape::Rows) => (b",", b"[", b"]"),
            (Format::Json, Shape::Objects | Shape::Original | Shape::Bare(_)) => (b",", b"{", b"}"),
            (Format::Ndjson, Shape::Rows) => (b"", b"[", b"]\n"),
            (Format::Ndjson, Shape::Objects | Shape::Original | Shape::Bare(_)) => {
                (b"", b"{", b"}\n")
            }
            (Format::Csv, _) => (b"", b"", b"\r\n"),
            (Format::Array, _) => (b",\n", b"{", b"}"),
            (Format::Sql, _) => (b"", b"", b");\n"),
        };
        Self {
            between,
            open,
            close,
        }
    }
}

impl<'f, O: Outlet> AnswerWriter<'f, O> {
    pub(crate) fn new(form: &'f Form, outlet: O) -> Self {
        Self {
            form,
            delimiters: Delimiters::of(form),
            out: Vec::with_capacity(FIRST_BYTES),
            outlet,
            names: Vec::new(),
            inserts: None,
            insert: Vec::new(),
            columns: 0,
            rows: 0,
            truncated: false,
            bare: match form.shape {
                Shape::Bare(columns) => columns,
                _ => BareColumns::default(),
            },
            hidden: Vec::new(),
        }
    }

    /// Rows that are written in SQL go there.
    pub(crate) fn inserting(mut self, target: Option<&'f InsertTarget>) -> Self {
        self.inserts = target;
        self
    }

    /// Writes everything before the rows. Called once, when the statement has been stepped: a
    /// statement from the cache learns of changed columns only then.
    ///
    /// # Errors
    /// [`SqlError::ResultTooLarge`]: a thousand columns may have long names.
    /// [`SqlError::DuplicateColumn`] where rows are objects.
    pub(crate) fn head(&mut self, statement: &Statement<'_>) -> Result<(), SqlError> {
        let hidden = usize::from(self.bare.hidden);
        self.columns = statement.column_count().saturating_sub(hidden);
        let names: usize = statement.column_names().map(str::len).sum();
        if names > self.form.max_bytes {
            return Err(SqlError::ResultTooLarge {
                limit: format!("{} bytes", self.form.max_bytes),
            });
        }
        if self.form.format == Format::Csv {
            self.csv_header(statement);
            return Ok(());
        }
        if let Some(target) = self.inserts {
            let of_result = || statement.column_names().map(str::to_owned).collect();
            let columns = target.columns.clone().unwrap_or_else(of_result);
            literals::insert_into(&mut self.insert, &target.table, &columns);
            return Ok(());
        }
        if self.form.shape != Shape::Rows {
            self.names = {
                let names: Vec<&str> = statement.column_names().take(self.columns).collect();
                keys(&names, self.form.shape)?
            };
        }
        match (self.form.format, self.form.shape) {
            (_, Shape::Original) => self.out.extend_from_slice(br#"{"data":["#),
            (Format::Ndjson, Shape::Objects | Shape::Bare(_)) => {}
            (Format::Array, _) | (_, Shape::Bare(_)) => self.out.push(b'['),
            (Format::Ndjson, Shape::Rows) => {
                self.column_list(statement);
                self.out.extend_from_slice(b"}\n");
            }
            (_, _) => {
                self.column_list(statement);
                self.out.extend_from_slice(br#","rows":["#);
            }
        }
        Ok(())
    }

    fn column_list(&mut self, statement: &Statement<'_>) {
        self.out.extend_from_slice(br#"{"columns":["#);
        for (index, column) in statement.columns().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(br#"{"name":"#);
            values::text(&mut self.out, column.name().as_bytes());
            self.out.extend_from_slice(br#","type":"#);
            match column.decl_type() {
                Some(it) => values::text(&mut self.out, it.as_bytes()),
                None => self.out.extend_from_slice(b"null"),
            }
            self.out.push(b'}');
        }
        self.out.push(b']');
    }

    fn csv_header(&mut self, statement: &Statement<'_>) {
        if self.columns == 0 {
            return;
        }
        for (index, name) in statement.column_names().take(self.columns).enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            values::csv_text(&mut self.out, name.as_bytes(), self.form.escapes_formulas);
        }
        self.out.extend_from_slice(self.delimiters.close);
    }

    /// How many rows were changed, where each that was returned is one.
    pub(crate) fn changed_rows(&self) -> Option<u64> {
        self.bare.counts_changes.then_some(self.rows)
    }

    /// Writes one row. `false` when no more are wanted.
    pub(crate) fn row(&mut self, row: &Row<'_>) -> Result<bool, SqlError> {
        if self.bare.counts_changes && self.columns == 0 {
            self.rows += 1;
            return Ok(true);
        }
        if self.bare.is_paged && self.rows > 0 && self.is_half_full() {
            self.truncated = true;
            return Ok(false);
        }
        if self.rows == self.form.max_rows {
            if self.form.may_truncate {
                self.truncated = true;
                return Ok(false);
            }
            return Err(SqlError::ResultTooLarge {
                limit: format!("{} rows", self.form.max_rows),
            });
        }
        if self.rows > 0 {
            self.out.extend_from_slice(self.delimiters.between);
        }
        self.rows += 1;
        self.out.extend_from_slice(self.delimiters.open);
        self.out.extend_from_slice(&self.insert);
        let special = match self.form.shape {
            Shape::Original => SpecialForm::Plain,
            Shape::Rows | Shape::Objects | Shape::Bare(_) => SpecialForm::Marked,
        };
        let has_names = !self.names.is_empty();
        let mut is_first = true;
        let json_from = self.columns - usize::from(self.bare.json).min(self.columns);
        for column in 0..self.columns {
            let name = has_names.then(|| &self.names[column]);
            if matches!(name, Some(None)) {
                continue;
            }
            if self.bare.strips_nulls && matches!(row.get_ref(column), Ok(ValueRef::Null)) {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                self.out.push(b',');
            }
            if let Some(Some(name)) = name {
                self.out.extend_from_slice(name);
            }
            // Borrowed: a copy of what was just written in parts waits for the parts.
            let value = row.get_ref(column);
            let value = (value.as_ref()).map_err(|error| SqlError::from_sqlite(error, None))?;
            if self.form.shape == Shape::Original {
                refuse_broken_text(value, row.as_ref(), column)?;
            }
            let mut pass = |out: &mut Vec<u8>| self.outlet.after_part(out);
            match self.form.format {
                Format::Csv => {
                    let escapes = self.form.escapes_formulas;
                    values::csv(&mut self.out, value, escapes, &mut pass)?;
                }
                Format::Sql => literals::literal(&mut self.out, value, &mut pass)?,
                _ if column >= json_from && matches!(value, ValueRef::Text(_)) => {
                    if let ValueRef::Text(json) = value {
                        self.out.extend_from_slice(json);
                    }
                }
                Format::Json | Format::Ndjson | Format::Array => {
                    values::json(&mut self.out, value, (self.form.int64, special), &mut pass)?;
                }
            }
            pass(&mut self.out)?;
        }
        self.out.extend_from_slice(self.delimiters.close);
        if self.bare.hidden > 0 {
            self.keep_hidden(row)?;
        }
        self.outlet.after_row(&mut self.out)?;
        Ok(true)
    }

    fn is_half_full(&self) -> bool {
        self.out.len() >= self.form.max_bytes / 2
    }

    /// Keeps the columns of a row that are not written, if it may be the last.
    fn keep_hidden(&mut self, row: &Row<'_>) -> Result<(), SqlError> {
        let is_full = self.rows == self.form.max_rows || self.is_half_full();
        if self.form.may_truncate && !is_full {
            return Ok(());
        }
        self.hidden.clear();
        for column in self.columns..self.columns + usize::from(self.bare.hidden) {
            let value = row.get_ref(column);
            let value = value.map_err(|error| SqlError::from_sqlite(&error, None))?;
            self.hidden.push(match value {
                ValueRef::Null => Param::Null,
                ValueRef::Integer(number) => Param::Integer(number),
                ValueRef::Real(number) => Param::Real(number),
                ValueRef::Text(text) => match str::from_utf8(text) {
                    Ok(text) => Param::Text(text.to_owned()),
                    Err(_) => Param::TextBytes(text.to_owned()),
                },
                ValueRef::Blob(bytes) => Param::Blob(bytes.to_owned()),
            });
        }
        Ok(())
    }

    /// Writes what stands behind the rows.
    pub(crate) fn finish(mut self, totals: &Totals) -> Written {
        match (self.form.format, self.form.shape) {
            (Format::Csv | Format::Sql, _) => {}
            (_, Shape::Original) => self.original_totals(totals),
            (Format::Json, Shape::Bare(_)) => self.out.push(b']'),
            (Format::Json, _) => {
                self.out.push(b']');
                self.out.push(b',');
                self.totals(totals);
            }
            (Format::Ndjson, Shape::Rows) => {
                self.out.push(b'{');
                self.totals(totals);
                self.out.push(b'\n');
            }
            (Format::Ndjson, Shape::Objects | Shape::Bare(_)) => {}
            (Format::Array, _) => self.out.extend_from_slice(b"]\n"),
        }
        Written {
            body: self.out,
            held: self.outlet.held(),
            row_count: self.rows,
            truncated: self.truncated,
            hidden: self.hidden,
        }
    }

    fn totals(&mut self, totals: &Totals) {
        let out = &mut self.out;
        out.extend_from_slice(br#""row_count":"#);
        values::number(out, self.rows);
        out.extend_from_slice(br#","rows_affected":"#);
        values::number(out, totals.rows_affected);
        out.extend_from_slice(br#","last_insert_rowid":"#);
        match totals.last_insert_rowid {
            Some(it) => values::integer(out, it, self.form.int64),
            None => out.extend_from_slice(b"null"),
        }
        let truncated = if self.truncated { "true" } else { "false" };
        let elapsed_ms = Milliseconds(totals.elapsed);
        write!(
            out,
            r#","truncated":{truncated},"elapsed_ms":{elapsed_ms}}}"#
        )
        .expect("writing to memory does not fail");
    }

    fn original_totals(&mut self, totals: &Totals) {
        let out = &mut self.out;
        let (rows, message): (u64, &[u8]) = if self.columns == 0 {
            out.clear();
            out.extend_from_slice(br#"{"data":null"#);
            (totals.rows_affected, br#""Query executed successfully.""#)
        } else {
            out.push(b']');
            (self.rows, b"null")
        };
        out.extend_from_slice(br#","rows_affected":"#);
        values::number(out, rows);
        out.extend_from_slice(br#","message":"#);
        out.extend_from_slice(message);
        out.push(b'}');
    }
}
