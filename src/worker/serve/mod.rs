//! Serves one SQLite database in its worker.
//!
//! The worker's first process starts the one that serves, and starts it again when it ends: after a
//! statement that nothing stops, or for want of memory. So the database is back in a moment, whatever
//! the container runtime does. The one that serves fences itself in before its first thread starts.
mod fence;
mod order;
mod process;
mod supervisor;

pub use order::ServeOrder;
pub use process::serve;
pub use supervisor::supervise;
