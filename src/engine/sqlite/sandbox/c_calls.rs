//! The few things that SQLite offers and rusqlite does not: asked in C.
#![expect(
    unsafe_code,
    reason = "rusqlite has no safe call for these; each one says why it is sound"
)]
use crate::locks::Mutex;
use crate::open_files;
use rusqlite::functions::Context;
use rusqlite::{Connection, ffi};
use rustix::io::Errno;
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};

/// Whether the open transaction breaks foreign keys that are checked only at its end.
pub(crate) fn has_deferred_violations(connection: &Connection) -> bool {
    let (mut current, mut highest): (c_int, c_int) = (0, 0);
    // SAFETY: the handle is open as long as the connection is borrowed, and no other thread uses
    // it meanwhile (a Connection is not Sync); both out-pointers outlive the call.
    let result = unsafe {
        ffi::sqlite3_db_status(
            connection.handle(),
            ffi::SQLITE_DBSTATUS_DEFERRED_FKS,
            &raw mut current,
            &raw mut highest,
            0,
        )
    };
    debug_assert_eq!(result, ffi::SQLITE_OK, "the question is a known one");
    current > 0
}

/// Says what the last inserted row's id was.
pub(crate) fn set_last_insert_rowid(connection: &Connection, rowid: i64) {
    // SAFETY: as above; the call only writes a number into the open handle.
    unsafe { ffi::sqlite3_set_last_insert_rowid(connection.handle(), rowid) }
}

/// The limit on a connection's values, which another thread lowers while a statement goes on that
/// has to end.
///
/// A program without a loop is asked nowhere whether it has to end, and may have a thousand steps
/// that each take a long value from a row or a parameter. Each of those looks at this limit.
#[derive(Debug)]
struct ValueLimit {
    connection: Mutex<Handle>,
    is_lowered: AtomicBool,
}

#[derive(Debug)]
struct Handle(*mut ffi::sqlite3);

// SAFETY: it is used for one call, which writes a number that the connection's own thread reads.
unsafe impl Send for Handle {}

/// Values that are no longer than this take little time even in a thousand steps.
const LOWERED_BYTES: c_int = 64 << 10;

impl ValueLimit {
    /// Lowers it, unless the connection is closed.
    fn lower(&self) {
        let connection = self.lock();
        if !connection.0.is_null() {
            self.is_lowered.store(true, Ordering::Release);
            // SAFETY: the handle is open, since closing it waits for the lock. SQLite writes one
            // aligned number, which its steps read anew each.
            unsafe {
                ffi::sqlite3_limit(connection.0, ffi::SQLITE_LIMIT_LENGTH, LOWERED_BYTES);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Handle> {
        self.connection.lock()
    }
}

/// A connection's own hold on its limit: dropped before the connection is closed.
pub(crate) struct OwnValueLimit {
    limit: Arc<ValueLimit>,
    /// Lowers it, from any thread.
    pub(crate) lower: Arc<dyn Fn() + Send + Sync>,
}

impl OwnValueLimit {
    pub(crate) fn of(connection: &Connection) -> Self {
        let limit = Arc::new(ValueLimit {
            // SAFETY: the handle is used no longer than this lives.
            connection: Mutex::new(Handle(unsafe { connection.handle() })),
            is_lowered: AtomicBool::new(false),
        });
        let lowered = Arc::clone(&limit);
        Self {
            limit,
            lower: Arc::new(move || lowered.lower()),
        }
    }

    /// Whether it was lowered since this was asked last.
    pub(crate) fn was_lowered(&self) -> bool {
        self.limit.is_lowered.swap(false, Ordering::AcqRel)
    }
}

impl Drop for OwnValueLimit {
    fn drop(&mut self) {
        self.limit.lock().0 = std::ptr::null_mut();
    }
}

/// Asks the connection that a function was called on.
///
/// # Errors
/// What rusqlite says.
pub(crate) fn with_connection<T>(
    context: &Context<'_>,
    ask: impl FnOnce(&Connection) -> T,
) -> rusqlite::Result<T> {
    // SAFETY: the function runs inside of that connection, which is open until it returns, and the
    // connection that is lent here is gone by then.
    let connection = unsafe { context.get_connection() }?;
    Ok(ask(&connection))
}

/// Why SQLite could not open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// No file descriptor is left.
    NoFiles,
    /// The disk has no room for it.
    DiskFull,
    /// It is not there, or is a link.
    Missing,
    /// The system refuses it for another reason.
    Refused,
}

thread_local! {
    /// The system's error number for the last file that SQLite could not open on this thread.
    static ERRNO: Cell<Option<i32>> = const { Cell::new(None) };
}

/// Why SQLite said a moment ago, on this thread, that it could not open a file. What it answers
/// with is one code for all reasons.
pub(crate) fn why_it_was_not_opened() -> NotOpened {
    let Some(errno) = ERRNO.take() else {
        return NotOpened::Missing; // SQLite itself follows no link
    };
    match Errno::from_raw_os_error(errno) {
        _ if open_files::is_used_up(errno) => NotOpened::NoFiles,
        Errno::NOSPC | Errno::DQUOT => NotOpened::DiskFull,
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => NotOpened::Missing,
        _ => NotOpened::Refused,
    }
}

/// Hears from SQLite why files were not opened. `false` when SQLite was used in this process
/// before: it takes what it is told here only at its start.
pub(crate) fn hear_of_files() -> bool {
    let context = std::ptr::null_mut::<c_void>();
    // SAFETY: LOG takes a function of this type and what it is called with, which is not used.
    let result = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_LOG, hear as Hear, context) };
    result == ffi::SQLITE_OK
}

type Hear = unsafe extern "C" fn(*mut c_void, c_int, *const c_char);

/// # Safety
/// SQLite calls it with a text that ends with a NUL.
unsafe extern "C" fn hear(_context: *mut c_void, code: c_int, text: *const c_char) {
    if code & 0xff != ffi::SQLITE_CANTOPEN || text.is_null() {
        return;
    }
    // SAFETY: as said above.
    let text = unsafe { CStr::from_ptr(text) };
    if let Some(errno) = text.to_str().ok().and_then(errno_in) {
        // A thread that ends opens nothing any more.
        let _ = ERRNO.try_with(|it| it.set(Some(errno)));
    }
}

/// The system's error number in a line such as `os_unix.c:47364: (24) open(/data/main.db) - …`.
fn errno_in(text: &str) -> Option<i32> {
    let (_, rest) = text.strip_prefix("os_unix.c:")?.split_once('(')?;
    rest.split_once(')')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_error_number_is_read_from_what_sqlite_says() {
        let line = "os_unix.c:47364: (24) open(/data/main.db) - Too many open files";
        assert_eq!(errno_in(line), Some(24));
        assert_eq!(errno_in("cannot open file at line 47364 of [fbc]"), None);
    }
}
