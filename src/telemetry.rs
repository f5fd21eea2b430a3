//! Traces: one line per thing that happened, with the same dotted fields everywhere.
use crate::config::{LogFormat, TraceConfig};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Crates that log irrelevant messages at every start.
const CHATTY: &str = "tokio_cron_scheduler=warn";

/// Starts writing traces to the standard error.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(config: &TraceConfig) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(format!("{CHATTY},{}", config.filter))?;
    let traces = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A line that cannot be written is dropped. To say so on the standard error, as it would
        // be by default, panics where that is full or closed.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let started = match config.format {
        LogFormat::Text => traces.try_init(),
        LogFormat::Json => traces.json().flatten_event(true).try_init(),
    };
    // A second start in the same process keeps the first one's traces.
    drop(started);
    Ok(())
}
