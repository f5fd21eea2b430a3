//! Rows of a file, whatever its form.
use super::csv::{CsvReader, Record};
use super::input::{Input, ReadError, malformed};
use super::json::{
    JsonReader, Keys, LastLine, columns_line, each_key, each_value, last_line, read_row,
};
use super::kinds::{Kinds, integer, real};
use super::row::Row;
use crate::data::ParamRef;
use crate::domain::import::{RowError, RowsForm, TableImport};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;
use std::io::Read;

/// Most columns of a file: as many as SQLite takes.
pub const MAX_COLUMNS: usize = 2_000;

/// A column of a file, and what the table's column makes of its values.
#[derive(Debug, Clone)]
pub(super) struct FileColumn {
    pub(super) name: String,
    pub(super) becomes: Becomes,
}

/// What a field becomes: fields are texts, and the column says what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Becomes {
    Text,
    Integer,
    Real,
    /// An integer or a real where it is written as one.
    Numeric,
    /// The bytes that it is the base64 of.
    Blob,
}

/// Reads the rows of a file.
pub(super) struct Source {
    reader: Reader,
    columns: Vec<FileColumn>,
    keys: Keys,
    null: Vec<u8>,
    escapes_formulas: bool,
}

enum Reader {
    Csv {
        reader: CsvReader,
        record: Record,
        /// Whether the record that was read first is a row.
        has_first: bool,
    },
    Json {
        reader: JsonReader,
        text: Vec<u8>,
        /// Of our own export of rows: the names are in the first line.
        has_columns_line: bool,
        /// The line of the record that was read first, where it is a row.
        first: Option<u64>,
    },
}

/// What a row of a file is.
pub(super) enum NextRow {
    /// It is in the row that was given, and began on this line.
    Row(u64),
    /// It cannot be one.
    Misfit(RowError),
    End,
}

impl Source {
    /// Reads a file up to its first row.
    ///
    /// # Errors
    /// When it cannot be read, or begins in a way that no file of its form does.
    pub(super) fn open(
        file: Box<dyn Read + Send>,
        import: &TableImport,
    ) -> Result<Self, ReadError> {
        let input = Input::new(file)?;
        let mut names = Vec::new();
        let reader = match import.form {
            RowsForm::Csv | RowsForm::Tsv => {
                let tab = (import.form == RowsForm::Tsv).then_some(b'\t');
                let mut reader = CsvReader::new(input, import.delimiter.or(tab))?;
                let mut record = Record::default();
                if !reader.next(&mut record)? {
                    return Err(malformed(1, "the file is empty"));
                }
                names = header(&record, import.has_header)?;
                Reader::Csv {
                    reader,
                    record,
                    has_first: !import.has_header,
                }
            }
            RowsForm::Ndjson | RowsForm::Json => {
                let mut reader = match import.form {
                    RowsForm::Ndjson => JsonReader::lines(input),
                    _ => JsonReader::list(input),
                };
                let mut text = Vec::new();
                let mut first = reader.next(&mut text)?;
                let own = match import.form {
                    RowsForm::Ndjson => columns_line(&text),
                    _ => None,
                };
                let has_columns_line = own.is_some();
                if let Some(own) = own {
                    names = own;
                    check_names(&names, 1)?;
                    first = None;
                } else if let (Some(line), Some(b'[')) = (first, text.trim_ascii_start().first()) {
                    return Err(malformed(
                        line,
                        "a row is a list of values, and no line {\"columns\":[…]} before it names \
                         them; send objects",
                    ));
                }
                Reader::Json {
                    reader,
                    text,
                    has_columns_line,
                    first,
                }
            }
        };
        Ok(Self {
            reader,
            columns: Vec::new(),
            keys: Keys::new(names),
            null: import.null.clone().unwrap_or_default().into_bytes(),
            escapes_formulas: import.escapes_formulas,
        })
    }

    /// The names of the columns, where the file itself tells them before its rows.
    pub(super) fn names(&self) -> Option<&[String]> {
        match &self.reader {
            Reader::Csv { .. } => Some(self.keys.names()),
            Reader::Json {
                has_columns_line, ..
            } => has_columns_line.then(|| self.keys.names()),
        }
    }

    /// The separator of fields, where there is one.
    pub(super) fn delimiter(&self) -> Option<u8> {
        match &self.reader {
            Reader::Csv { reader, .. } => Some(reader.delimiter()),
            Reader::Json { .. } => None,
        }
    }

    /// Rows have these columns: those that [`Self::names`] tells, or the keys that objects may have.
    pub(super) fn set_columns(&mut self, columns: Vec<FileColumn>) {
        if self.names().is_none() {
            self.keys = Keys::new(columns.iter().map(|column| column.name.clone()).collect());
        }
        self.columns = columns;
    }

