//! Makes a database of a file that others wrote: SQL text, or a database file.
//!
//! This runs in a child process, under its bounds, on a file that is thrown away unless all of it
//! is well. `splitter.rs` reads statements from a text of any length, `script.rs` runs them,
//! `virtual_tables.rs` rebuilds what a dump has of FTS and R*Tree tables, `copy.rs` takes a database
//! file over, `check.rs` looks whether the gateway can serve what came of it.
mod check;
mod copy;
mod script;
mod splitter;
mod target;
mod virtual_tables;
mod words;

use super::files::MAIN_FILE;
use crate::domain::load::LoadForm;
use crate::engine::loading::{LoadOrder, LoadReport};
use crate::runtime::child::{ChildFailure, ChildFailureCode, ChildProgress};
use crate::unpacked_file::UnpackedFile;
use std::fs::{self, File};
use std::io::{self, Read as _};

/// What a database file begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Builds the database in `order.target`.
pub(super) fn load(
    order: &LoadOrder,
    report: &mut dyn FnMut(ChildProgress),
) -> Result<LoadReport, ChildFailure> {
    let file = File::open(&order.source).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ChildFailure::new(
            ChildFailureCode::DataMissing,
            "the upload is gone: it was deleted, or its time was over; send the file again",
        ),
        _ => unreadable(&error),
    })?;
    let of_bytes = file.metadata().map_err(|error| unreadable(&error))?.len();
    let mut input = UnpackedFile::new(file, order.most_unpacked).map_err(|it| unreadable(&it))?;
    let read_so_far = input.position();
    let mut first = [0; MAGIC.len()];
    let length = read_full(&mut input, &mut first)?;
    let first = &first[..length];
    let form = form_of(first, order.form)?;
    let input = io::Cursor::new(first.to_vec()).chain(input);
    let mut told = |rows| {
        report(ChildProgress {
            bytes: read_so_far.bytes(),
            of_bytes,
            rows,
        });
    };
    let file = order.target.join(MAIN_FILE);
    let loaded = match form {
        LoadForm::Sql => script::run(order, &file, input, &mut told)?,
        LoadForm::File => copy::take_over(order, &file, input, &mut told)?,
    };
    let checked = check::finish(order, &file)?;
    let mut notes = loaded.notes;
    notes.extend(checked.notes);
    Ok(LoadReport {
        form,
        statements: loaded.statements,
        rows: loaded.rows,
        tables: checked.tables,
        size_bytes: checked.size_bytes,
        foreign_key_violations: checked.foreign_key_violations,
        notes: notes.into_first(),
    })
}

/// What came of a file, before it is checked.
#[derive(Debug, Default)]
struct Loaded {
    statements: u64,
    rows: u64,
    notes: Notes,
}

/// Most notes that are told.
const MOST_NOTES: usize = 10;
/// Most characters of one, and of a text of the file's in an error.
const LONGEST_NOTE: usize = 300;

/// What was left out or is different.
#[derive(Debug, Default)]
struct Notes {
    first: Vec<String>,
    more: usize,
}

impl Notes {
    fn add(&mut self, note: impl Into<String>) {
        let note = shortened(&note.into(), LONGEST_NOTE);
        if self.first.contains(&note) {
            return;
        }
        if self.first.len() == MOST_NOTES {
            self.more += 1;
            return;
        }
        self.first.push(note);
    }

    fn extend(&mut self, others: Self) {
        for note in others.first {
            self.add(note);
        }
        self.more += others.more;
    }

    fn into_first(mut self) -> Vec<String> {
        if self.more > 0 {
            self.first.push(format!("And {} more.", self.more));
        }
        self.first
    }
}

/// The beginning of a text, for people: without control characters.
fn shortened(text: &str, most: usize) -> String {
    let shown = |it: char| if it.is_control() { ' ' } else { it };
    let mut short: String = text.chars().take(most).map(shown).collect();
    if text.chars().nth(most).is_some() {
        short.push('…');
    }
    short
}

