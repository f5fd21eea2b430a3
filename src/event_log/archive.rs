//! Moving sealed segments of a journal into its archive, compressed.
//!
//! It runs beside a live gateway. A segment is removed from its old place only when its compressed
//! form was read back, compared and synced: at any moment it is whole in one of its places, and
//! readers look in all of them. Run again after a crash, it goes on.
use super::journal::compressed;
use super::journal::segment::{self, Segment};
use crate::clock::Deadline;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Held while segments are archived or a journal is healed: each would pull the files away from
/// under the other.
const LOCK: &str = "archive.lock";

/// The longest that a start with a damaged journal waits for a segment to be archived.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// The right to move the segments of one journal.
#[derive(Debug)]
pub struct Archiver {
    journal: PathBuf,
    _lock: File,
}

/// What was done with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archived {
    /// The number of the segment.
    pub segment: u32,
    pub bytes: u64,
    /// Its size in the archive.
    pub compressed_bytes: u64,
}

/// Why segments are not archived; each is as whole as it was.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Another process holds the lock.
    #[error("another process is archiving or repairing the journal")]
    InUse,
    /// The archive is a link to what is not there.
    #[error("the archive links to {}, which does not exist", target.display())]
    Unreachable {
        /// Where it leads.
        target: PathBuf,
    },
    /// What was written is not what is read back.
    #[error("the compressed copy of segment {segment:08} differs from the original")]
    ReadBack {
        /// The number of the segment.
        segment: u32,
    },
    /// Another file lies in its place.
    #[error("segment {segment:08} was replaced while it was archived")]
    Replaced {
        /// The number of the segment.
        segment: u32,
    },
    /// The system refuses.
    #[error("{what} {} failed", path.display())]
    Io {
        /// What was tried: `writing`.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Archiver {
    /// Takes the right to archive the journal of the log in `folder`, and makes its archive.
    ///
    /// # Errors
    /// When another process has it, or the archive cannot be reached or made.
    pub fn begin(folder: &Path) -> Result<Self, ArchiveError> {
        let path = folder.join(LOCK);
        let lock = open_lock(&path).map_err(failed("opening", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ArchiveError::InUse),
            Err(TryLockError::Error(source)) => return Err(failed("locking", &path)(source)),
        }
        let journal = folder.join("journal");
        if let Some(target) = segment::unreachable_archive(&journal) {
            return Err(ArchiveError::Unreachable { target });
        }
        let archive = segment::archive(&journal);
        segment::make_folder(&archive).map_err(failed("making", &archive))?;
        Ok(Self {
            journal,
            _lock: lock,
        })
    }

    /// The segments that can be archived, ascending: all that are not compressed, but the last one,
    /// which is written to, and the `kept` before it.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn sealed(&self, kept: usize) -> Result<Vec<u32>, ArchiveError> {
        let all = segment::list(&self.journal).map_err(failed("listing", &self.journal))?;
        let sealed = all.len().saturating_sub(kept.saturating_add(1));
        let is_plain = |number: &&u32| self.plain(**number).is_some();
        Ok(all[..sealed].iter().filter(is_plain).copied().collect())
    }

    /// Moves one sealed segment into the archive. That it verifies is for the caller to know.
    ///
    /// # Errors
    /// When anything is not as it has to be; the segment is where it was then.
    pub fn archive(&self, number: u32) -> Result<Archived, ArchiveError> {
        let path = segment::path(&self.journal, number);
        let path = self.plain(number).unwrap_or(path);
        let plain = File::open(&path).map_err(failed("opening", &path))?;
        let identity = identity(&plain.metadata().map_err(failed("looking at", &path))?);
        let target = segment::compressed_path(&self.journal, number);
        let fresh = target.with_extension("zst.new");
        let compressed = compress(number, plain, &fresh)
            .and_then(|()| fs::rename(&fresh, &target).map_err(failed("renaming", &fresh)));
        if let Err(error) = compressed {
            // A disk that is full gets its room back. What cannot be removed is written over by
            // the next run.
            let _ = fs::remove_file(&fresh);
            return Err(error);
        }
        let archive = segment::archive(&self.journal);
        segment::sync_folder(&archive).map_err(failed("syncing", &archive))?;
        let current = fs::symlink_metadata(&path).map_err(failed("looking at", &path))?;
        if identity != self::identity(&current) {
            return Err(ArchiveError::Replaced { segment: number });
        }
        fs::remove_file(&path).map_err(failed("removing", &path))?;
        if let Some(folder) = path.parent() {
            segment::sync_folder(folder).map_err(failed("syncing", folder))?;
        }
        Ok(Archived {
            segment: number,
            bytes: identity.2,
            compressed_bytes: fs::metadata(&target)
                .map_err(failed("looking at", &target))?
                .len(),
        })
    }

    /// Where a segment lies as it was written: in the journal, or moved to the archive by hand.
    fn plain(&self, number: u32) -> Option<PathBuf> {
        [self.journal.clone(), segment::archive(&self.journal)]
            .into_iter()
            .map(|folder| segment::path(&folder, number))
            .find(|path| path.exists())
    }
}

/// Keeps the journal of the log in `folder` from being archived, for as long as the file is held.
///
/// # Errors
/// When a segment takes too long to be archived, or the lock cannot be had at all.
pub(super) fn hold_off(folder: &Path) -> io::Result<File> {
    let lock = open_lock(&folder.join(LOCK))?;
    let patience = Deadline::after(PATIENCE);
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if !patience.has_passed() => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {
                let reason = "`dbforge log archive` is running; start again when it has finished";
                return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Which file it is, and its size.
fn identity(file: &fs::Metadata) -> (u64, u64, u64) {
    (file.dev(), file.ino(), file.len())
}

/// Writes a segment to the file `fresh`, compressed and synced, and reads it back.
fn compress(number: u32, plain: File, fresh: &Path) -> Result<(), ArchiveError> {
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(fresh)
        .map_err(failed("making", fresh))?;
    compressed::write(&plain, &written)
        .and_then(|()| written.sync_all())
        .map_err(failed("writing", fresh))?;
    let mut original = Segment::Plain(plain);
    let mut copy = compressed::open(fresh)
        .map(Segment::Compressed)
        .map_err(failed("reading back", fresh))?;
    if are_equal(&mut original, &mut copy).map_err(failed("reading back", fresh))? {
        Ok(())
    } else {
        Err(ArchiveError::ReadBack { segment: number })
    }
}

fn are_equal(one: &mut Segment, other: &mut Segment) -> io::Result<bool> {
    let mut chunks = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut at = 0;
    loop {
        let read = one.read_at(&mut chunks.0, at)?;
        if other.read_at(&mut chunks.1, at)? != read || chunks.0[..read] != chunks.1[..read] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        at += read as u64;
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.to_owned();
    move |source| ArchiveError::Io { what, path, source }
}
