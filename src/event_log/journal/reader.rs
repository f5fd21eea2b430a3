//! Reading a journal at any sequence.
use super::frame;
use super::segment::Location;
use super::unpacked::{Source, Unpacked};
use crate::domain::event::recorded::{Hash, NO_HASH};
use crate::event_log::codec::{self, StoredCommit};
use crate::locks::RwLock;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One mark per this many frames: a million events cost some MiB of memory, and a reader passes
/// over a few frames at most.
const FRAMES_PER_MARK: u64 = 8;

/// Finds frames by sequence.
#[derive(Debug)]
pub(crate) struct JournalReader {
    folder: PathBuf,
    marks: RwLock<Marks>,
    unpacked: Arc<Unpacked>,
}

/// Where some of the frames lie, in the order of their sequences.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    marks: Vec<Mark>,
    frames: u64,
    last: Option<Location>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    first_sequence: u64,
    /// Where the frame before it lies, which has the hash before it.
    behind: Option<Location>,
    at: Location,
}

impl Marks {
    /// Takes note of the next frame of the journal.
    pub(crate) fn note(&mut self, first_sequence: u64, at: Location) {
        if self.frames.is_multiple_of(FRAMES_PER_MARK) {
            self.marks.push(Mark {
                first_sequence,
                behind: self.last,
                at,
            });
        }
        self.frames += 1;
        self.last = Some(at);
    }

    fn before(&self, sequence: u64) -> io::Result<Mark> {
        let behind = self
            .marks
            .partition_point(|mark| mark.first_sequence <= sequence);
        match behind.checked_sub(1) {
            Some(index) => Ok(self.marks[index]),
            None => Err(missing("the journal holds no frame before it")),
        }
    }
}

impl JournalReader {
    /// Reads the journal in `folder`, whose frames `marks` has noted.
    pub(crate) fn new(folder: &Path, marks: Marks) -> Self {
        Self {
            folder: folder.to_owned(),
            marks: RwLock::new(marks),
            unpacked: Arc::default(),
        }
    }

    /// Takes note of a frame that was appended.
    pub(crate) fn note(&self, first_sequence: u64, at: Location) {
        let mut marks = self.marks.write();
        marks.note(first_sequence, at);
    }

    /// The body of the frame at a place that was noted when it was written.
    ///
    /// # Errors
    /// When it cannot be read, or no good frame is there.
    pub(crate) fn body_at(&self, at: Location) -> io::Result<Vec<u8>> {
        match self.frames_at(at)?.next() {
            Some(frame) => frame.map(|(_, body)| body),
            None => Err(missing("the journal ends before it")),
        }
    }

    /// The frames from the one that holds event `sequence` on, and the hash before them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn frames_from(&self, sequence: u64) -> io::Result<(Hash, Frames)> {
        let mut walk = self.walk();
        walk.go_to(sequence)?;
        let Walk { frames, hash, .. } = walk;
        let frames = frames.ok_or_else(|| missing("it is not there"))?;
        Ok((hash, frames))
    }

    /// Reading of single frames, whose sequences rise.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk {
            journal: self,
            frames: None,
            hash: NO_HASH,
        }
    }

    fn frames_at(&self, at: Location) -> io::Result<Frames> {
        let mut source = Source::new(&self.folder, at.segment, Arc::clone(&self.unpacked));
        source.open(at.offset)?;
        Ok(Frames {
            source,
            at,
            ahead: Vec::new(),
            done: 0,
            read_size: FIRST_READ,
        })
    }

    fn mark_before(&self, sequence: u64) -> io::Result<Mark> {
        let marks = self.marks.read();
        marks.before(sequence)
    }
}

fn missing(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, reason)
}

/// A place in a journal that moves on from frame to frame, or leaps.
#[derive(Debug)]
pub(crate) struct Walk<'j> {
    journal: &'j JournalReader,
    frames: Option<Frames>,
    /// The hash before the frame where it is.
    hash: Hash,
}

impl Walk<'_> {
    /// The body of the frame that holds event `sequence`, and the hash before it. No earlier one
    /// may have been asked for that lies behind it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn frame_of(&mut self, sequence: u64) -> io::Result<(Hash, &[u8])> {
        self.go_to(sequence)?;
        let frames = self.frames.as_mut();
        let frames = frames.ok_or_else(|| missing("it is not there"))?;
        match frames.peek()? {
            Some(body) => Ok((self.hash, body)),
            None => Err(missing("the journal ends before it")),
        }
    }

    fn go_to(&mut self, sequence: u64) -> io::Result<()> {
        let mark = self.journal.mark_before(sequence)?;
        let frames = match &mut self.frames {
            Some(frames) if frames.at >= mark.at => frames,
            frames => {
                // The frame before the mark's has the hash; there is none before the first.
                self.hash = NO_HASH;
                let begin = mark.behind.unwrap_or(mark.at);
                match frames {
                    Some(frames) if frames.at.segment == begin.segment => frames.leap(begin)?,
                    _ => *frames = Some(self.journal.frames_at(begin)?),
                }
                frames.as_mut().ok_or_else(|| missing("it is not there"))?
            }
        };
        while let Some(hash) = frames.pass_if_before(sequence)? {
            self.hash = hash;
        }
        Ok(())
    }
}

