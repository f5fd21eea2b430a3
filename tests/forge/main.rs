//! What the forge can do, seen from outside.
#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests, and takes their helpers for the house's code"
)]
mod codec;
mod control;
mod event_log_contract;
mod event_log_damage;
mod event_log_import;
mod http_ground;
mod http_support;
mod lifecycle;
mod projections_databases;
mod projections_history;
mod projections_lists;
mod projections_rebuild;
mod projections_support;
mod reconciling;
mod recovery;
mod runtime_contract;
mod runtime_faults;
mod support;
mod test_forge;
mod worker;
