//! Values as bytes. They are read by SQLite's incremental input, so that little of one is in memory,
//! and written by another process, in one transaction.
use super::executor::SqliteExecutor;
use super::limits::fits;
use super::open::open_database::OpenDatabase;
use super::sandbox::watch;
use super::statement::binding::bind_behind;
use super::statement::pieces::PIECE_BYTES;
use super::writer::lease::{LeaseSetup, WriterLease};
use super::{Answer, ExecutionLimits, Profile, Role, SqlError, SqliteConnection};
use crate::clock::{Deadline, Stopwatch};
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::{
    Call, Counters, QueryError, Target, ValueOrder, ValuePart, ValuePlace, ValueWay, ValueWritten,
};
use crate::runtime::child::ChildFailure;
use crate::shares::Held;
use rusqlite::MAIN_DB;
use rusqlite::blob::Blob;
use rusqlite::config::DbConfig;
use rusqlite::ffi;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The most bytes of a value that SQLite stores.
pub const LARGEST_VALUE_BYTES: usize = 1_000_000_000;

/// How long a process may write one value; its gateway ends it before.
const WRITE_TIME: Duration = Duration::from_secs(3600);
/// Bytes that are copied at once.
const COPIED_BYTES: usize = 1 << 20;

/// The writer of a database, at rest while another process writes. Dropped, it goes back.
#[derive(Debug)]
pub struct LentWriter {
    lease: WriterLease,
    open: Arc<OpenDatabase>,
    /// Last: dropped after all handles.
    _guard: SharedGuard,
}

impl SqliteExecutor {
    /// Has the writer rest, so that another process can write.
    ///
    /// # Errors
    /// [`QueryError::Locked`] when others have the writer until the deadline.
    pub async fn lend_writer(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
    ) -> Result<LentWriter, QueryError> {
        let open = self.open_behind(guard, target)?;
        let setup = LeaseSetup {
            rests: true,
            ..LeaseSetup::default()
        };
        Ok(LentWriter {
            lease: self.lease_writer(guard, &open, call, setup).await?,
            open,
            _guard: guard.clone(),
        })
    }
}

impl LentWriter {
    /// Takes the writer back when the other process is gone, and brings what that wrote into the
    /// main file. Blocks.
    pub fn take_back(mut self) {
        self.open.keep_wal_short(self.lease.sqlite());
    }
}

impl Drop for LentWriter {
    fn drop(&mut self) {
        // Whatever came of it: what is read from now on may be new.
        self.open.commits.fetch_add(1, Ordering::Release);
    }
}

/// Gives a value the bytes of a file, in one transaction.
///
/// # Errors
/// As [`crate::engine::Engine::write_value`].
pub(super) fn write(order: &ValueOrder) -> Result<ValueWritten, ChildFailure> {
    let profile = Profile {
        role: Role::Writer,
        durability: order.durability,
        size_bytes: order.size_bytes,
        cached_statements: 1,
    };
    let file =
        File::open(&order.file).map_err(|error| ChildFailure::internal(error.to_string()))?;
    let written = SqliteConnection::open(&order.folder, profile)
        .and_then(|mut sqlite| sqlite.write_in_one(order, &file));
    Ok(match written {
        Ok(true) => ValueWritten::Written,
        Ok(false) => ValueWritten::NoRow,
        Err(SqlError::Constraint { message }) => ValueWritten::Constraint(message),
        Err(error) if error.is_out_of_memory() => ValueWritten::OutOfMemory,
        Err(SqlError::Sql { message, .. }) => ValueWritten::Sql(message),
        Err(error @ (SqlError::NotAllowed { .. } | SqlError::VirtualTable { .. })) => {
            ValueWritten::Sql(error.to_string())
        }
        Err(SqlError::Locked) => ValueWritten::Locked,
        Err(SqlError::QuotaExceeded) => ValueWritten::QuotaExceeded,
        Err(SqlError::DiskFull) => ValueWritten::DiskFull,
        Err(SqlError::OutcomeUnknown) => ValueWritten::OutcomeUnknown,
        Err(error) => return Err(ChildFailure::internal(error.to_string())),
    })
}

