//! Rows that are sent while they are read.
pub(crate) mod pipe;
pub(crate) mod stream;
