//! What the forge can do, seen from outside.
#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests, and takes their helpers for the house's code"
)]
mod runtime_contract;
mod runtime_faults;
mod worker;
