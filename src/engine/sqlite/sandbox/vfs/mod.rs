//! The file layer of our connections: SQLite's own for unix, with a look at the execution limits
//! before each read.
//!
//! Files without a name are the temporary ones of statements that write. They are ours, not unix's,
//! since nothing else bounds them.
mod shim;
mod temp_file;
mod temp_space;

pub(crate) use self::shim::{NAME, install, lacked_shared_memory};
pub(crate) use self::temp_space::{Full, TempFilesIn, why_full};
pub use self::temp_space::{TempBudget, TempSpace};
