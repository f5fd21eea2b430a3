//! Rows that are sent while they are read.
pub(crate) mod stream;
