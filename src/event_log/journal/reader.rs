//! Reading a journal at any sequence.
use super::frame;
use super::segment::{self, Location, Segment};
use crate::domain::recorded::Hash;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

/// One mark per this many frames: a million events cost two MiB of memory, and a reader skips some
/// KiB at most.
const FRAMES_PER_MARK: u64 = 16;

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
        let mut frames = Frames::begin(&self.folder, at)?;
        match frames.next() {
            Some(frame) => frame.map(|(_, body)| body),
            None => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the journal ends before it",
            )),
        }
    }

    /// The frames from a little before the one that holds `sequence`, and the hash before them.
    ///
    /// # Errors
    /// When the segment cannot be opened.
    pub(crate) fn frames_before(&self, sequence: u64) -> io::Result<(Hash, Frames)> {
        let mark = {
            let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
            let behind = marks
                .marks
                .partition_point(|it| it.first_sequence <= sequence);
            behind.checked_sub(1).map(|index| marks.marks[index])
        };
        let mark = mark.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "the journal holds no frame before it",
            )
        })?;
        Ok((mark.previous_hash, Frames::begin(&self.folder, mark.at)?))
    }
}

/// Bytes that are read at first: the frames of one mark.
const FIRST_READ: usize = 8 << 10;

/// Bytes that are read at once on a long way.
const LARGEST_READ: usize = 256 << 10;

/// The frames of a journal one after the other, up to its end.
#[derive(Debug)]
pub(crate) struct Frames {
    folder: PathBuf,
    segment: Segment,
    /// Where the next frame begins.
    at: Location,
    /// What was read from there on.
    ahead: Vec<u8>,
    /// How much of it lies before the next frame.
    done: usize,
    read_size: usize,
}

impl Frames {
    fn begin(folder: &Path, at: Location) -> io::Result<Self> {
        Ok(Self {
            folder: folder.to_owned(),
            segment: segment::open(folder, at.segment)?,
            at,
            ahead: Vec::new(),
            done: 0,
            read_size: FIRST_READ,
        })
    }

    fn read_next(&mut self) -> io::Result<Option<(Location, Vec<u8>)>> {
        let mut length = self.fill(frame::HEADER_BYTES)?;
        if length == 0 {
            if !self.begin_next_segment()? {
                return Ok(None);
            }
            length = self.fill(frame::HEADER_BYTES)?;
            if length == 0 {
                return Ok(None);
            }
        }
        let needed = frame::length(&self.ahead[self.done..])?;
        self.fill(needed)?;
        let body = frame::body(&self.ahead[self.done..])?.to_vec();
        let found = self.at;
        let frame_bytes = frame::HEADER_BYTES + body.len();
        self.done += frame_bytes;
        self.at.offset += frame_bytes as u64;
        Ok(Some((found, body)))
    }

    /// Sees to it that so many bytes lie ahead, as far as the segment has them; returns how many
    /// do.
    fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        let there = self.ahead.len() - self.done;
        if there >= wanted {
            return Ok(there);
        }
        self.ahead.clear();
        self.ahead.resize(self.read_size.max(wanted), 0);
        self.done = 0;
        self.read_size = (self.read_size * 2).min(LARGEST_READ);
        let filled = self.segment.read_at(&mut self.ahead, self.at.offset)?;
        self.ahead.truncate(filled);
        Ok(filled)
    }

    fn begin_next_segment(&mut self) -> io::Result<bool> {
        let next = Location {
            segment: self.at.segment + 1,
            offset: 0,
        };
        self.segment = match segment::open(&self.folder, next.segment) {
            Ok(segment) => segment,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        self.at = next;
        self.ahead.clear();
        self.done = 0;
        Ok(true)
    }
}

impl Iterator for Frames {
    type Item = io::Result<(Location, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_next().transpose()
    }
}
