//! The file layer of our connections: SQLite's own for unix, with a look at the execution limits
//! before each read.
//!
//! Files without a name are the temporary ones of statements that write. They are ours, not unix's,
//! since nothing else bounds them.
mod shim;
mod temp_file;
mod temp_space;

pub(super) use temp_space::{Full, TempFilesIn, why_full};
pub use temp_space::{TempBudget, TempSpace};

use std::ffi::{CStr, c_int};
use std::sync::OnceLock;

/// The name that connections are opened with.
pub(super) const NAME: &CStr = c"dbforge";

/// What a read says that was not made because the statement's time is over: an I/O error, which
/// SQLite undoes like any other, under a number that is nobody else's.
const READ_INTERRUPTED: c_int = rusqlite::ffi::SQLITE_IOERR | (0xdb << 8);

/// Makes the layer known to SQLite under [`NAME`]. Where SQLite has no room for it, nothing can be
/// opened afterwards, and says so.
pub(super) fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(shim::register);
}
