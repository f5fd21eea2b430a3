//! `dbforge load`: a dump, a script or a SQLite file as a whole database.
use super::file_names::suffixes;
use super::import::send;
use super::interrupt::Interrupts;
use super::job::{JobArgs, see_through};
use crate::cli::client::connection::client::{Client, Invocation};
use crate::cli::client::connection::request::Request;
use crate::cli::exit::Failure;
use std::path::PathBuf;

/// `dbforge load`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LoadArgs {
    /// Name or id of the database, which must exist
    name: String,
    /// The file: a dump or other SQL, or a SQLite database, also compressed with gzip or zstd; `-`
    /// reads the standard input
    file: PathBuf,
    /// What is in the file [default: by its suffix, else detected]
    #[arg(long, value_parser = ["sql", "sqlite"])]
    format: Option<String>,
    /// For a database that is not empty: `replace` moves the old one to the trash, `insert` adds to it
    #[arg(long, value_parser = ["replace", "insert"])]
    mode: Option<String>,
    #[command(flatten)]
    job: JobArgs,
}

/// Sends a file, and follows the job that loads it.
pub(in crate::cli) fn load(args: &LoadArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let (suffix, _) = suffixes(&args.file);
    let suffix = suffix.unwrap_or_default();
    let content_type = match args.format.as_deref().unwrap_or(&suffix) {
        "sql" => "application/sql",
        "sqlite" | "sqlite3" | "db" | "db3" => "application/vnd.sqlite3",
        _ => "application/octet-stream",
    };
    let request = Request::post(&["databases", &args.name, "import"])
        .query_if("mode", args.mode.as_ref())
        .query_if("format", args.format.as_ref());
    let interrupts = Interrupts::watch();
    let answer = send(&client, &request, &args.file, content_type, &interrupts)?;
    see_through(&client, &args.job, &interrupts, answer)
}
