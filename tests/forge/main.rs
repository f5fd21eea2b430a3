//! What the forge can do, seen from outside.
#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests, and takes their helpers for the house's code"
)]
mod cli_files;
mod cli_gateway;
mod cli_help;
mod cli_replay;
mod cli_support;
mod cli_waiting;
mod codec;
mod control;
mod crash;
mod damaged_log;
mod documents;
mod drift;
mod engine_contract;
mod event_log_contract;
mod event_log_crash;
mod event_log_damage;
mod event_log_import;
mod faulty_log;
mod full_disk;
#[path = "../shared/gateway_process.rs"]
mod gateway_process;
mod http_databases;
mod http_faults;
mod http_ground;
mod http_history;
mod http_jobs;
mod http_original;
mod http_original_admin;
mod http_repeats;
mod http_serving;
mod http_sql;
mod http_support;
mod http_tokens;
mod kill;
mod lifecycle;
mod projections_databases;
mod projections_history;
mod projections_lists;
mod projections_rebuild;
mod projections_support;
mod reconciling;
mod recovery;
mod replay;
mod runtime_contract;
mod runtime_faults;
mod schedules;
mod sql_answers;
mod sql_attacks;
mod sql_files;
mod sql_functions;
mod sql_rows;
mod sql_support;
mod sql_writes;
mod starting;
mod stored_logs;
mod support;
mod test_forge;
mod watching;
mod webhooks;
mod worker;