    /// Reads all rows, and tells the names of their columns with the type that suits each.
    ///
    /// # Errors
    /// When the file cannot be read on, or has too many columns.
    pub(super) fn survey(
        &mut self,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<Vec<(String, &'static str)>, ReadError> {
        let mut found: Vec<(String, Kinds)> = self
            .keys
            .names()
            .iter()
            .cloned()
            .map(|name| (name, Kinds::default()))
            .collect();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut first_fault: Option<(u64, String)> = None;
        let is_fixed = self.names().is_some();
        let is_csv = matches!(self.reader, Reader::Csv { .. });
        while goes_on() {
            let Some(line) = self.advance()? else { break };
            match &self.reader {
                Reader::Csv { record, .. } => {
                    if record.len() != found.len() {
                        continue;
                    }
                    for (place, (_, kinds)) in found.iter_mut().enumerate() {
                        let (field, is_quoted) = record.field(place);
                        if is_quoted || field != self.null {
                            kinds.add_field(field);
                        }
                    }
                }
                Reader::Json { text, .. } if is_fixed => {
                    let _ = each_value(text, |place, json| {
                        if let Some((_, kinds)) = found.get_mut(place) {
                            kinds.add_json(json);
                        }
                    });
                }
                Reader::Json { text, .. } => {
                    let mut excess = false;
                    let seen = each_key(text, |key, json| {
                        let place = match places.get(key) {
                            Some(place) => *place,
                            None => {
                                let lower = key.to_ascii_lowercase();
                                let place = *places.entry(lower).or_insert(found.len());
                                places.insert(key.to_owned(), place);
                                if place == found.len() {
                                    found.push((key.to_owned(), Kinds::default()));
                                }
                                place
                            }
                        };
                        excess |= found.len() > MAX_COLUMNS || places.len() > 2 * MAX_COLUMNS;
                        found[place].1.add_json(json);
                        Ok(())
                    });
                    if excess {
                        return Err(malformed(line, too_many_columns()));
                    }
                    if let Err(message) = seen {
                        first_fault.get_or_insert((line, message));
                    }
                }
            }
        }
        let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
        if !is_fixed {
            if names.is_empty() {
                let (line, message) =
                    first_fault.unwrap_or_else(|| (1, "no row names a column".to_owned()));
                return Err(malformed(line, message));
            }
            check_names(&names, 1)?;
        }
        let typed = found.into_iter().map(|(name, kinds)| {
            let kind = match is_csv {
                true => kinds.type_of_fields(),
                false => kinds.type_of_json(),
            };
            (name, kind)
        });
        Ok(typed.collect())
    }

    /// Moves to the next record and tells its line. `None` at the end.
    fn advance(&mut self) -> Result<Option<u64>, ReadError> {
        let is_narrow = self.keys.names().len() == 1;
        match &mut self.reader {
            Reader::Csv {
                reader,
                record,
                has_first,
            } => {
                if std::mem::take(has_first) {
                    return Ok(Some(record.line));
                }
                loop {
                    if !reader.next(record)? {
                        return Ok(None);
                    }
                    // Of one column, an empty line is NULL.
                    if is_narrow || !record.is_blank() {
                        return Ok(Some(record.line));
                    }
                }
            }
            Reader::Json {
                reader,
                text,
                has_columns_line,
                first,
            } => {
                if let Some(line) = first.take() {
                    return Ok(Some(line));
                }
                let Some(line) = reader.next(text)? else {
                    return Ok(None);
                };
                if *has_columns_line && text.trim_ascii_start().first() == Some(&b'{') {
                    return match last_line(text) {
                        Some(LastLine::Totals) => match reader.next(text)? {
                            None => Ok(None),
                            Some(line) => {
                                Err(malformed(line, "the file goes on behind its totals"))
                            }
                        },
                        Some(LastLine::Error(error)) => Err(malformed(
                            line,
                            format!("the export that made the file ended with an error: {error}"),
                        )),
                        None => Ok(Some(line)),
                    };
                }
                Ok(Some(line))
            }
        }
    }

    /// Reads the next row.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub(super) fn next(&mut self, row: &mut Row) -> Result<NextRow, ReadError> {
        let Some(line) = self.advance()? else {
            return Ok(NextRow::End);
        };
        let read = match &self.reader {
            Reader::Csv { record, .. } => self.read_record(record, row),
            Reader::Json { text, .. } => {
                let read = read_row(text, &self.keys, row);
                if read.is_ok() && self.escapes_formulas {
                    escape_all(row);
                }
                read
            }
        };
        Ok(match read {
            Ok(()) => NextRow::Row(line),
            Err((column, message)) => NextRow::Misfit(RowError {
                line,
                column,
                message,
            }),
        })
    }

