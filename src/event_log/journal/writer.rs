//! Writing at the end of a journal: a group of commits, one write, one `fdatasync`.
use super::frame;
use super::segment::{self, Location};
use crate::open_files;
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A segment is sealed before it grows beyond this, unless one group is larger. Large enough that a long history is a
/// handful of files, small enough to be read into memory at once.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;

/// Room that a segment has behind its end: what is appended next is written there also when the disk
/// has become full. A purge is some ten events of less than 400 bytes.
const ROOM_AHEAD: u64 = 256 << 10;

/// The end of a journal.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    folder: PathBuf,
    segment_bytes: u64,
    file: File,
    end: Location,
    /// The segment has room up to this offset.
    room_until: u64,
}

/// What became of a group.
#[derive(Debug)]
pub(crate) struct Appended {
    /// Where each commit lies, in their order.
    pub(crate) locations: Vec<Location>,
    /// Whether a segment was sealed before.
    pub(crate) sealed: bool,
}

/// Why a group was not appended; none of it is kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// No room; the journal is as it was, and a later append may work.
    #[error("the disk is full")]
    NoRoom,
    /// No file descriptor is left; the journal is as it was, and a later append may work.
    #[error("out of file descriptors")]
    NoFiles,
    /// The content of the disk is unknown: nothing may be appended any more.
    #[error("{what}: {source}")]
    Broken {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl JournalWriter {
    /// Opens a journal to write behind `end`, where its last good frame ends. What lies behind
    /// that is cut off.
    ///
    /// # Errors
    /// When a file cannot be made, cut or synced.
    pub(crate) fn open(folder: &Path, segment_bytes: u64, end: Location) -> io::Result<Self> {
        for torn in segment::list(folder)? {
            if torn > end.segment {
                std::fs::remove_file(segment::path(folder, torn))?;
            }
        }
        let end = behind_the_archive(folder, end);
        let file = segment::open_for_append(folder, end.segment)?;
        if file.metadata()?.len() != end.offset {
            file.set_len(end.offset)?;
            file.sync_all()?;
        }
        segment::sync_folder(folder)?;
        let mut writer = Self {
            folder: folder.to_owned(),
            segment_bytes,
            file,
            end,
            room_until: 0,
        };
        writer.take_room_ahead();
        Ok(writer)
    }

    /// Appends one frame per body; when it returns, they survive power loss.
    ///
    /// # Errors
    /// [`WriteError`]; nothing of the group is in the journal then, or that is unknown.
    pub(crate) fn append<'a>(
        &mut self,
        bodies: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Appended, WriteError> {
        let mut group = Vec::new();
        let mut starts = Vec::new();
        for body in bodies {
            starts.push(group.len() as u64);
            frame::write(&mut group, body);
        }
        let bytes = group.len() as u64;
        let sealed = self.end.offset > 0 && self.end.offset + bytes > self.segment_bytes;
        if sealed {
            self.begin_segment()?;
        }
        self.write(&group)?;
        let locations = starts
            .into_iter()
            .map(|start| Location {
                segment: self.end.segment,
                offset: self.end.offset + start,
            })
            .collect();
        self.end.offset += bytes;
        self.take_room_ahead();
        Ok(Appended { locations, sealed })
    }

    /// Takes room behind the end once half of it is used. A disk that has none is found to be full
    /// by others, and by the append that does not fit.
    fn take_room_ahead(&mut self) {
        if self.room_until >= self.end.offset + ROOM_AHEAD / 2 {
            return;
        }
        let keep_length = FallocateFlags::KEEP_SIZE;
        if fallocate(&self.file, keep_length, self.end.offset, ROOM_AHEAD).is_ok() {
            self.room_until = self.end.offset + ROOM_AHEAD;
        }
    }

    fn write(&mut self, group: &[u8]) -> Result<(), WriteError> {
        if let Err(source) = self.file.write_all_at(group, self.end.offset) {
            self.room_until = 0;
            // Synced too: else power loss could bring back commits that were refused.
            // Which gives the room ahead back, too.
            self.file
                .set_len(self.end.offset)
                .and_then(|()| self.file.sync_all())
                .map_err(|source| WriteError::Broken {
                    what: "failed to roll back a failed write to the journal",
                    source,
                })?;
            return Err(refused("failed to write the journal", source));
        }
        // A failed sync is final: the kernel may drop what it could not write and then report
        // success, so asking again would prove nothing.
        self.file.sync_data().map_err(|source| WriteError::Broken {
            what: "failed to sync the journal",
            source,
        })
    }

    fn begin_segment(&mut self) -> Result<(), WriteError> {
        let number = self.end.segment + 1;
        let file = segment::open_for_append(&self.folder, number)
            .map_err(|source| refused("failed to create a new journal segment", source))?;
        // Where only the folder cannot be opened, the segment is found empty the next time.
        segment::sync_folder(&self.folder).map_err(|source| {
            if open_files::are_used_up(&source) {
                return WriteError::NoFiles;
            }
            WriteError::Broken {
                what: "failed to sync the journal's folder",
                source,
            }
        })?;
        self.file = file;
        self.end = Location {
            segment: number,
            offset: 0,
        };
        self.room_until = 0;
        Ok(())
    }
}

/// Where the next frame goes when the last segment was moved to the archive: nothing is written
/// there, so a new one is begun.
fn behind_the_archive(folder: &Path, end: Location) -> Location {
    if !segment::is_archived(folder, end.segment) {
        return end;
    }
    Location {
        segment: end.segment + 1,
        offset: 0,
    }
}

/// A full disk, a full quota, a file-size limit and a want of file descriptors pass; anything else
/// does not.
fn refused(what: &'static str, source: io::Error) -> WriteError {
    if open_files::are_used_up(&source) {
        return WriteError::NoFiles;
    }
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            WriteError::NoRoom
        }
        _ => WriteError::Broken { what, source },
    }
}
