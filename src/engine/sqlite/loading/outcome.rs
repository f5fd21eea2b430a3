//! What comes of a load: counts, notes, and failures in words for the file's owner.
use crate::engine::loading::LoadOrder;
use crate::engine::sqlite::files::MAIN_FILE;
use crate::runtime::child::{ChildFailure, ChildFailureCode};
use std::fs;
use std::io;

/// What came of a file, before it is checked.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) statements: u64,
    pub(super) rows: u64,
    pub(super) notes: Notes,
}

/// More than the page cache of the database that is built.
const CACHE_BYTES: u64 = 96 << 20;
/// Most notes that are told.
const MOST_NOTES: usize = 10;
/// Most characters of one, and of a text of the file's in an error.
const LONGEST_NOTE: usize = 300;

/// What was left out or is different.
#[derive(Debug, Default)]
pub(super) struct Notes {
    first: Vec<String>,
    more: usize,
}

impl Notes {
    pub(super) fn add(&mut self, note: impl Into<String>) {
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

    pub(super) fn extend(&mut self, others: Self) {
        for note in others.first {
            self.add(note);
        }
        self.more += others.more;
    }

    pub(super) fn into_first(mut self) -> Vec<String> {
        if self.more > 0 {
            self.first.push(format!("And {} more.", self.more));
        }
        self.first
    }
}

/// The beginning of a text, for people: without control characters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let shown = |it: char| if it.is_control() { ' ' } else { it };
    let mut short: String = text.chars().take(most).map(shown).collect();
    if text.chars().nth(most).is_some() {
        short.push('…');
    }
    short
}

pub(super) fn unreadable(error: &io::Error) -> ChildFailure {
    match error.kind() {
        io::ErrorKind::FileTooLarge => ChildFailure::refused(format!(
            "the file is too large: {error}; see DBFORGE_MAX_UNPACKED_BYTES"
        )),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            ChildFailure::refused(format!(
                "the compressed file is damaged or was cut off: {error}"
            ))
        }
        io::ErrorKind::Unsupported => {
            ChildFailure::refused(format!("the file cannot be read: {error}"))
        }
        io::ErrorKind::StorageFull => {
            ChildFailure::new(ChildFailureCode::DiskFull, "the disk is full")
        }
        // zstd has no kind of its own for what is damaged.
        _ => ChildFailure::refused(format!("the file cannot be read: {error}")),
    }
}

/// What SQLite says of the database that is built, where that is not about the file itself.
pub(super) fn failure_of(error: &rusqlite::Error, order: &LoadOrder) -> Option<ChildFailure> {
    use rusqlite::ErrorCode;
    let code = error.sqlite_error_code()?;
    Some(match code {
        ErrorCode::DiskFull if is_at_its_limit(order) => ChildFailure::new(
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

/// Whether the database itself is full, and not the disk: SQLite says the same of both. What is in
/// its cache is not in the file yet.
fn is_at_its_limit(order: &LoadOrder) -> bool {
    let length = order
        .target
        .join(MAIN_FILE)
        .metadata()
        .map_or(0, |it| it.len());
    let disk_has_room = rustix::fs::statvfs(&order.target)
        .map_or(true, |it| it.f_bavail.saturating_mul(it.f_frsize) > 1 << 20);
    disk_has_room && length.saturating_add(CACHE_BYTES) >= order.size_bytes
}

pub(super) fn internal(error: &rusqlite::Error, order: &LoadOrder) -> ChildFailure {
    failure_of(error, order).unwrap_or_else(|| ChildFailure::internal(error.to_string()))
}

/// Lengths of files that SQLite makes beside the database.
pub(super) fn remove_left_over(order: &LoadOrder) -> io::Result<()> {
    for rest in ["-wal", "-shm", "-journal"] {
        match fs::remove_file(order.target.join(format!("{MAIN_FILE}{rest}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The file's own fault, with its line.
pub(super) fn refused(line: u64, what: &str) -> ChildFailure {
    ChildFailure::refused(format!("line {line}: {what}"))
}
