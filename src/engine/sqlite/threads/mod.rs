//! The threads that SQL runs on, and how many requests of a database have one at a time.
pub(crate) mod concurrency_limiter;
pub(crate) mod on_thread;
pub(crate) mod pool;
