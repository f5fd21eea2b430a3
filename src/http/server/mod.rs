//! Connections, and the threads that serve them.
pub(crate) mod connections;
mod long_work;
pub(crate) mod serve;
mod serving_threads;
mod slow_reader;
