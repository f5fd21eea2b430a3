//! How far an import has come: a row in a table beside those of the user, written in the same
//! transaction as the rows themselves, so that nothing is written twice after a crash.
use crate::data::{BatchStatement, Param, Params, quoted};
use crate::domain::import::{ImportSummary, RowError, SHOWN_ERRORS};
use std::sync::Arc;

/// How far an import has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Records of the file that are behind.
    pub(super) records: u64,
    /// Rows that were written to the table, or to the one beside it.
    pub(super) written: u64,
    pub(super) skipped: u64,
    pub(super) errors: Vec<RowError>,
    pub(super) notes: Vec<String>,
    /// Whether the table is made by this import.
    pub(super) creates: bool,
    /// Whether all is done.
    pub(super) is_done: bool,
}

/// As the table keeps it: numbers, and the texts as JSON.
pub(super) type Stored = (u64, u64, u64, String, String, u64, u64);

impl Position {
    pub(super) fn read((records, written, skipped, errors, notes, creates, done): Stored) -> Self {
        Self {
            records,
            written,
            skipped,
            errors: serde_json::from_str(&errors).unwrap_or_default(),
            notes: serde_json::from_str(&notes).unwrap_or_default(),
            creates: creates != 0,
            is_done: done != 0,
        }
    }

    pub(super) fn skip(&mut self, error: RowError) {
        self.skipped += 1;
        if self.errors.len() < SHOWN_ERRORS {
            self.errors.push(error);
        }
    }

    pub(super) fn summary(&self) -> ImportSummary {
        ImportSummary {
            created: self.creates,
            rows: self.records,
            written: self.written,
            skipped: self.skipped,
            errors: self.errors.clone(),
            notes: self.notes.clone(),
        }
    }

    fn values(&self) -> Params {
        let number = |number: u64| Param::Integer(number.cast_signed());
        let json = |text: serde_json::Result<String>| Param::Text(text.unwrap_or_default());
        Params::Positional(
            [
                number(self.records),
                number(self.written),
                number(self.skipped),
                json(serde_json::to_string(&self.errors)),
                json(serde_json::to_string(&self.notes)),
                number(self.creates.into()),
                number(self.is_done.into()),
            ]
            .into(),
        )
    }
}

/// The table in which a position is kept.
#[derive(Debug, Clone)]
pub(super) struct PositionTable {
    pub(super) name: String,
    update: Arc<str>,
}

const COLUMNS: &str = "records, written, skipped, errors, notes, creates, is_done";

impl PositionTable {
    pub(super) fn new(name: String) -> Self {
        let table = quoted(&name);
        Self {
            update: format!("UPDATE {table} SET ({COLUMNS}) = (?, ?, ?, ?, ?, ?, ?)").into(),
            name,
        }
    }

    pub(super) fn select(&self) -> String {
        format!("SELECT {COLUMNS} FROM {}", quoted(&self.name))
    }

    /// Makes it, with a first position.
    pub(super) fn begin(&self, position: &Position) -> [BatchStatement; 2] {
        let table = quoted(&self.name);
        [
            plain(format!("CREATE TABLE {table} ({COLUMNS})")),
            BatchStatement {
                sql: format!("INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)").into(),
                params: position.values(),
            },
        ]
    }

    pub(super) fn update(&self, position: &Position) -> BatchStatement {
        BatchStatement {
            sql: Arc::clone(&self.update),
            params: position.values(),
        }
    }
}

/// A statement without parameters.
pub(super) fn plain(sql: String) -> BatchStatement {
    BatchStatement {
        sql: sql.into(),
        params: Params::None,
    }
}
