//! `dbforge export`: the rows of a table or a query, to a file or the standard output.
use super::file_names::{Compression, suffixes};
use super::interrupt::Interrupts;
use super::output_file::{Output, unwritable};
use super::progress_bar::Bar;
use crate::cli::client::connection::client::{Client, Invocation};
use crate::cli::client::connection::request::Request;
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use serde_json::json;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// `dbforge export`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExportArgs {
    /// Name or id of the database
    name: String,
    /// The table or view to export
    #[arg(required_unless_present = "query", conflicts_with = "query")]
    table: Option<String>,
    /// Export the rows of this statement, which must only read
    #[arg(long, value_name = "SQL")]
    query: Option<String>,
    /// Write to this file, which replaces an existing one once it is whole [default: the standard
    /// output]. Its suffixes choose format and compression: users.csv.gz
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Format of the rows [default: by the file's suffix, else csv]
    #[arg(long, value_enum)]
    format: Option<RowFormat>,
    /// Compress the file [default: by its suffix]
    #[arg(long, value_enum)]
    compress: Option<Compression>,
    /// Keep spreadsheets from running CSV texts that begin with = + - @
    #[arg(long)]
    escape_formulas: bool,
}

/// Formats of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum RowFormat {
    /// RFC 4180 with a header line
    Csv,
    /// A JSON object per line
    Ndjson,
    /// A JSON array of objects
    Json,
    /// INSERT statements
    Sql,
    /// For tools that read by columns; only where the gateway was built with it
    Parquet,
}

impl RowFormat {
    fn word(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Sql => "sql",
            Self::Parquet => "parquet",
        }
    }

    fn of_suffix(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "csv" => Self::Csv,
            "ndjson" | "jsonl" => Self::Ndjson,
            "json" => Self::Json,
            "sql" => Self::Sql,
            "parquet" => Self::Parquet,
            _ => return None,
        })
    }
}

/// Exports rows.
pub(in crate::cli) fn export(args: &ExportArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let (suffix, packed) = args.output.as_deref().map(suffixes).unwrap_or_default();
    let of_file = suffix.and_then(|suffix| RowFormat::of_suffix(&suffix));
    let format = args.format.or(of_file).unwrap_or(RowFormat::Csv);
    let request = match (&args.table, &args.query) {
        (Some(table), _) => Request::get(&["databases", &args.name, "tables", table, "export"]),
        (None, query) => {
            let query = query.as_deref().unwrap_or_default();
            Request::post(&["databases", &args.name, "export"]).body(json!({ "sql": query }))
        }
    };
    let compression = args.compress.or(packed).map(Compression::word);
    let request = request
        .query("format", format.word())
        .query_if("compress", compression.as_ref())
        .query_if(
            "formulas",
            args.escape_formulas.then_some("escape").as_ref(),
        );
    let is_binary = compression.is_some() || format == RowFormat::Parquet;
    refuse_binary_on_terminal(args.output.as_deref(), is_binary)?;
    let interrupts = Interrupts::watch();
    let answer = client.receive_file(&request, None)?;
    let mut out = Output::open(args.output.as_deref())?;
    interrupts.end_with(out.partial());
    let bar = Bar::bytes("exporting", None);
    let body = interrupts.stopping(bar.reading(answer.into_body().into_reader()));
    let bytes = copied(body, &mut out, &interrupts)?;
    drop(bar);
    let is_file = out.is_file();
    out.end()?;
    if is_file {
        said(&client, bytes, args.output.as_deref())?;
    }
    Ok(())
}

/// Copies a body to its end.
fn copied(mut body: impl Read, out: &mut Output, interrupts: &Interrupts) -> Result<u64, Failure> {
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0;
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(read) => read,
            Err(error) => return Err(broken_off(&error, interrupts)),
        };
        (out.write_all(&buffer[..read])).map_err(|error| unwritable(&error))?;
        bytes += read as u64;
    }
}

/// The failure of a body that ended early.
pub(super) fn broken_off(error: &io::Error, interrupts: &Interrupts) -> Failure {
    if interrupts.count() > 0 {
        return Failure::new(Exit::Interrupted, "interrupted; the export is not complete");
    }
    let message = format!("the export ended early: {error}");
    Failure::new(Exit::Unavailable, message).hint(
        "the gateway's log says why, at level debug; a statement may have failed at a later row",
    )
}

pub(super) fn refuse_binary_on_terminal(
    file: Option<&Path>,
    is_binary: bool,
) -> Result<(), Failure> {
    use std::io::IsTerminal as _;
    let goes_to_terminal =
        file.is_none_or(|file| file == Path::new("-")) && io::stdout().is_terminal();
    if !(is_binary && goes_to_terminal) {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Usage,
        "this is no text, and would be written to the terminal",
    )
    .hint("name a file with --output FILE"))
}

/// Says what was written.
pub(super) fn said(client: &Client, bytes: u64, file: Option<&Path>) -> Result<(), Failure> {
    let file = file.map(|file| file.display().to_string());
    if client.json {
        return output::line(json!({ "file": file, "bytes": bytes }));
    }
    output::note(format_args!(
        "wrote {bytes} bytes to {}",
        file.unwrap_or_default()
    ));
    Ok(())
}
