//! Frames: a head of fixed size, what is said, and bytes that go through unchanged.
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};
use std::io;

/// Bytes in front of a frame: its length, its number, the length of what is said in it.
const HEAD_BYTES: usize = 12;
/// The longest frame: an answer of the largest size that may be asked for, and what is around it.
/// What is longer ends the connection.
pub(in crate::engine::sqlite::remote) const LARGEST_FRAME: usize = 512 << 20;
/// Bodies of so many bytes are sent from where they are; shorter ones are copied behind others.
const OWN_PIECE: usize = 16 << 10;

/// One frame that has come.
#[derive(Debug)]
pub(in crate::engine::sqlite::remote) struct Frame {
    /// Which request it is about.
    pub(in crate::engine::sqlite::remote) number: u32,
    said: Bytes,
    /// What goes through unchanged.
    pub(in crate::engine::sqlite::remote) body: Bytes,
}

/// The head of a frame that is coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::sqlite::remote) struct Head {
    pub(in crate::engine::sqlite::remote) number: u32,
    said: usize,
    body: usize,
}

/// Frames that are to be sent.
#[derive(Debug, Default)]
pub(in crate::engine::sqlite::remote) struct Outbox {
    pieces: Vec<Bytes>,
    last: BytesMut,
}

impl Frame {
    /// What is said in it.
    ///
    /// # Errors
    /// When it is something else.
    pub(in crate::engine::sqlite::remote) fn read<'f, T: Deserialize<'f>>(
        &'f self,
    ) -> io::Result<T> {
        let read = postcard::from_bytes(&self.said);
        read.map_err(|error| malformed(format!("a frame says something unknown: {error}")))
    }
}

impl Head {
    /// The head in front of what has come; `None` when more has to come first.
    ///
    /// # Errors
    /// When the frame is longer than any may be, or its lengths contradict each other.
    pub(in crate::engine::sqlite::remote) fn of(come: &[u8]) -> io::Result<Option<Self>> {
        let Some(mut head) = come.get(..HEAD_BYTES) else {
            return Ok(None);
        };
        let (length, number, said) = (
            head.get_u32_le() as usize,
            head.get_u32_le(),
            head.get_u32_le() as usize,
        );
        if length > LARGEST_FRAME || said > length {
            return Err(malformed(format!("a frame of {length} bytes")));
        }
        let body = length - said;
        Ok(Some(Self { number, said, body }))
    }

    /// Bytes of the whole frame.
    pub(in crate::engine::sqlite::remote) fn whole(&self) -> usize {
        HEAD_BYTES + self.said + self.body
    }

    /// Takes the frame out of what has come, where all of it has.
    pub(in crate::engine::sqlite::remote) fn take(self, come: &mut BytesMut) -> Option<Frame> {
        if come.len() < self.whole() {
            return None;
        }
        come.advance(HEAD_BYTES);
        let said = come.split_to(self.said).freeze();
        Some(Frame {
            number: self.number,
            said,
            body: come.split_to(self.body).freeze(),
        })
    }
}

impl Outbox {
    /// Adds a frame.
    ///
    /// # Errors
    /// When it is longer than any may be.
    pub(in crate::engine::sqlite::remote) fn add(
        &mut self,
        number: u32,
        said: &impl Serialize,
        bodies: &[Bytes],
    ) -> io::Result<()> {
        let start = self.last.len();
        self.last.put_bytes(0, HEAD_BYTES);
        let written = postcard::serialize_with_flavor(said, Behind(&mut self.last));
        let body: usize = bodies.iter().map(Bytes::len).sum();
        let said = self.last.len() - start - HEAD_BYTES;
        let length = said + body;
        if written.is_err() || length > LARGEST_FRAME {
            self.last.truncate(start);
            return Err(malformed(format!("a frame of {length} bytes")));
        }
        let fits = |it: usize| u32::try_from(it).expect("the largest frame is within 32 bits");
        let mut head = &mut self.last[start..];
        head.put_u32_le(fits(length));
        head.put_u32_le(number);
        head.put_u32_le(fits(said));
        for body in bodies {
            if body.len() < OWN_PIECE {
                self.last.extend_from_slice(body);
            } else {
                self.pieces.push(self.last.split().freeze());
                self.pieces.push(body.clone());
            }
        }
        Ok(())
    }

    /// Takes out what is to be sent, in order.
    pub(in crate::engine::sqlite::remote) fn take(&mut self) -> Vec<Bytes> {
        let mut pieces = std::mem::take(&mut self.pieces);
        if !self.last.is_empty() {
            pieces.push(self.last.split().freeze());
        }
        pieces
    }
}

/// Writes behind the bytes that are there.
struct Behind<'b>(&'b mut BytesMut);

impl Flavor for Behind<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.put_u8(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

pub(in crate::engine::sqlite::remote) fn malformed(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_were_put_in_however_they_are_cut() {
        let mut outbox = Outbox::default();
        let large = Bytes::from(vec![7; OWN_PIECE]);
        outbox.add(1, &"one", &[]).unwrap();
        outbox
            .add(
                2,
                &("two", 2_u64),
                &[Bytes::from_static(b"body"), large.clone()],
            )
            .unwrap();
        outbox.add(3, &"three", &[]).unwrap();
        let sent: Vec<u8> = outbox.take().concat();
        assert!(outbox.take().is_empty());
        let (mut come, mut frames) = (BytesMut::new(), Vec::new());
        for byte in sent {
            come.put_u8(byte);
            if let Some(head) = Head::of(&come).unwrap() {
                frames.extend(head.take(&mut come));
            }
        }
        let numbers: Vec<u32> = frames.iter().map(|frame| frame.number).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!(frames[0].read::<&str>().unwrap(), "one");
        assert_eq!(frames[1].read::<(&str, u64)>().unwrap(), ("two", 2));
        assert_eq!(frames[1].body, [&b"body"[..], &large].concat());
        assert!(frames[2].read::<(u64, Vec<u64>, String)>().is_err());
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_before_it_has_come() {
        let mut head = BytesMut::new();
        head.put_u32_le(u32::MAX);
        head.put_u32_le(1);
        head.put_u32_le(0);
        assert!(Head::of(&head).is_err());
        head.clear();
        head.put_u32_le(4);
        head.put_u32_le(1);
        head.put_u32_le(5);
        assert!(Head::of(&head).is_err(), "more is said than it has bytes");
        assert_eq!(Head::of(&head[..11]).unwrap(), None);
    }
}
