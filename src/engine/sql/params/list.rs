//! Many rows of parameters for one statement, kept flat: a value for each place, and one buffer for
//! all texts, however many rows there are.
use super::value::ParamRef;
use serde::de;
use std::sync::Arc;

/// Most parameters of one statement.
pub const MAX_PARAMETERS: usize = 32_766;

/// Most rows of parameters of one statement.
pub const MAX_PARAMETER_ROWS: usize = 100_000;
/// Most values of all rows of one statement.
pub const MAX_LIST_VALUES: usize = 1_000_000;

/// Rows of parameters of one form: as many values each, or the same names.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamsList(Arc<Rows>);

#[derive(Debug, Default, PartialEq)]
struct Rows {
    /// The names of the values of each row, in the order in which they are kept.
    names: Option<Vec<String>>,
    width: usize,
    count: usize,
    values: Vec<Value>,
    bytes: Vec<u8>,
    fault: Option<ListFault>,
}

/// One value; texts and BLOBs are ranges of the buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text { start: u32, length: u32 },
    Blob { start: u32, length: u32 },
}

/// What keeps a list from being run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFault {
    /// A row has another form than the first.
    Misfit {
        /// Which row, from 0.
        index: usize,
        /// What does not fit.
        message: String,
    },
    /// There are more rows than [`MAX_PARAMETER_ROWS`].
    TooManyRows,
    /// There are more values than [`MAX_LIST_VALUES`], or 4 GiB of texts.
    TooManyValues,
}

impl ParamsList {
    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.0.count
    }

    /// How many values each row has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.width
    }

    /// The names of a row's values, in their order; `None` where they go by place.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        self.0.names.as_deref()
    }

    /// The values of a row, which must be one of [`Self::rows`].
    pub fn row(&self, index: usize) -> impl ExactSizeIterator<Item = ParamRef<'_>> {
        let first = index * self.0.width;
        let values = &self.0.values[first..first + self.0.width];
        values.iter().map(|value| self.0.resolved(*value))
    }

    /// One value of a row.
    #[must_use]
    pub fn value(&self, row: usize, place: usize) -> ParamRef<'_> {
        self.0.resolved(self.0.values[row * self.0.width + place])
    }

    /// Some of its rows, as a list of their own.
    #[must_use]
    pub fn part(&self, rows: std::ops::Range<usize>) -> Self {
        let mut part = ListBuilder::of_width(self.width());
        for row in rows {
            self.row(row).for_each(|value| part.push(value));
            part.end_row();
        }
        part.rows.names.clone_from(&self.0.names);
        part.finish()
    }

    /// Why it may not run, where something is wrong with it.
    #[must_use]
    pub fn fault(&self) -> Option<&ListFault> {
        self.0.fault.as_ref()
    }
}

impl Rows {
    fn resolved(&self, value: Value) -> ParamRef<'_> {
        match value {
            Value::Null => ParamRef::Null,
            Value::Integer(number) => ParamRef::Integer(number),
            Value::Real(number) => ParamRef::Real(number),
            Value::Text { start, length } => ParamRef::Text(self.range(start, length)),
            Value::Blob { start, length } => ParamRef::Blob(self.range(start, length)),
        }
    }

    fn range(&self, start: u32, length: u32) -> &[u8] {
        let start = start as usize;
        &self.bytes[start..start + length as usize]
    }
}

/// Builds a [`ParamsList`], value by value and row by row.
#[derive(Debug, Default)]
pub struct ListBuilder {
    rows: Rows,
    /// Where the row that is being built begins.
    row_values: usize,
    row_bytes: usize,
}

impl ListBuilder {
    /// For rows of `width` values each, by place.
    #[must_use]
    pub fn of_width(width: usize) -> Self {
        Self {
            rows: Rows {
                width,
                ..Rows::default()
            },
            ..Self::default()
        }
    }

    /// The same, of values that are named where names are given.
    #[must_use]
    pub(crate) fn of_columns(width: usize, names: Option<Vec<String>>) -> Self {
        let mut list = Self::of_width(width);
        list.rows.names = names;
        list
    }

