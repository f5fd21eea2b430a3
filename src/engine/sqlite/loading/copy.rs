//! Takes a database file over as it is: page size, encoding and auto-vacuum are its own.
use super::outcome::{Loaded, Notes, unreadable};
use crate::engine::loading::LoadOrder;
use crate::runtime::child::{ChildFailure, ChildFailureCode};
use std::fs::OpenOptions;
use std::io::{Read, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Bytes that are copied at a time.
const PORTION_BYTES: usize = 1 << 20;
/// Bytes of a database's header.
const HEADER_BYTES: usize = 100;

/// Copies the database that `input` holds to `file`.
pub(super) fn take_over(
    order: &LoadOrder,
    file: &Path,
    mut input: impl Read,
    told: &mut dyn FnMut(u64),
) -> Result<Loaded, ChildFailure> {
    if order.base.is_some() {
        return Err(ChildFailure::refused(
            "a database file cannot be inserted into a database: use mode=replace, or send its \
             dump as SQL",
        ));
    }
    let failed = |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull => {
            ChildFailure::new(ChildFailureCode::DiskFull, "the disk is full")
        }
        _ => ChildFailure::internal(format!("the database cannot be written: {error}")),
    };
    let mut copy = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .map_err(|error| failed(&error))?;
    let mut portion = vec![0; PORTION_BYTES];
    let mut length = 0_u64;
    loop {
        let read = input
            .read(&mut portion)
            .map_err(|error| unreadable(&error))?;
        if read == 0 {
            break;
        }
        length += read as u64;
        if length > order.size_bytes {
            return Err(ChildFailure::new(
                ChildFailureCode::QuotaExceeded,
                format!(
                    "the file is larger than the database may be ({} bytes); raise \
                     `limits.size_bytes`",
                    order.size_bytes
                ),
            ));
        }
        copy.write_all(&portion[..read])
            .map_err(|error| failed(&error))?;
        told(0);
    }
    let mut header = [0; HEADER_BYTES];
    if length < HEADER_BYTES as u64 || copy.read_exact_at(&mut header, 0).is_err() {
        return Err(ChildFailure::refused(
            "the file is cut off inside its header",
        ));
    }
    let mut notes = Notes::default();
    check_header(&header, length, &mut notes)?;
    // As a rollback-journal database it opens without a WAL beside it; it is made a WAL one at the
    // end, by SQLite.
    copy.write_all_at(&[1, 1], 18)
        .map_err(|error| failed(&error))?;
    Ok(Loaded {
        notes,
        ..Loaded::default()
    })
}

/// The file format, section 1.3.
fn check_header(
    header: &[u8; HEADER_BYTES],
    length: u64,
    notes: &mut Notes,
) -> Result<(), ChildFailure> {
    let word = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    if !page_bytes.is_power_of_two() || page_bytes < 512 {
        return Err(ChildFailure::refused(format!(
            "the file is damaged: its header says that a page has {page_bytes} bytes"
        )));
    }
    let (writes, reads) = (header[18], header[19]);
    if !(1..=2).contains(&writes) || !(1..=2).contains(&reads) {
        return Err(ChildFailure::refused(format!(
            "the file has a format that this SQLite does not know (version {writes}/{reads})"
        )));
    }
    if writes == 2 {
        notes.add(
            "The file was in WAL mode: what its program had not brought from a `-wal` file into it \
             is not in it.",
        );
    }
    // The size in the header counts only where its change counter says that it is up to date.
    let pages = u64::from(word(28));
    let is_told = word(24) == word(92) && pages > 0;
    if is_told && pages * page_bytes > length {
        return Err(ChildFailure::refused(format!(
            "the file is cut off, or was copied while a program wrote to it (a hot journal): it has \
             {length} bytes, and its header says {}; copy it with `sqlite3 FILE \".backup COPY\"`",
            pages * page_bytes
        )));
    }
    if !length.is_multiple_of(page_bytes) {
        return Err(ChildFailure::refused(format!(
            "the file is cut off: {length} bytes are no whole number of pages of {page_bytes}"
        )));
    }
    Ok(())
}
