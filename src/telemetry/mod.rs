//! Logs, one line per thing that happened, with the same dotted fields everywhere; and what
//! measurements are counted in.
mod filter;
mod histogram;
mod one_line;

pub use self::filter::{ACCESS, FilterError};
pub use self::histogram::{BOUNDS_S, DurationHistogram, Durations, add_alone};

use self::one_line::OneLine;
use crate::config::{LogFormat, TraceConfig};
use std::io::{self, IsTerminal};
use std::panic;

/// Starts writing logs to the standard error. From then on panics are lines of the log, too.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(config: &TraceConfig) -> Result<(), FilterError> {
    let filter = filter::for_forge(&config.filter, config.access_log)?;
    let traces = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| OneLine(io::stderr()))
        // A line that cannot be written is dropped. To say so on the standard error, as it would
        // be by default, panics where that is full or closed.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    let started = match config.format {
        LogFormat::Text => traces.try_init(),
        LogFormat::Json => traces.json().flatten_event(true).try_init(),
    };
    // A second start in the same process keeps the first one's traces.
    drop(started);
    panic::set_hook(Box::new(|panicked| {
        let message = panicked
            .payload_as_str()
            .unwrap_or("a panic without a text");
        let place = panicked.location().map(ToString::to_string);
        let thread = std::thread::current();
        tracing::error!(
            panic.place = place,
            thread.name = thread.name(),
            "panicked: {message}"
        );
    }));
    Ok(())
}
