//! Lists or follows events.
use crate::cli::client::connection::client::{Client, Invocation};
use crate::cli::client::connection::names::Names;
use crate::cli::client::connection::pages;
use crate::cli::client::connection::pages::{Columns, at_least_one};
use crate::cli::client::connection::request::Request;
use crate::cli::client::connection::streams;
use crate::cli::exit::Failure;

const COLUMNS: &Columns = &[
    ("SEQUENCE", "/sequence"),
    ("TIME", "/time"),
    ("KIND", "/kind"),
    ("ACTOR", "/actor"),
    ("DATABASE", "/database"),
    ("JOB", "/job"),
];

/// `dbforge events`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct EventsArgs {
    /// Only events after this sequence, oldest first [default: the latest]
    #[arg(long, value_name = "SEQUENCE")]
    after: Option<u64>,
    /// Only events of this database (name or id)
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Only events of this kind, such as `database_ready`
    #[arg(long)]
    kind: Option<String>,
    /// Print new events as they happen, or all after `--after`, until interrupted
    #[arg(long, conflicts_with = "limit")]
    follow: bool,
    /// Show at most this many
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = at_least_one())]
    limit: u32,
}

/// Lists events, oldest first.
pub(in crate::cli) fn events(args: &EventsArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    if args.follow {
        return streams::follow(&client, || {
            Request::get(&["events"])
                .query_if("after", args.after.as_ref())
                .query_if("database", args.database.as_ref())
                .query_if("kind", args.kind.as_ref())
        });
    }
    let latest_first = args.after.is_none().then_some("desc");
    let mut events = pages::fetch_some(&client, args.limit, || {
        Request::get(&["events"])
            .query_if("after", args.after.as_ref())
            .query_if("order", latest_first.as_ref())
            .query_if("database", args.database.as_ref())
            .query_if("kind", args.kind.as_ref())
    })?;
    if latest_first.is_some() {
        events.reverse();
    }
    let names = Names::of(&client);
    pages::print_with(&client, &events, COLUMNS, |event| names.put_into(event))
}
