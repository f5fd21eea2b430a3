//! Reads: on the thread that serves the request when they are known to be short, else elsewhere.
pub(crate) mod latency_class;
pub(crate) mod reads;
pub(crate) mod shared_read;
pub(crate) mod snapshot;
