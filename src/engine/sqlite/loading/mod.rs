//! Makes a database of a file that others wrote: SQL text, or a database file.
//!
//! This runs in a child process, under its bounds, on a file that is thrown away unless all of it
//! is well. `splitter.rs` reads statements from a text of any length, `script.rs` runs them,
//! `broken_text.rs` keeps texts that are no UTF-8,
//! `virtual_tables.rs` rebuilds what a dump has of FTS and R*Tree tables, `copy.rs` takes a database
//! file over, `quoted_text.rs` writes texts as the gateway reads them, `check.rs` and
//! `served_schema.rs` look whether the gateway can serve what came of it.
mod broken_text;
mod check;
mod copy;
mod outcome;
mod quoted_text;
mod script;
mod served_schema;
mod splitter;
mod target;
mod virtual_tables;
mod words;

use self::outcome::unreadable;
use super::files::MAIN_FILE;
use crate::domain::load::LoadForm;
use crate::engine::loading::{LoadOrder, LoadReport};
use crate::runtime::child::{ChildFailure, ChildFailureCode, ChildProgress};
use crate::unpacked_file::UnpackedFile;
use std::fs::File;
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
        // Once was unpacked already.
        (b"\x1f\x8b", "compressed twice: unpack it once"),
        (b"\x28\xb5\x2f\xfd", "compressed twice: unpack it once"),
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
