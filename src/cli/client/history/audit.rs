//! Audit commands: SQL on the history, the head of the log, signed checkpoints.
use crate::cli::client::connection::client::{Client, Invocation};
use crate::cli::client::connection::pages;
use crate::cli::client::connection::pages::Columns;
use crate::cli::client::connection::request::Request;
use crate::cli::client::sql::statement;
use crate::cli::client::sql::statement::StatementArgs;
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use crate::cli::terminal::table::Table;
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
    Head,
    /// Sign a checkpoint of the event log and print it; store it elsewhere
    Checkpoint,
    /// List signed checkpoints; --json prints the format of `log verify --checkpoints`
    Checkpoints,
    /// Print the public key that verifies checkpoints
    Key,
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
    invocation: Invocation<'_>,
) -> Result<(), Failure> {
    match command {
        AuditCommand::Sql(args) => statement::ask(&["audit", "query"], args, false, invocation),
        AuditCommand::Head => head(invocation),
        AuditCommand::Checkpoint => checkpoint(invocation),
        AuditCommand::Checkpoints => checkpoints(invocation),
        AuditCommand::Key => key(invocation),
    }
}

fn head(invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
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
fn checkpoint(invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let answer = client.send(Request::post(&["audit", "checkpoints"]))?;
    output::line(&answer.text)
}

fn checkpoints(invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let list = pages::fetch(&client, || Request::get(&["audit", "checkpoints"]))?;
    pages::print(&client, &list, COLUMNS)
}

fn key(invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let answer = client.send(Request::get(&["audit", "key"]))?;
    if client.json {
        return output::line(&answer.text);
    }
    let key: Key = answer.read()?;
    output::line(key.public_key)
}
