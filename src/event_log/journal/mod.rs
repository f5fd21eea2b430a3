//! The journal: append-only files that hold every commit, and are the truth.
//!
//! It is a folder of segments (`segment.rs`) that hold frames (`frame.rs`), one per commit. It is
//! written in one place (`writer.rs`), read from anywhere (`reader.rs`), and walked through
//! from its beginning when it is opened or verified (`scan.rs`).
pub(super) mod compressed;
pub(super) mod frame;
pub(super) mod reader;
pub(super) mod scan;
pub(super) mod segment;
mod unpacked;
pub(super) mod writer;
