//! Commands on databases: create, list, show.
use super::connection::client::{Client, GatewayArgs};
use super::connection::pages;
use super::connection::pages::Columns;
use super::connection::request::Request;
use super::jobs::{WaitArgs, carry_out};
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use crate::cli::terminal::table::{Table, cell};
use crate::config::Environment;
use crate::domain::database::DatabaseState;
use serde_json::{Map, Value};

const COLUMNS: &Columns = &[
    ("NAME", "/name"),
    ("STATE", "/state"),
    ("WORKER", "/worker/state"),
    ("BYTES", "/size_bytes"),
    ("EXPIRES", "/expires_at"),
    ("LABELS", "/labels"),
];

/// `dbforge create`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CreateArgs {
    /// Name of the database
    name: String,
    /// Delete it automatically after this time: 30s, 15m, 2h, 7d
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// A label; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Protect it from deletion
    #[arg(long)]
    protect: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// `dbforge list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Only databases in this state
    #[arg(long, value_parser = state_words())]
    state: Option<String>,
    /// Only databases with this label
    #[arg(long, value_name = "KEY=VALUE")]
    label: Option<String>,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// `dbforge show`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowArgs {
    /// Name or id of the database
    name: String,
    #[command(flatten)]
    gateway: GatewayArgs,
}

fn state_words() -> clap::builder::PossibleValuesParser {
    DatabaseState::ALL.iter().map(|it| it.as_str()).into()
}

/// Creates a database.
pub(in crate::cli) fn create(
    args: &CreateArgs,
    environment: &dyn Environment,
) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    let command = Request::post(&["databases"]).body(wanted(args));
    carry_out(&client, &args.wait, command)
}

fn wanted(args: &CreateArgs) -> Value {
    let mut wanted = Map::new();
    wanted.insert("name".into(), args.name.as_str().into());
    if let Some(ttl) = &args.ttl {
        wanted.insert("ttl".into(), ttl.as_str().into());
    }
    if !args.labels.is_empty() {
        let labels = args.labels.iter();
        let labels = labels.map(|(key, value)| (key.clone(), value.as_str().into()));
        wanted.insert("labels".into(), Value::Object(labels.collect()));
    }
    if args.protect {
        wanted.insert("protect".into(), true.into());
    }
    wanted.into()
}

/// Lists databases.
pub(in crate::cli) fn list(args: &ListArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    let all = pages::fetch(&client, None, || {
        Request::get(&["databases"])
            .query_if("state", args.state.as_ref())
            .query_if("label", args.label.as_ref())
    })?;
    pages::print(&client, &all, COLUMNS)
}

/// Shows one database.
pub(in crate::cli) fn show(args: &ShowArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    let answer = client.send(Request::get(&["databases", &args.name]))?;
    if client.json {
        return output::line(&answer.text);
    }
    output::text(in_full(&answer.read()?))
}

fn in_full(database: &Value) -> Table {
    let mut table = Table::default();
    for (label, pointer) in [
        ("name", "/name"),
        ("id", "/id"),
        ("host", "/host"),
        ("engine", "/engine"),
        ("state", "/state"),
        ("worker", "/worker/id"),
        ("worker state", "/worker/state"),
        ("bytes", "/size_bytes"),
        ("limits", "/limits"),
        ("labels", "/labels"),
        ("protected", "/protected"),
        ("expires", "/expires_at"),
        ("created", "/created_at"),
        ("sequence", "/sequence"),
    ] {
        table.row([label, &cell(database, pointer)]);
    }
    table
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE"),
    }
}
