//! What the forge can do, seen from outside.
#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests, and takes their helpers for the house's code"
)]
mod projections_lists;
mod projections_rebuild;
mod projections_support;
mod runtime_contract;
mod runtime_faults;
mod worker;
