//! How tests open SQLite themselves: SQLite takes the bounds of this process only before its first
//! use, so nothing else in the tests may be the first to use it.
use dbforge::domain::event::recorded::RecordedEvent;
use dbforge::engine::sqlite::set_up_process;
use dbforge::event_log::EventLog;
use dbforge::projections::control_db::{ControlDb, OpenReadModelError, Opening};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;

/// Sets the bounds of this process, as the gateway does when it starts.
pub(crate) fn set_up() {
    let is_bounded = set_up_process();
    assert!(
        is_bounded,
        "SQLite was used before its bounds were set; open it through support::sqlite"
    );
}

/// A file, as any program opens it.
pub(crate) fn open(file: impl AsRef<Path>) -> Connection {
    set_up();
    Connection::open(file).unwrap()
}

/// A file that stays as it is.
pub(crate) fn open_read_only(file: impl AsRef<Path>) -> Connection {
    set_up();
    Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// An empty database without a file.
pub(crate) fn in_memory() -> Connection {
    set_up();
    Connection::open_in_memory().unwrap()
}

/// A read model of `log`.
pub(crate) fn control_db(
    file: &Path,
    log: Arc<dyn EventLog>,
    export_line: fn(&RecordedEvent) -> String,
) -> Result<(ControlDb, Opening), OpenReadModelError> {
    set_up();
    ControlDb::open(file, log, export_line)
}
