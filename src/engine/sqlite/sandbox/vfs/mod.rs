//! The file layer of our connections: SQLite's own for unix, with a look at the execution limits
//! before each read.
//!
//! Files without a name are the temporary ones of statements that write. They are ours, not unix's,
//! since nothing else bounds them.
mod shim;
mod temp_file;
mod temp_space;

pub(crate) use self::temp_space::{Full, TempFilesIn, why_full};
pub use self::temp_space::{TempBudget, TempSpace};

use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::sync::OnceLock;

/// The name that connections are opened with.
pub(crate) const NAME: &CStr = c"dbforge";

/// What a read says that was not made because the statement's time is over: an I/O error, which
/// SQLite undoes like any other, under a number that is nobody else's.
const READ_INTERRUPTED: c_int = rusqlite::ffi::SQLITE_IOERR | (0xdb << 8);

/// Makes the layer known to SQLite under [`NAME`]. Where SQLite has no room for it, nothing can be
/// opened afterwards, and says so.
pub(crate) fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(shim::register);
}

thread_local! {
    /// Whether a connection had no shared memory, since this was asked last on this thread.
    static LACKED_SHARED_MEMORY: Cell<bool> = const { Cell::new(false) };
}

fn note_lack_of_shared_memory() {
    // A thread that ends has no statement any more.
    let _ = LACKED_SHARED_MEMORY.try_with(|it| it.set(true));
}

/// Whether the statement that ran on this thread had to do without shared memory, which a full disk
/// has no room for. Its connection does so for as long as it is open.
pub(crate) fn lacked_shared_memory() -> bool {
    LACKED_SHARED_MEMORY.take()
}