impl SqliteConnection {
    /// Whether there was a row to write to.
    fn write_in_one(&mut self, order: &ValueOrder, file: &File) -> Result<bool, SqlError> {
        let failed = |error: rusqlite::Error| SqlError::from_sqlite(&error, None);
        // What was written is brought into the main file by the gateway, which is not gone.
        (self.inner)
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(failed)?;
        (self.inner)
            .set_limit(Limit::SQLITE_LIMIT_LENGTH, fits(LARGEST_VALUE_BYTES))
            .map_err(failed)?;
        self.set_limits(ExecutionLimits {
            deadline: Deadline::after(WRITE_TIME),
            cancellation: None,
            slice: None,
            may_wait: true,
        });
        self.command("BEGIN IMMEDIATE;")?;
        let is_written = match &order.way {
            ValueWay::Room { table, column } => self.fill_room(order, table, column, file)?,
            ValueWay::Blob | ValueWay::Text => self.set_whole(order, file)?,
        };
        if !is_written {
            return Ok(false);
        }
        if self.has_deferred_violations() {
            return Err(SqlError::DeferredForeignKey);
        }
        self.command("COMMIT;")
            .map_err(|error| self.if_full(error))?;
        Ok(true)
    }

    /// Makes room, and copies the bytes there.
    fn fill_room(
        &self,
        order: &ValueOrder,
        table: &str,
        column: &str,
        file: &File,
    ) -> Result<bool, SqlError> {
        let failed = |error: rusqlite::Error| {
            self.if_full(SqlError::from_sqlite(&error, self.interrupts.interrupt()))
        };
        let mut statement = self.inner.prepare(&order.sql).map_err(failed)?;
        let size = i64::try_from(order.size).unwrap_or(i64::MAX);
        bind_behind(&mut statement, ValueRef::Integer(size), &order.params)?;
        let mut row = None;
        let mut rows = statement.raw_query();
        while let Some(made) = rows.next().map_err(failed)? {
            row = Some(made.get(0).map_err(failed)?);
        }
        drop(rows);
        let Some(row) = row else {
            return Ok(false);
        };
        let place = ValuePlace {
            table: table.to_owned(),
            column: column.to_owned(),
            row,
            size: order.size,
        };
        let mut room = self
            .value_at(&place, false)?
            .ok_or_else(|| SqlError::sql(VALUE_CHANGED))?;
        let mut part = vec![0; COPIED_BYTES];
        let mut at = 0;
        while at < order.size {
            let count = usize::try_from(order.size - at)
                .unwrap_or(usize::MAX)
                .min(COPIED_BYTES);
            let part = &mut part[..count];
            file.read_exact_at(part, at).map_err(unreadable)?;
            let place = usize::try_from(at).unwrap_or(usize::MAX);
            room.write_all_at(part, place).map_err(failed)?;
            at += count as u64;
        }
        room.close().map_err(failed)?;
        Ok(true)
    }

    /// Has the bytes in memory, as what the value is worked out of may want all of them.
    fn set_whole(&self, order: &ValueOrder, file: &File) -> Result<bool, SqlError> {
        let failed = |error: rusqlite::Error| {
            self.if_full(SqlError::from_sqlite(&error, self.interrupts.interrupt()))
        };
        let mut statement = self.inner.prepare(&order.sql).map_err(failed)?;
        let size = usize::try_from(order.size).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(size)
            .map_err(|_| SqlError::out_of_memory())?;
        bytes.resize(size, 0);
        file.read_exact_at(&mut bytes, 0).map_err(unreadable)?;
        let value = match order.way {
            ValueWay::Text => ValueRef::Text(&bytes),
            ValueWay::Blob | ValueWay::Room { .. } => ValueRef::Blob(&bytes),
        };
        bind_behind(&mut statement, value, &order.params)?;
        // SQLite has a copy.
        drop(bytes);
        Ok(statement.raw_execute().map_err(failed)? > 0)
    }

    /// SQLite says the same of a full disk and of a database with its most pages.
    fn if_full(&self, error: SqlError) -> SqlError {
        match error {
            SqlError::DiskFull if self.disk_has_room() => SqlError::QuotaExceeded,
            other => other,
        }
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
                if error.extended_code == ffi::SQLITE_ERROR =>
            {
                Ok(None)
            }
            Err(error) => Err(SqlError::from_sqlite(&error, self.interrupts.interrupt())),
        }
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

fn unreadable(_: io::Error) -> SqlError {
    SqlError::Io {
        code: ffi::SQLITE_IOERR_READ,
    }
}
