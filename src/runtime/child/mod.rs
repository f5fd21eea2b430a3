//! One-shot child processes: files that others made are opened there and nowhere else.
//!
//! A child is this program again, `dbforge worker perform`. It reads one order from its standard
//! input, fences itself in, works, and writes one JSON object a line to
//! its standard output: progress, and last what came of it. It ends with its gateway: by the
//! kernel's signal, and by the end of its standard input.
mod order;
mod starter;

pub use order::{
    ChildFailure, ChildFailureCode, ChildLimits, ChildOrder, ChildProgress, ChildReply,
};
pub use starter::{ChildError, ChildStarter};
