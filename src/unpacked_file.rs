//! Files that may have come compressed: gzip and zstd are recognized by their first bytes, and
//! unpacked while they are read, up to a bound.
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zstd::stream::read::Decoder;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Behind a first byte of 0x50 to 0x5f: a frame that is passed over, before others (RFC 8878, 3.1.2).
const ZSTD_SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];

/// Bytes that are read from the disk at a time.
const PORTION_BYTES: usize = 256 << 10;
/// The largest window that a zstd frame may ask for, as a power of two: 128 MiB, what `zstd -d`
/// takes without being asked for more.
const WINDOW_LOG: u32 = 27;

/// A file as it was before it was compressed.
pub struct UnpackedFile {
    inner: Box<dyn Read + Send>,
    position: ReadSoFar,
    unpacked: u64,
    most: u64,
}

/// How many bytes of the file itself have been read. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct ReadSoFar(Arc<AtomicU64>);

impl ReadSoFar {
    /// Bytes from the start, as they are stored.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl UnpackedFile {
    /// Reads `file` from where it is. What it unpacks to may have `most` bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn new(file: File, most: u64) -> io::Result<Self> {
        let position = ReadSoFar::default();
        let counted = Counted {
            file,
            position: position.clone(),
        };
        let mut packed = BufReader::with_capacity(PORTION_BYTES, counted);
        let first = packed.fill_buf()?;
        let inner: Box<dyn Read + Send> = if first.starts_with(GZIP) {
            Box::new(MultiGzDecoder::new(packed))
        } else if is_zstd(first) {
            let mut decoder = Decoder::with_buffer(packed)?;
            decoder.window_log_max(WINDOW_LOG)?;
            Box::new(decoder)
        } else {
            Box::new(packed)
        };
        Ok(Self {
            inner,
            position,
            unpacked: 0,
            most,
        })
    }

    /// Where it is read, for progress.
    #[must_use]
    pub fn position(&self) -> ReadSoFar {
        self.position.clone()
    }
}

impl Read for UnpackedFile {
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] past the bound; otherwise when the file is damaged or cannot
    /// be read.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into).map_err(in_plain_words)?;
        self.unpacked += read as u64;
        if self.unpacked > self.most {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it unpacks to more than {} bytes", self.most),
            ));
        }
        Ok(read)
    }
}

/// What zstd says of a window past [`WINDOW_LOG`] does not tell what to do.
fn in_plain_words(error: io::Error) -> io::Error {
    if !error.to_string().contains("too much memory") {
        return error;
    }
    let what = "its zstd window is larger than 128 MiB: compress it with `zstd --long=27` at most";
    io::Error::new(io::ErrorKind::Unsupported, what)
}

fn is_zstd(first: &[u8]) -> bool {
    let is_skippable =
        matches!(first, [0x50..=0x5f, rest @ ..] if rest.starts_with(ZSTD_SKIPPABLE));
    is_skippable || first.starts_with(ZSTD)
}

struct Counted {
    file: File,
    position: ReadSoFar,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.position.0.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::{Seek as _, Write as _};

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn read(bytes: &[u8], most: u64) -> io::Result<Vec<u8>> {
        let mut unpacked = Vec::new();
        UnpackedFile::new(file(bytes), most)?.read_to_end(&mut unpacked)?;
        Ok(unpacked)
    }

    #[test]
    fn a_file_reads_as_it_was_before_it_was_compressed() {
        let text = b"INSERT INTO t VALUES(1);\n".repeat(1000);
        let twice = [gzip(&text), gzip(b"-- second member")].concat();
        let both = [text.as_slice(), b"-- second member"].concat();
        for (sent, whole) in [
            (text.clone(), text.clone()),
            (zstd::encode_all(text.as_slice(), 1).unwrap(), text.clone()),
            (twice, both),
            (Vec::new(), Vec::new()),
        ] {
            assert!(read(&sent, 1 << 20).unwrap() == whole);
        }
    }

    #[test]
    fn a_window_that_is_too_large_is_told_with_what_to_do() {
        use std::io::Write as _;
        let mut packed = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        packed.window_log(WINDOW_LOG + 1).unwrap();
        packed.write_all(b"SELECT 1;").unwrap();
        let error = read(&packed.finish().unwrap(), 1 << 20).unwrap_err();
        assert!(error.to_string().contains("zstd --long=27"), "{error}");
    }

    #[test]
    fn what_unpacks_to_too_much_or_is_cut_off_is_an_error() {
        let zeros = vec![0; 4 << 20];
        for bomb in [gzip(&zeros), zstd::encode_all(zeros.as_slice(), 1).unwrap()] {
            let error = read(&bomb, 1 << 20).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
            assert!(read(&bomb[..bomb.len() / 2], 8 << 20).is_err(), "cut off");
        }
    }
}
