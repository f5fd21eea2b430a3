//! Segments: the files of a journal, numbered from 1, `00000001.journal`.
//!
//! A sealed one may lie in the folder `archive` instead, which may be a link to another disk: it
//! is read there, and never written.
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Readable by the gateway's user alone: the log holds hashes of tokens.
const FILE_MODE: u32 = 0o600;

/// The same for folders.
const FOLDER_MODE: u32 = 0o700;

const ARCHIVE: &str = "archive";

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

/// Whether a segment lies in the archive alone.
pub(crate) fn is_archived(folder: &Path, number: u32) -> bool {
    !path(folder, number).exists() && path(&folder.join(ARCHIVE), number).exists()
}

/// Opens a segment for reading, wherever it lies.
///
/// # Errors
/// When it is in neither place, or cannot be opened.
pub(crate) fn open(folder: &Path, number: u32) -> io::Result<File> {
    match File::open(path(folder, number)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::open(path(&folder.join(ARCHIVE), number))
        }
        other => other,
    }
}

/// The numbers of a journal's segments, ascending; none where the folder is missing.
///
/// # Errors
/// When a folder cannot be listed.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = list_one(folder)?;
    // Listed second, so that one which is moved there at this moment is seen.
    numbers.extend(list_one(&folder.join(ARCHIVE))?);
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

fn list_one(folder: &Path) -> io::Result<Vec<u32>> {
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
    Ok(numbers)
}

/// Reads into `buffer` what a segment holds at this moment; a segment ends near its bound, so
/// memory does too.
///
/// # Errors
/// When it cannot be opened or read to the length it has.
pub(crate) fn read(folder: &Path, number: u32, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    let file = open(folder, number)?;
    let length = file.metadata()?.len();
    // Else it would double on its way there, with both halves in memory.
    buffer.reserve_exact(usize::try_from(length).unwrap_or(0));
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

/// Makes a folder that only the gateway's user can look into, where it is missing, and those
/// above it; they survive power loss.
///
/// # Errors
/// When that is not possible.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    // The folder itself among them: a crash may have come between making and syncing it.
    let unsure = 1 + folder
        .ancestors()
        .take_while(|it| !it.is_dir())
        .skip(1)
        .count();
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder)?;
    for above in folder.ancestors().skip(1).take(unsure) {
        let is_here = above.as_os_str().is_empty();
        sync_folder(if is_here { Path::new(".") } else { above })?;
    }
    Ok(())
}

/// Makes a folder's list of files survive power loss.
///
/// # Errors
/// When the disk does not take it.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
