//! Compressed bodies of requests: unpacked before the request is worked on, within its bounds.
use crate::http::response::error::{ErrorCode, Problem};
use crate::shares::Held;
use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes that are unpacked at a time, on a thread that serves others too.
const PORTION_BYTES: usize = 64 << 10;
/// The largest window that a zstd frame may ask for: what RFC 9659 has all senders keep to.
const WINDOW_LOG: u32 = 23;
const WINDOW_BYTES: usize = 1 << WINDOW_LOG;
/// What gzip needs beside its output.
const GZIP_BYTES: usize = 64 << 10;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Zstd,
}

/// Why a body was not read to its end.
pub(super) enum Unread {
    TooLarge,
    NoMemory,
    BrokenOff(axum::Error),
    /// It is not compressed as it says, or ends early.
    NotCompressed(io::Error),
}

impl Coding {
    /// What `Content-Encoding` says; none for a body as it is.
    ///
    /// # Errors
    /// When it names another one, or several.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let word = value.to_str().unwrap_or_default().trim();
        let word = word.to_ascii_lowercase();
        match (word.as_str(), values.next()) {
            ("identity", None) => Ok(None),
            ("gzip" | "x-gzip", None) => Ok(Some(Self::Gzip)),
            ("zstd", None) => Ok(Some(Self::Zstd)),
            _ => Err(Problem::new(
                ErrorCode::UnsupportedMediaType,
                "Request bodies may be compressed by `gzip` or `zstd`, once.",
            )
            .hint("send `Content-Encoding: gzip`, or the body uncompressed")),
        }
    }

    fn memory(self) -> usize {
        match self {
            Self::Gzip => GZIP_BYTES,
            Self::Zstd => WINDOW_BYTES,
        }
    }

    /// The body unpacked, for which, and for the packed one, `held` has room then.
    pub(super) async fn unpack(
        self,
        packed: &Bytes,
        limit: usize,
        held: &mut Held,
    ) -> Result<Bytes, Unread> {
        let held_anyway = packed.len() + self.memory();
        held.grow(held_anyway).map_err(|_| Unread::NoMemory)?;
        match self {
            Self::Gzip => {
                let mut reader = GzipDecoder::new(packed.as_ref());
                reader.multiple_members(true);
                read_whole(reader, limit, held_anyway, held).await
            }
            Self::Zstd => {
                let window = [DParameter::window_log_max(WINDOW_LOG)];
                let mut reader = ZstdDecoder::with_params(packed.as_ref(), &window);
                reader.multiple_members(true);
                read_whole(reader, limit, held_anyway, held).await
            }
        }
    }
}

async fn read_whole(
    mut reader: impl AsyncRead + Unpin,
    limit: usize,
    held_anyway: usize,
    held: &mut Held,
) -> Result<Bytes, Unread> {
    let mut bytes = BytesMut::new();
    loop {
        if bytes.capacity() - bytes.len() < PORTION_BYTES {
            // While the buffer is made larger, the old one is there, too.
            let larger = (bytes.capacity() * 2).max(PORTION_BYTES);
            held.grow(held_anyway + bytes.len() + larger)
                .map_err(|_| Unread::NoMemory)?;
            bytes.reserve(larger - bytes.len());
        }
        let read = reader.read_buf(&mut bytes).await;
        if read.map_err(Unread::NotCompressed)? == 0 {
            return Ok(bytes.freeze());
        }
        if bytes.len() > limit {
            return Err(Unread::TooLarge);
        }
        tokio::task::yield_now().await;
    }
}
