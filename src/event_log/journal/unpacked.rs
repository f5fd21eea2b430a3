//! Reading segments by their bytes. Of the archive's, the blocks that were unpacked last are kept:
//! scattered reads of archived events would decompress the same blocks repeatedly.
use super::compressed::BLOCK_BYTES;
use super::segment::{self, Segment};
use crate::locks::Mutex;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};

/// Bytes of blocks that are kept: about forty thousand events.
const KEPT_BYTES: usize = 8 << 20;

/// Blocks that are kept at most, since each read looks through them.
const KEPT_BLOCKS: usize = 256;

/// The blocks of compressed segments that were unpacked last. Segments of the archive never
/// change, so neither do these.
#[derive(Debug, Default)]
pub(super) struct Unpacked(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The one that was used last comes first.
    blocks: VecDeque<Block>,
    bytes: usize,
}

#[derive(Debug)]
struct Block {
    segment: u32,
    number: u64,
    /// Fewer than [`BLOCK_BYTES`] at the segment's end.
    bytes: Arc<[u8]>,
}

impl Unpacked {
    fn find(&self, segment: u32, number: u64) -> Option<Arc<[u8]>> {
        let mut kept = self.kept();
        let blocks = &mut kept.blocks;
        let place = blocks
            .iter()
            .position(|block| (block.segment, block.number) == (segment, number))?;
        let block = blocks.remove(place)?;
        let bytes = Arc::clone(&block.bytes);
        blocks.push_front(block);
        Some(bytes)
    }

    fn keep(&self, segment: u32, number: u64, bytes: &Arc<[u8]>) {
        let mut kept = self.kept();
        kept.bytes += bytes.len();
        kept.blocks.push_front(Block {
            segment,
            number,
            bytes: Arc::clone(bytes),
        });
        while kept.bytes > KEPT_BYTES || kept.blocks.len() > KEPT_BLOCKS {
            let Some(oldest) = kept.blocks.pop_back() else {
                break;
            };
            kept.bytes -= oldest.bytes.len();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing that is done under this lock can leave it half done.
        self.0.lock()
    }
}

/// One segment, wherever it lies, opened when it is needed.
#[derive(Debug)]
pub(super) struct Source {
    folder: PathBuf,
    number: u32,
    opened: Option<Segment>,
    unpacked: Arc<Unpacked>,
}

impl Source {
    pub(super) fn new(folder: &Path, number: u32, unpacked: Arc<Unpacked>) -> Self {
        Self {
            folder: folder.to_owned(),
            number,
            opened: None,
            unpacked,
        }
    }

    /// Sees to it that the segment is there, or what is wanted first of it.
    ///
    /// # Errors
    /// When it is in no place (`NotFound`), or cannot be opened.
    pub(super) fn open(&mut self, offset: u64) -> io::Result<()> {
        let block = offset / u64::from(BLOCK_BYTES);
        if self.opened.is_none() && self.unpacked.find(self.number, block).is_none() {
            self.segment()?;
        }
        Ok(())
    }

    /// Goes on to the next segment.
    ///
    /// # Errors
    /// As [`Self::open`]; it stays where it is then.
    pub(super) fn open_next(&mut self) -> io::Result<()> {
        let unpacked = Arc::clone(&self.unpacked);
        let mut next = Self::new(&self.folder, self.number + 1, unpacked);
        next.open(0)?;
        *self = next;
        Ok(())
    }

    /// Fills `buffer` from `offset` on, as far as the segment goes; returns how far.
    ///
    /// # Errors
    /// When it cannot be read there.
    pub(super) fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let block_bytes = u64::from(BLOCK_BYTES);
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset + filled as u64;
            let Some(block) = self.block(at / block_bytes)? else {
                return Ok(filled + self.segment()?.read_at(&mut buffer[filled..], at)?);
            };
            let within = usize::try_from(at % block_bytes).map_err(io::Error::other)?;
            let rest = block.get(within..).unwrap_or_default();
            let length = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + length].copy_from_slice(&rest[..length]);
            filled += length;
            if length == 0 {
                break;
            }
        }
        Ok(filled)
    }

    /// A block of the segment, unless it lies there as it was written.
    fn block(&mut self, number: u64) -> io::Result<Option<Arc<[u8]>>> {
        if let Some(Segment::Plain(_)) = self.opened {
            return Ok(None);
        }
        if let Some(block) = self.unpacked.find(self.number, number) {
            return Ok(Some(block));
        }
        let segment = self.segment()?;
        if let Segment::Plain(_) = segment {
            return Ok(None);
        }
        let mut bytes = vec![0; BLOCK_BYTES as usize];
        let filled = segment.read_at(&mut bytes, number * u64::from(BLOCK_BYTES))?;
        let bytes = Arc::from(&bytes[..filled]);
        self.unpacked.keep(self.number, number, &bytes);
        Ok(Some(bytes))
    }

    fn segment(&mut self) -> io::Result<&mut Segment> {
        if self.opened.is_none() {
            self.opened = Some(segment::open(&self.folder, self.number)?);
        }
        self.opened
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
