//! Segments: the files of a journal, numbered from 1, `00000001.journal`.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Readable by the gateway's user alone: the log holds hashes of tokens.
const FILE_MODE: u32 = 0o600;

/// Where a frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The number of its segment.
    pub segment: u32,
    /// Bytes from the beginning of that file.
    pub offset: u64,
}

/// The path of a segment in a journal's folder.
pub(crate) fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.journal"))
}

/// The numbers of the segments in a folder, ascending; none where the folder is missing.
///
/// # Errors
/// When the folder cannot be listed.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let file = entry?.path();
        let number: Option<u32> = file
            .file_stem()
            .and_then(|it| it.to_str())
            .and_then(|it| it.parse().ok());
        let number = number.filter(|number| path(folder, *number) == file);
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads into `buffer` what a segment holds at this moment; a segment ends near its bound, so
/// memory does too.
///
/// # Errors
/// When it cannot be opened or read to the length it has.
pub(crate) fn read(folder: &Path, number: u32, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    let file = File::open(path(folder, number))?;
    let length = file.metadata()?.len();
    file.take(length).read_to_end(buffer)?;
    Ok(())
}

/// Opens a segment for writing, making it where it is missing.
///
/// # Errors
/// When that is not possible.
pub(crate) fn open_for_append(folder: &Path, number: u32) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path(folder, number))
}

/// Makes a folder's list of files survive power loss.
///
/// # Errors
/// When the disk does not take it.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