    /// Adds a value to the row.
    pub fn push(&mut self, value: ParamRef<'_>) {
        let value = match value {
            ParamRef::Null => Value::Null,
            ParamRef::Integer(number) => Value::Integer(number),
            ParamRef::Real(number) => Value::Real(number),
            ParamRef::Text(text) => match self.keep(text) {
                Some((start, length)) => Value::Text { start, length },
                None => Value::Null,
            },
            ParamRef::Blob(bytes) => match self.keep(bytes) {
                Some((start, length)) => Value::Blob { start, length },
                None => Value::Null,
            },
        };
        self.rows.values.push(value);
    }

    /// Keeps bytes. `None` where no list holds so many, which it says when it is to run.
    fn keep(&mut self, bytes: &[u8]) -> Option<(u32, u32)> {
        let place = (self.rows.bytes.len().try_into(), bytes.len().try_into());
        let (Ok(start), Ok(length)) = place else {
            self.rows.fault = Some(ListFault::TooManyValues);
            return None;
        };
        self.rows.bytes.extend_from_slice(bytes);
        Some((start, length))
    }

    /// Ends the row, which has as many values as the list is wide.
    pub fn end_row(&mut self) {
        self.rows.count += 1;
        self.row_values = self.rows.values.len();
        self.row_bytes = self.rows.bytes.len();
        if self.rows.count > MAX_PARAMETER_ROWS {
            self.rows.fault = Some(ListFault::TooManyRows);
        } else if self.row_values > MAX_LIST_VALUES {
            self.rows.fault = Some(ListFault::TooManyValues);
        }
    }

    /// Takes the values of the row that was begun away again.
    pub fn drop_row(&mut self) {
        self.rows.values.truncate(self.row_values);
        self.rows.bytes.truncate(self.row_bytes);
    }

    /// How many rows have ended.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.count
    }

    /// Bytes of memory that its values take.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.rows.values.len() * size_of::<Value>() + self.rows.bytes.len()
    }

    /// The list of the rows that have ended.
    #[must_use]
    pub fn finish(mut self) -> ParamsList {
        self.drop_row();
        ParamsList(Arc::new(self.rows))
    }

    /// Values of the row that is being built.
    pub(super) fn row_width(&self) -> usize {
        self.rows.values.len() - self.row_values
    }

    pub(super) fn fault(&self) -> Option<&ListFault> {
        self.rows.fault.as_ref()
    }

    /// Puts the values of the row that is being built into the order of `places`: the first is the
    /// one that stands at `places[0]` now.
    pub(super) fn arrange(&mut self, places: &[usize]) {
        let row = self.rows.values.split_off(self.row_values);
        let arranged = places.iter().map(|place| row[*place]);
        self.rows.values.extend(arranged);
    }

    /// Moves the row that is being built to a list of its own.
    pub(super) fn split_row(&mut self) -> Self {
        let moved_by = u32::try_from(self.row_bytes).expect("texts that are kept fit 32 bits");
        let mut values = self.rows.values.split_off(self.row_values);
        for value in &mut values {
            if let Value::Text { start, .. } | Value::Blob { start, .. } = value {
                *start -= moved_by;
            }
        }
        Self {
            rows: Rows {
                width: values.len(),
                values,
                bytes: self.rows.bytes.split_off(self.row_bytes),
                ..Rows::default()
            },
            ..Self::default()
        }
    }

    pub(super) fn width(&self) -> usize {
        self.rows.width
    }

    pub(super) fn set_width(&mut self, width: usize) {
        self.rows.width = width;
    }

    pub(super) fn has_names(&self) -> bool {
        self.rows.names.is_some()
    }

    pub(super) fn take_names(&mut self) -> Option<Vec<String>> {
        self.rows.names.take()
    }

    /// Values go by these names from now on.
    pub(super) fn set_names(&mut self, names: Vec<String>) {
        self.rows.width = names.len();
        self.rows.names = Some(names);
    }

    pub(super) fn fail(&mut self, fault: ListFault) {
        self.rows.fault = Some(fault);
    }
}

/// Refuses one more value than a statement can have.
pub(super) fn refuse_too_many<E: de::Error>(so_far: usize) -> Result<(), E> {
    if so_far < MAX_PARAMETERS {
        Ok(())
    } else {
        Err(E::custom(format_args!(
            "a statement has at most {MAX_PARAMETERS} parameters"
        )))
    }
}
