//! Audit commands: SQL on the history, the head of the log, signed checkpoints.
use crate::cli::client::connection::client::{Client, GatewayArgs};
use crate::cli::client::connection::pages;
use crate::cli::client::connection::pages::Columns;
use crate::cli::client::connection::request::Request;
use crate::cli::client::sql::statement;
use crate::cli::client::sql::statement::StatementArgs;
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use crate::cli::terminal::table::Table;
use crate::config::Environment;
use serde::Deserialize;

const COLUMNS: &Columns = &[
    ("SEQUENCE", "/sequence"),
    ("TIME", "/time"),
    ("HASH", "/hash"),
    ("KEY", "/key_id"),
];

/// `dbforge audit`.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum AuditCommand {
    /// Query the history in SQL; tables: events, jobs, databases, labels, tokens
    Sql(StatementArgs),
    /// Show the last event's sequence, time and hash
    Head(AuditArgs),
    /// Sign a checkpoint of the event log and print it; store it elsewhere
    Checkpoint(AuditArgs),
    /// List signed checkpoints; --json prints the format of `log verify --checkpoints`
    Checkpoints(AuditArgs),
    /// Print the public key that verifies checkpoints
    Key(AuditArgs),
}

/// Options of the commands without any of their own.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AuditArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
}

#[derive(Deserialize)]
struct Head {
    sequence: u64,
    time: String,
    hash: String,
}

#[derive(Deserialize)]
struct Key {
    public_key: String,
}

/// Runs an audit command.
pub(in crate::cli) fn run(
    command: &AuditCommand,
    environment: &dyn Environment,
) -> Result<(), Failure> {
    match command {
        AuditCommand::Sql(args) => statement::ask(&["audit", "query"], args, false, environment),
        AuditCommand::Head(args) => head(args, environment),
        AuditCommand::Checkpoint(args) => checkpoint(args, environment),
        AuditCommand::Checkpoints(args) => checkpoints(args, environment),
        AuditCommand::Key(args) => key(args, environment),
    }
}

fn head(args: &AuditArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    let answer = client.send(Request::get(&["audit", "head"]))?;
    if client.json {
        return output::line(&answer.text);
    }
    let head: Head = answer.read()?;
    let mut table = Table::headed(["SEQUENCE", "TIME", "HASH"]);
    table.row([head.sequence.to_string(), head.time, head.hash]);
    output::text(table)
}

/// Printed as the gateway sent it: it is a line of the file of checkpoints.
fn checkpoint(args: &AuditArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    let answer = client.send(Request::post(&["audit", "checkpoints"]))?;
    output::line(&answer.text)
}

fn checkpoints(args: &AuditArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    let list = pages::fetch(&client, None, || Request::get(&["audit", "checkpoints"]))?;
    pages::print(&client, &list, COLUMNS)
}

fn key(args: &AuditArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    let answer = client.send(Request::get(&["audit", "key"]))?;
    if client.json {
        return output::line(&answer.text);
    }
    let key: Key = answer.read()?;
    output::line(key.public_key)
}