/// Bytes that are read at first: the frames of one mark.
const FIRST_READ: usize = 4 << 10;

/// Bytes that are read at once on a long way.
const LARGEST_READ: usize = 256 << 10;

/// The frames of a journal one after the other, up to its end.
#[derive(Debug)]
pub(crate) struct Frames {
    source: Source,
    /// Where the next frame begins.
    at: Location,
    /// What was read from there on.
    ahead: Vec<u8>,
    /// How much of it lies before the next frame.
    done: usize,
    read_size: usize,
}

impl Frames {
    /// The body of the next frame; none at the end of the journal.
    fn peek(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(length) = self.next_length()? else {
            return Ok(None);
        };
        self.fill(length)?;
        frame::body(&self.ahead[self.done..]).map(Some)
    }

    /// How many bytes the next frame has; none at the end of the journal.
    fn next_length(&mut self) -> io::Result<Option<usize>> {
        if self.fill(frame::HEADER_BYTES)? == 0
            && !(self.begin_next_segment()? && self.fill(frame::HEADER_BYTES)? > 0)
        {
            return Ok(None);
        }
        frame::length(&self.ahead[self.done..]).map(Some)
    }

    /// Goes behind the next frame, if that ends before event `sequence`; returns its last hash.
    fn pass_if_before(&mut self, sequence: u64) -> io::Result<Option<Hash>> {
        let Some(length) = self.next_length()? else {
            return Ok(None);
        };
        let next_body = length + frame::HEADER_BYTES;
        self.fill(next_body + size_of::<u64>())?;
        let here = &self.ahead[self.done..];
        let body = frame::body(here)?;
        let first = codec::first_sequence(body);
        let next = here.get(next_body..).and_then(codec::first_sequence);
        // What is behind the last frame may be written at this moment.
        let is_before = match next.filter(|next| first.is_some_and(|first| first < *next)) {
            Some(next) => next <= sequence,
            None => {
                let last = StoredCommit::read(body).map(|commit| commit.last_sequence());
                last.map_err(io::Error::other)? < sequence
            }
        };
        let hash = codec::last_hash(body).filter(|_| is_before);
        if is_before {
            self.pass(length);
        }
        Ok(hash)
    }

    fn pass(&mut self, length: usize) {
        self.done += length;
        self.at.offset += length as u64;
    }

    /// Goes ahead to a frame of the same segment.
    fn leap(&mut self, to: Location) -> io::Result<()> {
        let passed = to.offset.checked_sub(self.at.offset);
        let passed = passed.and_then(|bytes| usize::try_from(bytes).ok());
        let passed = passed.ok_or_else(|| missing("it is not ahead"))?;
        self.at = to;
        self.done += passed;
        if self.done >= self.ahead.len() {
            self.ahead.clear();
            self.done = 0;
            self.read_size = FIRST_READ;
        }
        Ok(())
    }

    /// Reads until `wanted` bytes lie ahead, as far as the segment has them; returns how many do.
    fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        let there = self.ahead.len() - self.done;
        if there >= wanted {
            return Ok(there);
        }
        self.ahead.clear();
        self.ahead.resize(self.read_size.max(wanted), 0);
        self.done = 0;
        self.read_size = (self.read_size * 2).min(LARGEST_READ);
        let filled = self.source.read_at(&mut self.ahead, self.at.offset)?;
        self.ahead.truncate(filled);
        Ok(filled)
    }

    fn begin_next_segment(&mut self) -> io::Result<bool> {
        match self.source.open_next() {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        self.at = Location {
            segment: self.at.segment + 1,
            offset: 0,
        };
        self.ahead.clear();
        self.done = 0;
        Ok(true)
    }
}

impl Iterator for Frames {
    type Item = io::Result<(Location, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let body = match self.peek() {
            Ok(body) => body?.to_vec(),
            Err(error) => return Some(Err(error)),
        };
        let found = self.at;
        self.pass(frame::HEADER_BYTES + body.len());
        Some(Ok((found, body)))
    }
}
