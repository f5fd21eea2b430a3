//! Reading a journal at any sequence: for commits too large for sled, and where sled fails.
use super::frame;
use super::segment::{self, Location};
use crate::domain::recorded::Hash;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

/// One mark per this many frames: a million events cost a quarter of a MiB of memory, and a
/// reader skips 255 frames at most.
const FRAMES_PER_MARK: u64 = 256;

/// Finds frames by sequence.
#[derive(Debug)]
pub(crate) struct JournalReader {
    folder: PathBuf,
    marks: RwLock<Marks>,
}

/// Where some of the frames lie, in the order of their sequences.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    marks: Vec<Mark>,
    frames: u64,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    first_sequence: u64,
    at: Location,
    previous_hash: Hash,
}

impl Marks {
    /// Takes note of the next frame of the journal.
    pub(crate) fn note(&mut self, first_sequence: u64, at: Location, previous_hash: Hash) {
        if self.frames.is_multiple_of(FRAMES_PER_MARK) {
            self.marks.push(Mark {
                first_sequence,
                at,
                previous_hash,
            });
        }
        self.frames += 1;
    }
}

impl JournalReader {
    /// Reads the journal in `folder`, whose frames `marks` has noted.
    pub(crate) fn new(folder: &Path, marks: Marks) -> Self {
        Self {
            folder: folder.to_owned(),
            marks: RwLock::new(marks),
        }
    }

    /// Takes note of a frame that was appended.
    pub(crate) fn note(&self, first_sequence: u64, at: Location, previous_hash: Hash) {
        self.marks
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .note(first_sequence, at, previous_hash);
    }

    /// The body of the frame at a place that was noted when it was written.
    ///
    /// # Errors
    /// When it cannot be read, or no good frame is there.
    pub(crate) fn body_at(&self, at: Location) -> io::Result<Vec<u8>> {
        frame::read_at(&segment::open(&self.folder, at.segment)?, at.offset)
    }

    /// The frames from a little before the one that holds `sequence`, and the hash before them.
    ///
    /// # Errors
    /// When the segment cannot be opened.
    pub(crate) fn frames_before(&self, sequence: u64) -> io::Result<(Hash, Frames)> {
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        let behind = marks
            .marks
            .partition_point(|it| it.first_sequence <= sequence);
        let mark = behind.checked_sub(1).map(|index| marks.marks[index]);
        let mark = mark.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "the journal holds no frame before it",
            )
        })?;
        let frames = Frames {
            file: segment::open(&self.folder, mark.at.segment)?,
            folder: self.folder.clone(),
            at: mark.at,
        };
        Ok((mark.previous_hash, frames))
    }
}

/// The frames of a journal one after the other, up to its end.
#[derive(Debug)]
pub(crate) struct Frames {
    folder: PathBuf,
    file: File,
    at: Location,
}

impl Frames {
    fn read_next(&mut self) -> io::Result<Option<(Location, Vec<u8>)>> {
        if self.at.offset >= self.file.metadata()?.len() {
            let next = Location {
                segment: self.at.segment + 1,
                offset: 0,
            };
            self.file = match segment::open(&self.folder, next.segment) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            self.at = next;
            if self.file.metadata()?.len() == 0 {
                return Ok(None);
            }
        }
        let body = frame::read_at(&self.file, self.at.offset)?;
        let found = self.at;
        self.at.offset += (frame::HEADER_BYTES + body.len()) as u64;
        Ok(Some((found, body)))
    }
}

impl Iterator for Frames {
    type Item = io::Result<(Location, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_next().transpose()
    }
}
