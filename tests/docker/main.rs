//! The real Docker engine: needs one that answers, and the workers' image in it.
#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests, and takes their helpers for the house's code"
)]
mod drift;
mod engine_away;
mod engine_restarted;
mod gateway_forge;
#[expect(dead_code, reason = "shared with the other tests, which use all of it")]
#[path = "../shared/gateway_process.rs"]
mod gateway_process;
mod hardening;
mod job_stories;
mod kills;
#[path = "../shared/log_copy.rs"]
mod log_copy;
mod meddling;
mod own_container;
mod private_engine;
mod runtime_contract;
mod stack;
mod start_times;
mod support;
mod whole_forge;
