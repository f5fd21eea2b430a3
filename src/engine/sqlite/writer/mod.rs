//! The one writer of each database: the queue of writes, group commit, and its lease to transactions.
pub(crate) mod group_commit;
pub(crate) mod lease;
pub(crate) mod queue;
pub(crate) mod requests;
pub(crate) mod wal;
pub(crate) mod writer_loop;
