//! Segments of the archive: zstd in the seekable format, so that a read in the middle unpacks a
//! block and not the segment. `zstd -d` unpacks the whole of one.
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::path::Path;
use zeekstd::{Decoder, EncodeOptions, FrameSizePolicy};

/// Bytes that are unpacked at least for any read: some hundred commits, a third of a millisecond.
pub(super) const BLOCK_BYTES: u32 = 256 << 10;

/// Higher ones gain less than one in a hundred: what is left is hashes and ids.
const LEVEL: i32 = 3;

/// An open segment that is compressed.
pub(crate) struct Compressed(Box<Decoder<'static, File>>);

impl fmt::Debug for Compressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressed").finish_non_exhaustive()
    }
}

impl Compressed {
    /// # Errors
    /// When the list of blocks at its end cannot be read.
    pub(super) fn open(file: File) -> io::Result<Self> {
        Decoder::new(file)
            .map(|decoder| Self(Box::new(decoder)))
            .map_err(damaged)
    }

    /// Its length once it is unpacked.
    pub(super) fn len(&self) -> u64 {
        self.0.seek_table().size_decomp()
    }

    /// Reads at most as much as `buffer` takes; nothing at its end.
    ///
    /// # Errors
    /// When the file cannot be read, or a block of it is damaged.
    pub(super) fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.len() {
            return Ok(0);
        }
        self.0.set_offset(offset).map_err(damaged)?;
        self.0.decompress(buffer).map_err(damaged)
    }
}

/// Opens a compressed segment, wherever it lies.
///
/// # Errors
/// When it cannot be opened, or is none.
pub(crate) fn open(path: &Path) -> io::Result<Compressed> {
    Compressed::open(File::open(path)?)
}

fn damaged(error: zeekstd::Error) -> io::Error {
    let reason = format!("its compressed form is damaged: {error}");
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Writes all of `segment` to `file`, compressed.
///
/// # Errors
/// When the one cannot be read or the other not be written.
pub(crate) fn write(mut segment: impl Read, file: &File) -> io::Result<()> {
    let mut encoder = EncodeOptions::new()
        .frame_size_policy(FrameSizePolicy::Uncompressed(BLOCK_BYTES))
        .checksum_flag(true)
        .compression_level(LEVEL)
        .into_encoder(BufWriter::new(file))
        .map_err(io::Error::other)?;
    io::copy(&mut segment, &mut encoder)?;
    encoder.finish().map_err(io::Error::other)?;
    Ok(())
}
