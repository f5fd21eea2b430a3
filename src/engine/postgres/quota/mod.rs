//! What a database may take of the disk. PostgreSQL has no such limit: its files are measured.
//!
//! A database that is larger than it may be reads, and makes room. A statement that makes it so is
//! ended while it runs.
mod executor;
mod room;
mod sizes;
mod transaction;

pub(super) use executor::WithinQuota;
