//! A script: the statements of a file, in one transaction.
use super::input::read_script;
use super::statement::{LONGEST, StatementArgs, milliseconds};
use crate::cli::client::connection::client::{Client, Invocation};
use crate::cli::client::connection::request::Request;
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use serde::Deserialize;
use std::path::Path;

#[derive(Debug, Deserialize)]
struct ScriptAnswer {
    statements: u64,
    rows_affected: u64,
}

/// Runs the statements of a file.
pub(super) fn run(
    database: &str,
    file: &Path,
    args: &StatementArgs,
    invocation: Invocation<'_>,
) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let script = read_script(file)?;
    let timeout = args.timeout;
    let request = Request::post(&["databases", database, "script"])
        .query_if("timeout_ms", timeout.map(milliseconds).as_ref())
        .text(script)
        .patience(timeout.unwrap_or(LONGEST).min(LONGEST));
    let answer = client.send(request)?;
    if client.json {
        return output::line(&answer.text);
    }
    let ran: ScriptAnswer = answer.read()?;
    output::note(format_args!(
        "statements: {}, rows affected: {}",
        ran.statements, ran.rows_affected
    ));
    Ok(())
}
