//! Whether a worker could work: is its database there, and is it one?
use super::files::MAIN_FILE;
use crate::engine::DataFileError;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What every SQLite file begins with: <https://www.sqlite.org/fileformat2.html#magic_header_string>.
const HEADER: &[u8; 16] = b"SQLite format 3\0";

/// A regular `main.db` that begins as SQLite's files do, or is empty, as a new one is until its
/// first page is written. Reads 16 bytes.
pub(super) fn check(folder: &Path) -> Result<(), DataFileError> {
    let path = folder.join(MAIN_FILE);
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => DataFileError::Missing,
        _ => DataFileError::Io {
            action: "read the database's file",
            reason: error.to_string(),
        },
    };
    // Not followed: a link in a database's folder leads to what is not the database's.
    let kind = path.symlink_metadata().map_err(unreadable)?.file_type();
    if !kind.is_file() {
        return Err(DataFileError::Missing);
    }
    let mut start = Vec::with_capacity(HEADER.len());
    let file = File::open(&path).map_err(unreadable)?;
    file.take(HEADER.len() as u64)
        .read_to_end(&mut start)
        .map_err(unreadable)?;
    if start.is_empty() || start == HEADER {
        Ok(())
    } else {
        Err(DataFileError::NotADatabase {
            reason: "it does not begin as SQLite's files do".to_owned(),
        })
    }
}
