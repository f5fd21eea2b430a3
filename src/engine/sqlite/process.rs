//! What is set once in this process, before SQLite opens anything.
use super::sandbox::{memory, vfs, watch};

/// Sets SQLite up in this process: bounds what one statement may have, and has its reads watched.
///
/// To be called before anything opens a database; `false` when that has happened, and the memory of
/// statements is not bounded then.
pub fn set_up_process() -> bool {
    let is_bounded = memory::install();
    watch::install();
    vfs::install();
    is_bounded
}
