//! One binary for every capability.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod engine_contract;
mod sql_answers;
mod sql_attacks;
mod sql_files;
mod sql_functions;
mod sql_rows;
mod sql_support;
mod sql_writes;
