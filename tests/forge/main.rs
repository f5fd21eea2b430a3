//! One binary for every capability.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod projections_databases;
mod projections_history;
mod projections_lists;
mod projections_rebuild;
mod projections_support;
