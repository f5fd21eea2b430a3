//! One binary for every capability.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod codec;
mod damaged_log;
mod event_log_contract;
mod event_log_crash;
mod event_log_damage;
mod event_log_import;
mod support;
