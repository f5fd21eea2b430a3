//! What holds for all routes, tokens, and the legacy API.
mod api_contract;
mod cors;
mod faults;
mod generated_clients;
mod ground;
mod hosts;
mod legacy;
mod metrics;
mod open_files;
mod repeats;
mod requests;
pub(crate) mod serving;
mod tokens;
