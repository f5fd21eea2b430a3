//! `dbforge import`: rows of a file into a table.
use super::file_names::{stem, suffixes};
use super::interrupt::Interrupts;
use super::job::{JobArgs, see_through};
use super::progress_bar::Bar;
use crate::cli::client::connection::client::{Client, Invocation};
use crate::cli::client::connection::request::{Answer, Request};
use crate::cli::client::connection::transfer::Sent;
use crate::cli::exit::{Exit, Failure, OrExit};
use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::path::{Path, PathBuf};

/// `dbforge import`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ImportArgs {
    /// Name or id of the database
    name: String,
    /// The file: CSV, TSV, NDJSON or JSON, also compressed with gzip or zstd; `-` reads the standard
    /// input
    file: PathBuf,
    /// The table; created if it is missing [default: the file's name]
    #[arg(long)]
    table: Option<String>,
    /// What is in the file [default: by its suffix]
    #[arg(long, value_enum)]
    format: Option<InputFormat>,
    /// Whether a missing table is created
    #[arg(long, value_parser = ["auto", "never"])]
    create: Option<String>,
    /// Add rows, update those whose key is there, or replace all rows
    #[arg(long, value_parser = ["insert", "upsert", "replace"])]
    mode: Option<String>,
    /// With `--mode upsert`: the columns of the key, separated by commas [default: the primary key]
    #[arg(long, value_name = "COLUMNS")]
    on_conflict: Option<String>,
    /// Whether the columns of a new table get types, where all values allow it
    #[arg(long, value_parser = ["auto", "text"])]
    types: Option<String>,
    /// The text that stands for NULL in CSV [default: an empty field]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    null: Option<String>,
    /// Separates the fields of CSV: one character, or tab, comma, semicolon, pipe [default: detected]
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<String>,
    /// Whether the first line of CSV has the names of columns
    #[arg(long, value_name = "BOOL")]
    header: Option<bool>,
    /// What happens at a row that does not fit
    #[arg(long, value_parser = ["abort", "skip"])]
    on_error: Option<String>,
    /// Give up after this many skipped rows
    #[arg(long, value_name = "COUNT")]
    max_errors: Option<u64>,
    /// Keep all rows or none
    #[arg(long, value_name = "BOOL")]
    atomic: Option<bool>,
    #[command(flatten)]
    job: JobArgs,
}

/// What is in a file of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum InputFormat {
    Csv,
    Tsv,
    Ndjson,
    Json,
}

impl InputFormat {
    fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::Tsv => "text/tab-separated-values",
            Self::Ndjson => "application/x-ndjson",
            Self::Json => "application/json",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
        }
    }

    fn of_suffix(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            "ndjson" | "jsonl" => Self::Ndjson,
            "json" => Self::Json,
            _ => return None,
        })
    }
}

/// Sends a file of rows, and follows the job that imports it.
pub(in crate::cli) fn import(args: &ImportArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let is_standard = args.file == Path::new("-");
    let (suffix, _) = suffixes(&args.file);
    let of_file = suffix.and_then(|suffix| InputFormat::of_suffix(&suffix));
    let format = args.format.or(of_file).ok_or_else(|| {
        let hint = match args
            .file
            .extension()
            .is_some_and(|it| it == "sql" || it == "db")
        {
            true => "SQL and SQLite files are loaded with `dbforge load`",
            false => "name it with --format csv, tsv, ndjson or json",
        };
        Failure::new(
            Exit::Usage,
            "what is in the file is not clear from its name",
        )
        .hint(hint)
    })?;
    let table = match (&args.table, is_standard) {
        (Some(table), _) => table.clone(),
        (None, false) => stem(&args.file),
        (None, true) => {
            return Err(
                Failure::new(Exit::Usage, "the standard input has no name for the table")
                    .hint("name the table with --table NAME"),
            );
        }
    };
    let request = Request::post(&["databases", &args.name, "tables", &table, "import"])
        .query("format", format.word())
        .query_if("create", args.create.as_ref())
        .query_if("mode", args.mode.as_ref())
        .query_if("on_conflict", args.on_conflict.as_ref())
        .query_if("types", args.types.as_ref())
        .query_if("null", args.null.as_ref())
        .query_if("delimiter", args.delimiter.as_ref())
        .query_if("header", args.header.as_ref())
        .query_if("on_error", args.on_error.as_ref())
        .query_if("max_errors", args.max_errors.as_ref())
        .query_if("atomic", args.atomic.as_ref());
    let interrupts = Interrupts::watch();
    let answer = send(
        &client,
        &request,
        &args.file,
        format.content_type(),
        &interrupts,
    )?;
    see_through(&client, &args.job, &interrupts, answer)
}

/// Sends a file, or the standard input. Interrupted, it leaves nothing.
pub(super) fn send(
    client: &Client,
    request: &Request,
    file: &Path,
    content_type: &str,
    interrupts: &Interrupts,
) -> Result<Answer, Failure> {
    let (mut body, bytes): (Box<dyn Read>, Option<u64>) = if file == Path::new("-") {
        let input = std::io::stdin();
        if input.is_terminal() {
            return Err(Failure::new(Exit::Usage, "nothing is piped in"));
        }
        (Box::new(input.lock()), None)
    } else {
        let doing = || format!("cannot read {}", file.display());
        let opened = File::open(file).or_exit(Exit::Unavailable, doing())?;
        let about = opened.metadata().or_exit(Exit::Unavailable, doing())?;
        if about.is_dir() {
            return Err(Failure::new(
                Exit::Usage,
                format!("{}: it is a folder", doing()),
            ));
        }
        // Of a pipe the length says nothing.
        (Box::new(opened), about.is_file().then_some(about.len()))
    };
    let bar = Bar::bytes("sending", bytes);
    let mut body = interrupts.stopping(bar.reading(&mut body));
    let sent = Sent {
        content_type,
        bytes,
    };
    let answer = client.send_file(request, sent, &mut body);
    answer.map_err(|failure| match interrupts.count() {
        0 => failure,
        _ => Failure::new(Exit::Interrupted, "interrupted; nothing was imported"),
    })
}
