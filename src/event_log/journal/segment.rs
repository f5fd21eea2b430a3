//! Segments: the files of a journal, numbered from 1, `00000001.journal`.
//!
//! A sealed one may lie in the folder `archive` instead, which may be a link to another disk, as
//! it was or compressed (`00000001.journal.zst`): it is read there, and never written.
use super::compressed::{self, Compressed};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
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

/// The folder of a journal's archive.
pub(crate) fn archive(folder: &Path) -> PathBuf {
    folder.join(ARCHIVE)
}

/// The path of a compressed segment in a journal's archive.
pub(crate) fn compressed_path(folder: &Path, number: u32) -> PathBuf {
    archive(folder).join(format!("{number:08}.journal.zst"))
}

/// Whether a segment lies in the archive alone.
pub(crate) fn is_archived(folder: &Path, number: u32) -> bool {
    !path(folder, number).exists()
        && (path(&archive(folder), number).exists() || compressed_path(folder, number).exists())
}

/// Where the archive leads to, when it is a link to what is not there.
pub(crate) fn unreachable_archive(folder: &Path) -> Option<PathBuf> {
    let target = fs::read_link(archive(folder)).ok()?;
    (!archive(folder).exists()).then_some(target)
}

/// Says that a segment is in none of its places.
pub(crate) fn missing(folder: &Path, number: u32) -> String {
    let place = nowhere(folder);
    format!("segment {number:08} is missing before it: it is {place}")
}

fn nowhere(folder: &Path) -> String {
    match unreachable_archive(folder) {
        Some(target) => format!(
            "neither here nor in `{ARCHIVE}`, which links to {}, which does not exist",
            target.display()
        ),
        None => format!("neither here nor in `{ARCHIVE}`"),
    }
}

/// An open segment, to be read.
#[derive(Debug)]
pub(crate) enum Segment {
    /// As it was written.
    Plain(File),
    /// Of the archive.
    Compressed(Compressed),
}

impl Segment {
    /// How many bytes it has, at this moment.
    ///
    /// # Errors
    /// When the system does not say.
    pub(crate) fn len(&self) -> io::Result<u64> {
        match self {
            Self::Plain(file) => Ok(file.metadata()?.len()),
            Self::Compressed(segment) => Ok(segment.len()),
        }
    }

    /// Fills `buffer` from `offset` on, as far as the segment goes; returns how far.
    ///
    /// # Errors
    /// When it cannot be read there.
    pub(crate) fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let (rest, at) = (&mut buffer[filled..], offset + filled as u64);
            let read = match self {
                Self::Plain(file) => file.read_at(rest, at),
                Self::Compressed(segment) => segment.read_at(rest, at),
            };
            match read {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// Opens a segment for reading, wherever it lies.
///
/// # Errors
/// When it is in no place (`NotFound`), or cannot be opened.
pub(crate) fn open(folder: &Path, number: u32) -> io::Result<Segment> {
    // In the order in which a segment goes through them, so that one which is moved at this
    // moment is found.
    for place in [path(folder, number), path(&archive(folder), number)] {
        match File::open(place) {
            Ok(file) => return Ok(Segment::Plain(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let opened = compressed::open(&compressed_path(folder, number)).map(Segment::Compressed);
    opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let reason = format!("segment {number:08} is {}", nowhere(folder));
            io::Error::new(io::ErrorKind::NotFound, reason)
        }
        _ => error,
    })
}

/// The numbers of a journal's segments, ascending; none where the folder is missing.
///
/// # Errors
/// When a folder cannot be listed.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = list_one(folder, plain_number)?;
    // Listed second, so that one which is moved there at this moment is seen.
    numbers.extend(list_one(&archive(folder), archived_number)?);
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

fn list_one(folder: &Path, number_of: fn(&str) -> Option<u32>) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        numbers.extend(entry?.file_name().to_str().and_then(number_of));
    }
    Ok(numbers)
}

/// The number in a segment's file name.
fn plain_number(name: &str) -> Option<u32> {
    let number = name.strip_suffix(".journal")?.parse().ok()?;
    (name == format!("{number:08}.journal")).then_some(number)
}

/// The same in the archive, where it may be compressed.
fn archived_number(name: &str) -> Option<u32> {
    plain_number(name.strip_suffix(".zst").unwrap_or(name))
}

/// Reads into `buffer` what a segment holds at this moment; a segment ends near its bound, so
/// memory does too.
///
/// # Errors
/// When it cannot be opened or read to the length it has.
pub(crate) fn read(folder: &Path, number: u32, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    let mut segment = open(folder, number)?;
    let length = usize::try_from(segment.len()?).map_err(io::Error::other)?;
    // Else it would double on its way there, with both halves in memory.
    buffer.reserve_exact(length);
    buffer.resize(length, 0);
    let filled = segment.read_at(buffer, 0)?;
    buffer.truncate(filled);
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
