//! A connection that one task has for itself.
use super::frame::{Frame, Head, Outbox, malformed};
use bytes::{Bytes, BytesMut};
use serde::Serialize;
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// Bytes that are read at once where they are there.
pub(in crate::engine::sqlite::remote) const READ_AHEAD: usize = 64 << 10;

/// A connection whose frames come and go in turns.
#[derive(Debug)]
pub(in crate::engine::sqlite::remote) struct Line {
    heard: Heard,
    writes: OwnedWriteHalf,
    outbox: Outbox,
}

/// The frames that come on a connection.
#[derive(Debug)]
pub(in crate::engine::sqlite::remote) struct Heard {
    reads: OwnedReadHalf,
    come: BytesMut,
}

impl Heard {
    pub(in crate::engine::sqlite::remote) fn new(reads: OwnedReadHalf) -> Self {
        let come = BytesMut::new();
        Self { reads, come }
    }

    /// The next frame. May be dropped and called again.
    ///
    /// # Errors
    /// When the other end is gone, or what comes is no frame.
    pub(in crate::engine::sqlite::remote) async fn next(&mut self) -> io::Result<Frame> {
        loop {
            let head = Head::of(&self.come)?;
            if let Some(frame) = head.and_then(|head| head.take(&mut self.come)) {
                return Ok(frame);
            }
            let missing = head.map_or(READ_AHEAD, |head| head.whole() - self.come.len());
            if self.come.capacity() - self.come.len() < missing.min(READ_AHEAD / 4) {
                self.come.reserve(missing.max(READ_AHEAD));
            }
            if self.reads.read_buf(&mut self.come).await? == 0 {
                return Err(match self.come.is_empty() {
                    true => io::ErrorKind::UnexpectedEof.into(),
                    false => malformed("a frame was cut".to_owned()),
                });
            }
        }
    }
}

impl Line {
    pub(in crate::engine::sqlite::remote) fn new(socket: UnixStream) -> Self {
        let (reads, writes) = socket.into_split();
        Self {
            heard: Heard::new(reads),
            writes,
            outbox: Outbox::default(),
        }
    }

    /// Says something.
    ///
    /// # Errors
    /// When the other end is gone.
    pub(in crate::engine::sqlite::remote) async fn say(
        &mut self,
        number: u32,
        said: &impl Serialize,
        bodies: &[Bytes],
    ) -> io::Result<()> {
        self.outbox.add(number, said, bodies)?;
        for piece in self.outbox.take() {
            self.writes.write_all(&piece).await?;
        }
        Ok(())
    }

    /// The next frame. May be dropped and called again.
    ///
    /// # Errors
    /// When the other end is gone, or what comes is no frame.
    pub(in crate::engine::sqlite::remote) async fn hear(&mut self) -> io::Result<Frame> {
        self.heard.next().await
    }

    /// Waits until the other end is gone, while nothing is to come from it.
    pub(in crate::engine::sqlite::remote) async fn is_gone(&mut self) {
        let _ = self.hear().await;
    }

    /// What comes, and where answers go.
    pub(in crate::engine::sqlite::remote) fn into_halves(self) -> (Heard, OwnedWriteHalf) {
        (self.heard, self.writes)
    }

    /// The same in parts: where frames come from, what has come already, where frames go.
    pub(in crate::engine::sqlite::remote) fn into_parts(
        self,
    ) -> (OwnedReadHalf, BytesMut, OwnedWriteHalf) {
        (self.heard.reads, self.heard.come, self.writes)
    }
}
