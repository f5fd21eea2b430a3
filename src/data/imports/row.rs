//! One row of a file, with a value for each column that it is for.
use crate::data::ParamRef;

/// A row that is being read.
#[derive(Debug, Default)]
pub(super) struct Row {
    cells: Vec<Cell>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Cell {
    Missing,
    Null,
    Integer(i64),
    Real(f64),
    Text { start: usize, end: usize },
    Blob { start: usize, end: usize },
}

impl Row {
    /// Begins a row of so many columns, of which none has a value yet.
    pub(super) fn begin(&mut self, columns: usize) {
        self.cells.clear();
        self.cells.resize(columns, Cell::Missing);
        self.bytes.clear();
        self.bytes.shrink_to(1 << 20);
    }

    pub(super) fn set(&mut self, column: usize, value: ParamRef<'_>) {
        let start = self.bytes.len();
        self.cells[column] = match value {
            ParamRef::Null => Cell::Null,
            ParamRef::Integer(number) => Cell::Integer(number),
            ParamRef::Real(number) => Cell::Real(number),
            ParamRef::Text(text) => {
                self.bytes.extend_from_slice(text);
                let end = self.bytes.len();
                Cell::Text { start, end }
            }
            ParamRef::Blob(bytes) => {
                self.bytes.extend_from_slice(bytes);
                let end = self.bytes.len();
                Cell::Blob { start, end }
            }
        };
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// The value of a column; `None` where it has none.
    pub(super) fn value(&self, column: usize) -> Option<ParamRef<'_>> {
        Some(match self.cells[column] {
            Cell::Missing => return None,
            Cell::Null => ParamRef::Null,
            Cell::Integer(number) => ParamRef::Integer(number),
            Cell::Real(number) => ParamRef::Real(number),
            Cell::Text { start, end } => ParamRef::Text(&self.bytes[start..end]),
            Cell::Blob { start, end } => ParamRef::Blob(&self.bytes[start..end]),
        })
    }
}