    fn read_record(&self, record: &Record, row: &mut Row) -> Result<(), (Option<String>, String)> {
        row.begin(self.columns.len());
        if let Some(fault) = record.fault {
            return Err((None, fault.to_owned()));
        }
        if record.len() != self.columns.len() {
            let (given, wanted) = (record.len(), self.columns.len());
            return Err((None, format!("the row has {given} fields, not {wanted}")));
        }
        let misfit = |column: &FileColumn, message: &str| {
            Err((Some(column.name.clone()), message.to_owned()))
        };
        for (place, column) in self.columns.iter().enumerate() {
            let (field, is_quoted) = record.field(place);
            if !is_quoted && field == self.null {
                row.set(place, ParamRef::Null);
                continue;
            }
            let Ok(text) = str::from_utf8(field) else {
                return misfit(column, "the value is not UTF-8");
            };
            // One in quotes was meant; our own exports have it there.
            if !is_quoted && field.contains(&0) {
                return misfit(column, "the value has a NUL byte; is the file UTF-16?");
            }
            let number = match column.becomes {
                Becomes::Text => None,
                Becomes::Integer => integer(text).map(ParamRef::Integer),
                Becomes::Real => float(text).map(ParamRef::Real),
                Becomes::Numeric => (integer(text).map(ParamRef::Integer))
                    .or_else(|| real(text).map(ParamRef::Real)),
                Becomes::Blob => {
                    let Ok(bytes) = STANDARD.decode(field) else {
                        return misfit(column, "a BLOB is written in base64, with padding");
                    };
                    row.set(place, ParamRef::Blob(&bytes));
                    continue;
                }
            };
            match number {
                Some(number) => row.set(place, number),
                None if self.escapes_formulas && is_formula(field) => {
                    row.set(place, ParamRef::Text(&escaped(field)));
                }
                None => row.set(place, ParamRef::Text(field)),
            }
        }
        Ok(())
    }
}

/// A number as columns of reals take it: in any form, exactly, infinity included.
fn float(text: &str) -> Option<f64> {
    match text {
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => {
            let is_number = (text.bytes())
                .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
            is_number.then(|| text.parse().ok()).flatten()
        }
    }
}

/// Whether a spreadsheet would take a text for a formula. A number is none.
fn is_formula(text: &[u8]) -> bool {
    let begins = matches!(
        text.first(),
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r')
    );
    begins && str::from_utf8(text).is_ok_and(|text| float(text).is_none())
}

fn escaped(text: &[u8]) -> Vec<u8> {
    [b"'", text].concat()
}

fn escape_all(row: &mut Row) {
    for place in 0..row.len() {
        if let Some(ParamRef::Text(text)) = row.value(place)
            && is_formula(text)
        {
            let text = escaped(text);
            row.set(place, ParamRef::Text(&text));
        }
    }
}

/// The names of columns: those of the first record, or `c1`, `c2` … where it is a row.
fn header(first: &Record, has_header: bool) -> Result<Vec<String>, ReadError> {
    if first.len() > MAX_COLUMNS {
        return Err(malformed(first.line, too_many_columns()));
    }
    if !has_header {
        return Ok((1..=first.len()).map(|place| format!("c{place}")).collect());
    }
    if let Some(fault) = first.fault {
        return Err(malformed(first.line, format!("the header: {fault}")));
    }
    let names = (0..first.len()).map(|place| {
        let (name, is_quoted) = first.field(place);
        let name = str::from_utf8(name).map_err(|_| {
            let message = format!("the name of column {} is not UTF-8", place + 1);
            malformed(first.line, message)
        })?;
        Ok(match is_quoted {
            true => name.to_owned(),
            false => name.trim().to_owned(),
        })
    });
    let names = names.collect::<Result<Vec<_>, ReadError>>()?;
    check_names(&names, first.line)?;
    Ok(names)
}

/// Longest name of a column, in bytes.
const LONGEST_NAME: usize = 1_000;

fn check_names(names: &[String], line: u64) -> Result<(), ReadError> {
    if names.len() > MAX_COLUMNS {
        return Err(malformed(line, too_many_columns()));
    }
    let mut seen = HashMap::new();
    for (place, name) in (1..).zip(names) {
        let shown: String = name.chars().take(100).collect();
        if name.is_empty() {
            let message = format!(
                "column {place} has no name; give it one, or send header=false if the first line \
                 is a row"
            );
            return Err(malformed(line, message));
        }
        if name.contains('\0') {
            let message = format!("the name of column {place} has a NUL byte; is the file UTF-16?");
            return Err(malformed(line, message));
        }
        if name.len() > LONGEST_NAME {
            let message = format!("`{shown}…` is too long for a column's name");
            return Err(malformed(line, message));
        }
        if let Some(before) = seen.insert(name.to_ascii_lowercase(), place) {
            let message = format!("columns {before} and {place} are both named `{shown}`");
            return Err(malformed(line, message));
        }
    }
    Ok(())
}

fn too_many_columns() -> String {
    format!("there are more than {MAX_COLUMNS} columns; is the separator right?")
}
