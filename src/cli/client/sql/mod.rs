//! Runs a SQL statement or a script, and prints the rows.
mod input;
mod rows;
mod script;
pub(in crate::cli) mod statement;

use self::statement::StatementArgs;
use crate::cli::client::connection::client::Invocation;
use crate::cli::exit::Failure;
use std::path::PathBuf;

/// `dbforge sql`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SqlArgs {
    /// Name or id of the database
    name: String,
    /// Refuse statements that write
    #[arg(long)]
    readonly: bool,
    /// Run the statements of this file in one transaction; `-` reads the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sql", "params", "format", "readonly", "max_rows"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    statement: StatementArgs,
}

/// Runs one statement.
pub(in crate::cli) fn sql(args: &SqlArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    if let Some(file) = &args.file {
        return script::run(&args.name, file, &args.statement, invocation);
    }
    let route = ["databases", &args.name, "query"];
    statement::ask(&route, &args.statement, args.readonly, invocation)
}
