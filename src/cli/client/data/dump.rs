//! `dbforge dump`: a whole database as SQL or as a SQLite file. A download that breaks off goes on
//! where it was.
use super::export::{broken_off, refuse_binary_on_terminal, said};
use super::file_names::{Compression, suffixes};
use super::interrupt::Interrupts;
use super::output_file::{Output, unwritable};
use super::progress_bar::Bar;
use crate::cli::client::connection::client::{Client, Invocation};
use crate::cli::client::connection::request::Request;
use crate::cli::client::connection::transfer::Rest;
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

/// How often a download is resumed in a row without a byte in between.
const MOST_TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// `dbforge dump`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DumpArgs {
    /// Name or id of the database
    name: String,
    /// Write to this file, which replaces an existing one once it is whole [default: the standard
    /// output]. Its suffixes choose format and compression: shop.sql.zst
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to write [default: by the file's suffix, else sql]
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Compress the file [default: by its suffix]
    #[arg(long, value_enum)]
    compress: Option<Compression>,
}

/// Formats of whole databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FileFormat {
    /// SQL that the sqlite3 shell loads
    Sql,
    /// A SQLite database file
    Sqlite,
}

/// Downloads a whole database.
pub(in crate::cli) fn dump(args: &DumpArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let (suffix, packed) = args.output.as_deref().map(suffixes).unwrap_or_default();
    let of_file = suffix.and_then(|suffix| match suffix.as_str() {
        "db" | "sqlite" | "sqlite3" | "db3" => Some(FileFormat::Sqlite),
        "sql" => Some(FileFormat::Sql),
        _ => None,
    });
    let format = args.format.or(of_file).unwrap_or(FileFormat::Sql);
    let word = match format {
        FileFormat::Sql => "sql",
        FileFormat::Sqlite => "sqlite",
    };
    let compression = args.compress.or(packed).map(Compression::word);
    let is_binary = compression.is_some() || format == FileFormat::Sqlite;
    refuse_binary_on_terminal(args.output.as_deref(), is_binary)?;
    let request = Request::get(&["databases", &args.name, "export"])
        .query("format", word)
        .query_if("compress", compression.as_ref());
    let interrupts = Interrupts::watch();
    let bar = Bar::bytes("dumping", None);
    let mut download = Download {
        client: &client,
        request: &request,
        interrupts: &interrupts,
        bar: &bar,
        tag: None,
        bytes: 0,
    };
    let answer = client.receive_file(&request, None)?;
    let left_out = answer.headers().get("x-dbforge-left-out");
    let left_out = left_out.and_then(|names| names.to_str().ok().map(str::to_owned));
    let mut out = Output::open(args.output.as_deref())?;
    interrupts.end_with(out.partial());
    download.take_all(answer, &mut out)?;
    let bytes = download.bytes;
    drop(bar);
    let is_file = out.is_file();
    out.end()?;
    if let Some(names) = left_out {
        output::note(format_args!(
            "rows left out of full-text tables that keep an index alone: {names}"
        ));
    }
    if is_file {
        said(&client, bytes, args.output.as_deref())?;
    }
    Ok(())
}

/// A download on its way.
struct Download<'d> {
    client: &'d Client,
    request: &'d Request,
    interrupts: &'d Interrupts,
    bar: &'d Bar,
    /// The tag of the file that comes.
    tag: Option<String>,
    bytes: u64,
}

impl Download<'_> {
    fn take_all(
        &mut self,
        mut answer: ureq::http::Response<ureq::Body>,
        out: &mut Output,
    ) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            self.tag = (answer.headers().get("etag"))
                .and_then(|tag| tag.to_str().ok())
                .map(str::to_owned);
            let before = self.bytes;
            let Err(failure) = self.some(answer, out)? else {
                return Ok(());
            };
            tries = if self.bytes > before { 1 } else { tries + 1 };
            let Some(tag) = self.tag.clone().filter(|_| tries <= MOST_TRIES) else {
                return Err(failure);
            };
            std::thread::sleep(PAUSE);
            let rest = Rest {
                from: self.bytes,
                tag,
            };
            answer = self.client.receive_file(self.request, Some(&rest))?;
            if answer.status().as_u16() != 206 {
                let message =
                    "the download broke off, and the gateway does not have the file any more";
                return Err(Failure::new(Exit::Unavailable, message).hint("start again"));
            }
        }
    }

    /// Takes what comes. Inside is the failure of a download that broke off.
    fn some(
        &mut self,
        answer: ureq::http::Response<ureq::Body>,
        out: &mut Output,
    ) -> Result<Result<(), Failure>, Failure> {
        let length = answer.headers().get("content-length");
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let total = length.map(|length| self.bytes + length);
        let mut body = (self.interrupts).stopping(answer.into_body().into_reader());
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) if total.is_some_and(|total| self.bytes < total) => {
                    let error = std::io::ErrorKind::UnexpectedEof.into();
                    return Ok(Err(broken_off(&error, self.interrupts)));
                }
                Ok(0) => return Ok(Ok(())),
                Ok(read) => read,
                Err(error) => {
                    let failure = broken_off(&error, self.interrupts);
                    if self.interrupts.count() > 0 {
                        return Err(failure);
                    }
                    return Ok(Err(failure));
                }
            };
            (out.write_all(&buffer[..read])).map_err(|error| unwritable(&error))?;
            self.bytes += read as u64;
            self.bar.set(self.bytes, total.unwrap_or(0));
        }
    }
}
