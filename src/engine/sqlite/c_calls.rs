//! The few things that SQLite offers and rusqlite does not: asked in C.
#![expect(
    unsafe_code,
    reason = "rusqlite has no safe call for these; each one says why it is sound"
)]
use rusqlite::{Connection, ffi};
use std::ffi::c_int;

/// Whether the open transaction breaks foreign keys that are checked only at its end.
pub(super) fn has_deferred_violations(connection: &Connection) -> bool {
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

/// Forgets the last inserted row's id, so that one that is there later is the next statement's.
pub(super) fn forget_last_insert_rowid(connection: &Connection) {
    // SAFETY: as above; the call only writes a number into the open handle.
    unsafe { ffi::sqlite3_set_last_insert_rowid(connection.handle(), 0) }
}
