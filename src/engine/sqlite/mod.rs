//! SQLite.
//!
//! Raw SQL of strangers runs here. `connection.rs` is the profile under which it does, and the
//! order of what it sets up matters; `authorizer.rs` says what SQL may do, `functions.rs` replaces
//! the functions that nothing could stop and `additions/` has those beside them, `watch/` ends steps
//! that take too long, `statement.rs` runs one statement and writes its answer.
mod additions;
mod answer;
mod authorizer;
mod c_calls;
mod connection;
mod counters;
mod created;
mod error;
mod files;
mod fts5_functions;
mod fts5_tables;
mod functions;
mod hint;
mod leash;
mod marks;
mod memory;
mod parameters;
mod pieces;
mod pragmas;
mod program;
mod savepoints;
pub mod script;
mod statement;
mod strings;
mod values;
mod vfs;
mod viewer;
mod watch;

pub use answer::{Form, Format, Shape};
pub use connection::{LIMITS, MAX_VALUE_BYTES, Profile, Role, SqliteConnection};
pub use counters::Counters;
pub use error::SqlError;
pub use files::{MAIN_FILE, WAL_FILE};
pub use leash::{Hold, Leash, Slice, Ticket};
pub use parameters::{MAX_PARAMETERS, Param, Params};
pub use program::Bounds;
pub use savepoints::Savepoints;
pub use statement::{Answer, Statement};
pub use values::Int64Form;
pub use vfs::{TempBudget, TempSpace};
pub use viewer::TextOf;

use super::{Engine, FileError};
use crate::domain::database::Durability;
use std::path::Path;

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

/// SQLite: one file for each database.
#[derive(Debug)]
pub struct Sqlite;

impl Engine for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn create_file(&self, folder: &Path, durability: Durability) -> Result<(), FileError> {
        files::create(folder, durability)
    }

    fn probe(&self, folder: &Path) -> Result<(), FileError> {
        files::probe(folder)
    }

    fn is_empty(&self, folder: &Path) -> Result<bool, FileError> {
        files::is_empty(folder)
    }

    fn settle(&self, folder: &Path) -> Result<(), FileError> {
        files::settle(folder)
    }
}