fn read_full(input: &mut UnpackedFile, into: &mut [u8]) -> Result<usize, ChildFailure> {
    let mut length = 0;
    while length < into.len() {
        match input
            .read(&mut into[length..])
            .map_err(|it| unreadable(&it))?
        {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// What the file is, by its first bytes.
fn form_of(first: &[u8], said: Option<LoadForm>) -> Result<LoadForm, ChildFailure> {
    const OTHERS: &[(&[u8], &str)] = &[
        (b"PGDMP", "a PostgreSQL archive (pg_dump -Fc)"),
        (b"PK\x03\x04", "a ZIP archive: unpack it first"),
        (
            b"BZh",
            "compressed by bzip2: send it plain, or by gzip or zstd",
        ),
        (
            b"\xfd7zXZ\0",
            "compressed by xz: send it plain, or by gzip or zstd",
        ),
        (b"PAR1", "a Parquet file"),
        (b"DUCK", "a DuckDB database"),
        (
            b"\x37\x7f\x06\x82",
            "a write-ahead log (-wal): send the database file itself, after `PRAGMA wal_checkpoint(TRUNCATE)`",
        ),
        (
            b"\x37\x7f\x06\x83",
            "a write-ahead log (-wal): send the database file itself, after `PRAGMA wal_checkpoint(TRUNCATE)`",
        ),
        (
            b"\xd9\xd5\x05\xf9",
            "a rollback journal (-journal): send the database file itself, after it was opened once",
        ),
    ];
    if first == MAGIC {
        return Ok(LoadForm::File);
    }
    if first.is_empty() {
        return Err(ChildFailure::refused("the file is empty"));
    }
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Err(ChildFailure::refused(format!("the file is {what}")));
    }
    if first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff") {
        return Err(ChildFailure::refused(
            "the text is in UTF-16: convert it to UTF-8, for example with \
             `iconv -f UTF-16 -t UTF-8`",
        ));
    }
    let is_text = !first.iter().any(|byte| matches!(byte, 0..=8 | 14..=31));
    if is_text && said != Some(LoadForm::File) {
        return Ok(LoadForm::Sql);
    }
    Err(ChildFailure::refused(
        "the file is no SQLite database: it does not begin with `SQLite format 3`. It may be \
         encrypted (SQLCipher, SEE): decrypt it first, or send a dump as SQL",
    ))
}

fn unreadable(error: &io::Error) -> ChildFailure {
    match error.kind() {
        io::ErrorKind::FileTooLarge => ChildFailure::refused(format!(
            "the file is too large: {error}; see DBFORGE_MAX_UNPACKED_BYTES"
        )),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            ChildFailure::refused(format!(
                "the compressed file is damaged or was cut off: {error}"
            ))
        }
        io::ErrorKind::StorageFull => {
            ChildFailure::new(ChildFailureCode::DiskFull, "the disk is full")
        }
        // zstd has no kind of its own for what is damaged.
        _ => ChildFailure::refused(format!("the file cannot be read: {error}")),
    }
}

/// What SQLite says of the database that is built, where that is not about the file itself.
fn failure_of(error: &rusqlite::Error, order: &LoadOrder) -> Option<ChildFailure> {
    use rusqlite::ErrorCode;
    let code = error.sqlite_error_code()?;
    Some(match code {
        ErrorCode::DiskFull if has_room(order) => ChildFailure::new(
            ChildFailureCode::QuotaExceeded,
            format!(
                "the database would become larger than its limit of {} bytes; raise \
                 `limits.size_bytes`",
                order.size_bytes
            ),
        ),
        ErrorCode::DiskFull => ChildFailure::new(ChildFailureCode::DiskFull, "the disk is full"),
        ErrorCode::OutOfMemory => ChildFailure::new(
            ChildFailureCode::OutOfMemory,
            "the file takes more memory than an import may use",
        ),
        ErrorCode::SystemIoFailure => ChildFailure::internal(format!("the disk failed: {error}")),
        _ => return None,
    })
}

/// Whether the disk has room, so that a full database is full by its own limit.
fn has_room(order: &LoadOrder) -> bool {
    rustix::fs::statvfs(&order.target)
        .map_or(true, |it| it.f_bavail.saturating_mul(it.f_frsize) > 1 << 20)
}

fn internal(error: &rusqlite::Error, order: &LoadOrder) -> ChildFailure {
    failure_of(error, order).unwrap_or_else(|| ChildFailure::internal(error.to_string()))
}

/// Lengths of files that SQLite makes beside the database.
fn remove_left_over(order: &LoadOrder) -> io::Result<()> {
    for rest in ["-wal", "-shm", "-journal"] {
        match fs::remove_file(order.target.join(format!("{MAIN_FILE}{rest}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
