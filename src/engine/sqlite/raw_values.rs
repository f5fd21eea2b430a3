//! Values as bytes, by SQLite's incremental input and output: no more of a value is in memory than
//! the part that is being read or written.
use super::changes::exclusive::Outcome;
use super::executor::SqliteExecutor;
use super::limits::{MAX_VALUE_BYTES, fits};
use super::sandbox::watch;
use super::statement::pieces::PIECE_BYTES;
use super::writer::lease::LeaseSetup;
use super::{Answer, SqlError, SqliteConnection};
use crate::clock::Stopwatch;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::{
    Call, Counters, QueryAnswer, QueryError, Statement, Target, ValuePart, ValuePlace,
};
use crate::shares::Held;
use bytes::Bytes;
use rusqlite::MAIN_DB;
use rusqlite::blob::Blob;
use rusqlite::limits::Limit;

/// The most bytes of a value that SQLite stores.
pub const LARGEST_VALUE_BYTES: usize = 1_000_000_000;

impl SqliteExecutor {
    /// Runs a statement that makes room for a value of any size, and nothing else of such a size.
    ///
    /// # Errors
    /// As for a statement.
    pub async fn make_room(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statement: Statement,
    ) -> Result<QueryAnswer, QueryError> {
        let open = self.open_behind(guard, target)?;
        let (form, timeout) = (call.form, call.timeout);
        let work = move |sqlite: &mut SqliteConnection| {
            let made = sqlite.with_long_values(|sqlite| sqlite.run(&statement, &form));
            let made = made.map_err(|error| error.for_caller(timeout))?;
            Ok((QueryAnswer::from(made), Outcome::Keep))
        };
        self.exclusively(guard, &open, call, LeaseSetup::default(), work)
            .await
    }

    /// Writes bytes of a value, as a turn of the writer of its own.
    ///
    /// # Errors
    /// [`QueryError::ValueChanged`] when the value is not there any more, or has another size.
    pub async fn write_value(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        place: ValuePlace,
        (first, bytes): (u64, Bytes),
    ) -> Result<(), QueryError> {
        let open = self.open_behind(guard, target)?;
        let timeout = call.timeout;
        let work = move |sqlite: &mut SqliteConnection| {
            let written = sqlite.write_value(&place, first, &bytes);
            written.map_err(|error| match error {
                None => QueryError::ValueChanged,
                Some(error) => error.for_caller(timeout),
            })?;
            Ok(((), Outcome::Keep))
        };
        self.exclusively(guard, &open, call, LeaseSetup::default(), work)
            .await
    }
}

impl SqliteConnection {
    /// Does `work` while values may have any size that SQLite stores.
    fn with_long_values<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let limit = |sqlite: &Self, bytes| {
            let set = sqlite.inner.set_limit(Limit::SQLITE_LIMIT_LENGTH, bytes);
            set.map(drop)
                .map_err(|error| SqlError::from_sqlite(&error, None))
        };
        self.confine(None)?;
        limit(self, fits(LARGEST_VALUE_BYTES))?;
        let done = work(self);
        if limit(self, fits(MAX_VALUE_BYTES)).is_err() {
            self.spoil();
        }
        done
    }

    /// The value of a place. `None` when it is not there any more, or has another size.
    fn value_at(&self, place: &ValuePlace, reads_only: bool) -> Result<Option<Blob<'_>>, SqlError> {
        let (table, column) = (place.table.as_str(), place.column.as_str());
        // No statement is prepared, so the authorizer is not asked.
        let opened = (self.inner).blob_open(MAIN_DB, table, column, place.row, reads_only);
        match opened {
            Ok(value) => Ok(Some(value).filter(|value| value.len() as u64 == place.size)),
            // There is no such row, or its value is no bytes.
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.extended_code == rusqlite::ffi::SQLITE_ERROR =>
            {
                Ok(None)
            }
            Err(error) => Err(SqlError::from_sqlite(&error, self.interrupts.interrupt())),
        }
    }

    /// # Errors
    /// `None` when the value is not there any more.
    fn write_value(
        &mut self,
        place: &ValuePlace,
        first: u64,
        bytes: &[u8],
    ) -> Result<(), Option<SqlError>> {
        let failed = |error: rusqlite::Error| Some(SqlError::from_sqlite(&error, None));
        let mut value = self.value_at(place, false).map_err(Some)?.ok_or(None)?;
        let first = usize::try_from(first).map_err(|_| None)?;
        value.write_all_at(bytes, first).map_err(failed)?;
        value.close().map_err(failed)
    }

    /// Sends bytes of a value in pieces, of one moment however long it takes.
    ///
    /// # Errors
    /// When the value is not there any more, its time is over, or the client stopped reading.
    pub(super) fn send_value(
        &self,
        part: &ValuePart,
        mut send: impl FnMut(Vec<u8>) -> Result<(), SqlError>,
    ) -> Result<Answer, SqlError> {
        let stopwatch = Stopwatch::start();
        let _watch = watch::Watch::under(&self.interrupts);
        let value = self.value_at(&part.place, true)?;
        let value = value.ok_or_else(|| SqlError::sql(VALUE_CHANGED))?;
        let place = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX);
        let (mut at, end) = (place(part.first), place(part.first + part.count));
        while at < end {
            if let Some(interrupt) = self.interrupts.poll() {
                return Err(SqlError::interrupted(Some(interrupt)));
            }
            let mut piece = vec![0; (end - at).min(PIECE_BYTES)];
            value
                .read_at_exact(&mut piece, at)
                .map_err(|error| SqlError::from_sqlite(&error, self.interrupts.interrupt()))?;
            at += piece.len();
            send(piece)?;
        }
        Ok(Answer {
            body: Vec::new(),
            held: Held::default(),
            row_count: 1,
            rows_affected: 0,
            truncated: false,
            elapsed: stopwatch.elapsed(),
            reads_only: true,
            changes_schema: false,
            counters: Counters::default(),
            hidden: Vec::new(),
        })
    }
}

/// What is said where a value has changed between two looks.
const VALUE_CHANGED: &str = "the value was changed while it was read; read it again";
