//! The bytes of a file, in a buffer that keeps what a reader has not taken yet.
use crate::domain::import::RowError;
use std::io::{self, Read};

/// Bytes that are asked for at a time.
const PORTION_BYTES: usize = 256 << 10;
/// Most bytes of one row of a file: as long as a row of a table may be.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// It is not what it should be, and nothing behind this place can be trusted.
    #[error("{0}")]
    Malformed(RowError),
    /// It cannot be read: it is damaged, or unpacks to too much.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
}

pub(super) fn malformed(line: u64, message: impl Into<String>) -> ReadError {
    ReadError::Malformed(RowError {
        line,
        column: None,
        message: message.into(),
    })
}

/// A window into the bytes of a file.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    is_at_end: bool,
}

impl Input {
    /// Reads from the start of a file: a byte order mark is left out.
    ///
    /// # Errors
    /// When it cannot be read, or is UTF-16.
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Result<Self, ReadError> {
        let mut input = Self {
            reader,
            buffer: vec![0; PORTION_BYTES],
            start: 0,
            end: 0,
            is_at_end: false,
        };
        while input.seen().len() < 4 && input.more()? {}
        let first = input.seen();
        if first.starts_with(&[0xff, 0xfe]) || first.starts_with(&[0xfe, 0xff]) {
            return Err(malformed(
                1,
                "the file is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8",
            ));
        }
        if first.starts_with(&[0xef, 0xbb, 0xbf]) {
            input.take(3);
        }
        Ok(input)
    }

    /// What was read and not taken yet.
    pub(super) fn seen(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes the first bytes of [`Self::seen`] out.
    pub(super) fn take(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Reads more behind [`Self::seen`]. `false` at the end of the file.
    pub(super) fn more(&mut self) -> Result<bool, ReadError> {
        if self.is_at_end {
            return Ok(false);
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < PORTION_BYTES / 2 {
            self.buffer.resize(self.buffer.len() * 2, 0);
        } else if self.buffer.len() > 4 * PORTION_BYTES && self.end < PORTION_BYTES {
            // What one long row has needed is given back.
            self.buffer.truncate(2 * PORTION_BYTES);
            self.buffer.shrink_to_fit();
        }
        let most = self.buffer.len().min(self.end + PORTION_BYTES);
        loop {
            match self.reader.read(&mut self.buffer[self.end..most]) {
                Ok(0) => {
                    self.is_at_end = true;
                    return Ok(false);
                }
                Ok(read) => {
                    self.end += read;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Says that a row is longer than a row may be.
pub(super) fn too_long(line: u64) -> ReadError {
    malformed(
        line,
        format!(
            "the row is longer than {MAX_RECORD_BYTES} bytes; \
             is a quote or a line end missing before?"
        ),
    )
}
