//! What holds for all routes, tokens, and the legacy API.
mod api_contract;
mod faults;
mod ground;
mod generated_clients;
mod legacy;
mod open_files;
mod repeats;
mod serving;
mod tokens;
