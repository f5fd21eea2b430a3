//! Files that are written compressed: gzip and zstd, or as they are.
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use zstd::stream::write::Encoder;

/// The fastest level: what is exported waits for a client.
const LEVEL: i32 = 1;
/// Bytes that go to the disk at a time.
const PORTION_BYTES: usize = 256 << 10;

/// A file on its way to the disk. What is not finished is cut off.
pub struct PackedFile(Kind);

enum Kind {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(Encoder<'static, BufWriter<File>>),
}

impl PackedFile {
    /// Written as it is.
    #[must_use]
    pub fn plain(file: File) -> Self {
        Self(Kind::Plain(buffered(file)))
    }

    /// Written in gzip.
    #[must_use]
    pub fn gzip(file: File) -> Self {
        Self(Kind::Gzip(GzEncoder::new(
            buffered(file),
            Compression::fast(),
        )))
    }

    /// Written in zstd.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn zstd(file: File) -> io::Result<Self> {
        Ok(Self(Kind::Zstd(Encoder::new(buffered(file), LEVEL)?)))
    }

    /// Writes the rest.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(self) -> io::Result<()> {
        let mut rest = match self.0 {
            Kind::Plain(file) => file,
            Kind::Gzip(encoder) => encoder.finish()?,
            Kind::Zstd(encoder) => encoder.finish()?,
        };
        rest.flush()
    }
}

impl Write for PackedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain(file) => file.write(bytes),
            Kind::Gzip(encoder) => encoder.write(bytes),
            Kind::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Plain(file) => file.flush(),
            Kind::Gzip(encoder) => encoder.flush(),
            Kind::Zstd(encoder) => encoder.flush(),
        }
    }
}

fn buffered(file: File) -> BufWriter<File> {
    BufWriter::with_capacity(PORTION_BYTES, file)
}
