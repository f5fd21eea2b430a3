//! What `last_insert_rowid()`, `changes()` and `total_changes()` say.
//!
//! SQLite counts for a connection. Here requests share connections, and even transactions, so each
//! request has a session: it begins at 0, as on a new connection, and its statements see what those
//! before them in the same session did, and nothing of other sessions. The functions are replaced
//! by ones that know where the session began.
use crate::engine::sql::Counters;
use crate::engine::sqlite::sandbox::c_calls;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, Result};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The counters of one connection's session. One thread uses it at a time; it is shared with the
/// functions.
#[derive(Debug)]
pub(crate) struct Session {
    last_insert_rowid: AtomicI64,
    changes: AtomicI64,
    total_changes: AtomicI64,
    /// SQLite's own numbers when the running statement began.
    changes_before: AtomicI64,
    total_changes_before: AtomicI64,
    /// SQLite's last rowid while nothing was inserted. It is random, and no client is told it, so
    /// that it is no row's: 0 is one that a row may have.
    nothing_inserted: i64,
}

/// What one of the functions says.
type Counter = fn(&Session, Native) -> i64;

impl Session {
    /// Puts the functions in place of SQLite's.
    pub(crate) fn install(connection: &Connection) -> Result<Arc<Self>> {
        let session = Arc::new(Self {
            last_insert_rowid: AtomicI64::new(0),
            changes: AtomicI64::new(0),
            total_changes: AtomicI64::new(0),
            changes_before: AtomicI64::new(0),
            total_changes_before: AtomicI64::new(0),
            nothing_inserted: RandomState::new().build_hasher().finish().cast_signed(),
        });
        c_calls::set_last_insert_rowid(connection, session.nothing_inserted);
        // As the originals: not deterministic, and schemas may use them.
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
        let functions: [(&str, Counter); 3] = [
            ("last_insert_rowid", Self::last_insert_rowid),
            ("changes", Self::changes),
            ("total_changes", Self::total_changes),
        ];
        for (name, function) in functions {
            let session = Arc::clone(&session);
            let answer = move |context: &mut Context<'_>| {
                let native = c_calls::with_connection(context, Native::of)?;
                Ok(function(&session, native))
            };
            connection.create_scalar_function(name, 0, flags, answer)?;
        }
        Ok(session)
    }

    /// From here on it tells what `counters` say, and what statements do after it.
    pub(crate) fn begin(&self, counters: Counters) {
        set(&self.last_insert_rowid, counters.last_insert_rowid);
        set(&self.changes, counters.changes);
        set(&self.total_changes, counters.total_changes);
    }

    /// A statement begins. What SQLite counted before does not belong to it: FTS5 counts what it
    /// writes when a savepoint or a transaction ends.
    pub(crate) fn statement_begins(&self, connection: &Connection) {
        let native = Native::of(connection);
        set(&self.changes_before, native.changes);
        set(&self.total_changes_before, native.total_changes);
    }

    /// Sees to it that a statement that asks `changes()` finds no other session's number, also where
    /// [`Self::changes`] cannot tell them apart: SQLite puts the number from before a trigger back
    /// behind it. Nothing sets it but a statement that changes rows, and one that is sure to be
    /// possible needs a table of its own.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn forget_changes(&self, connection: &Connection) -> Result<()> {
        let native = Native::of(connection);
        if native.changes == 0 || native.changes == get(&self.changes) {
            return Ok(());
        }
        connection.execute_batch(
            "CREATE TEMP TABLE dbforge_nothing (a); DELETE FROM temp.dbforge_nothing; \
             DROP TABLE temp.dbforge_nothing;",
        )?;
        self.statement_begins(connection);
        Ok(())
    }

    /// A statement has ended, well or not. `counts` says that it is one whose number `changes()`
    /// tells, 0 included. Answers the rowid that it inserted last.
    pub(crate) fn statement_ends(&self, connection: &Connection, counts: bool) -> Option<i64> {
        let native = Native::of(connection);
        set(&self.total_changes, self.total_changes(native));
        let changes = if counts {
            native.changes
        } else {
            self.changes(native)
        };
        set(&self.changes, changes);
        // Called again, it changes nothing.
        set(&self.changes_before, native.changes);
        set(&self.total_changes_before, native.total_changes);
        if native.last_insert_rowid == self.nothing_inserted {
            return None;
        }
        set(&self.last_insert_rowid, native.last_insert_rowid);
        c_calls::set_last_insert_rowid(connection, self.nothing_inserted);
        Some(native.last_insert_rowid)
    }

    /// What the session's statements have done.
    pub(crate) fn counters(&self) -> Counters {
        Counters {
            last_insert_rowid: get(&self.last_insert_rowid),
            changes: get(&self.changes),
            total_changes: get(&self.total_changes),
        }
    }

    fn last_insert_rowid(&self, native: Native) -> i64 {
        if native.last_insert_rowid == self.nothing_inserted {
            get(&self.last_insert_rowid)
        } else {
            native.last_insert_rowid
        }
    }

    fn changes(&self, native: Native) -> i64 {
        let counted = native.changes != get(&self.changes_before)
            || native.total_changes != get(&self.total_changes_before);
        if counted {
            native.changes
        } else {
            get(&self.changes)
        }
    }

    fn total_changes(&self, native: Native) -> i64 {
        get(&self.total_changes) + native.total_changes - get(&self.total_changes_before)
    }
}

/// SQLite's own numbers.
#[derive(Debug, Clone, Copy)]
struct Native {
    last_insert_rowid: i64,
    changes: i64,
    total_changes: i64,
}

impl Native {
    fn of(connection: &Connection) -> Self {
        Self {
            last_insert_rowid: connection.last_insert_rowid(),
            changes: connection.changes().cast_signed(),
            total_changes: connection.total_changes().cast_signed(),
        }
    }
}

fn get(number: &AtomicI64) -> i64 {
    number.load(Ordering::Relaxed)
}

fn set(number: &AtomicI64, to: i64) {
    number.store(to, Ordering::Relaxed);
}
