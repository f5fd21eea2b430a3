//! The state at a point in the history, and the difference of two.
use crate::cli::client::connection::client::{Client, Invocation};
use crate::cli::client::connection::request::{Answer, Request};
use crate::cli::exit::Failure;
use crate::cli::terminal::output;

/// `dbforge state`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct StateArgs {
    /// After this event's sequence, or at this time (2026-03-01T12:00:00Z) [default: now]
    #[arg(long, value_name = "MOMENT")]
    at: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "json")]
    format: Format,
}

/// `dbforge diff`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DiffArgs {
    /// The earlier point: a sequence or a time
    from: String,
    /// The later point [default: now]
    to: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "json")]
    format: Format,
}

/// How a state or a difference is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// As `dbforge replay` prints it; differences as a unified diff.
    Text,
    /// The answer as the gateway sent it.
    Json,
}

impl Format {
    fn word(self, client: &Client) -> &'static str {
        match self {
            Self::Text if !client.json => "text",
            Self::Text | Self::Json => "json",
        }
    }
}

/// Prints the state at a point in the history.
pub(in crate::cli) fn state(args: &StateArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let request = Request::get(&["state"])
        .query("format", args.format.word(&client))
        .query_if("at", args.at.as_ref());
    print(&client.send(request)?)
}

/// Prints what changed between two points; nothing if nothing did.
pub(in crate::cli) fn diff(args: &DiffArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let request = Request::get(&["state", "diff"])
        .query("format", args.format.word(&client))
        .query("from", &args.from)
        .query_if("to", args.to.as_ref());
    print(&client.send(request)?)
}

/// Text ends with a line break, JSON does not.
fn print(answer: &Answer) -> Result<(), Failure> {
    if answer.text.is_empty() || answer.text.ends_with('\n') {
        output::text(&answer.text)
    } else {
        output::line(&answer.text)
    }
}
