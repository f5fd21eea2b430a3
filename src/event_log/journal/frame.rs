//! Frames: how one commit lies in a journal.
//!
//! `format u16 · length u32 · crc32c u32 · body`, integers little-endian. The checksum covers
//! format, length and body. A frame is there wholly, or it is not a frame.
use crate::event_log::codec::LARGEST_COMMIT_READ;
use memchr::memmem;
use std::io;

/// Begins every frame: the mark, then the number of the format. No UTF-8 text holds these two
/// bytes in a row, so a user's text is never mistaken for a frame.
pub(crate) const FORMAT: [u8; 2] = [0xDB, 0x01];

/// Bytes before the body.
pub(crate) const HEADER_BYTES: usize = 10;

/// Puts a frame with this body at the end of `out`.
pub(crate) fn write(out: &mut Vec<u8>, body: &[u8]) {
    let length = u32::try_from(body.len())
        .expect("a body is bounded by LARGEST_COMMIT_READ")
        .to_le_bytes();
    out.extend_from_slice(&FORMAT);
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(length, body).to_le_bytes());
    out.extend_from_slice(body);
}

/// What lies at one place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A frame whose checksum is right.
    Frame {
        /// Where it begins.
        offset: u64,
        /// Its commit.
        body: &'a [u8],
    },
    /// Bytes that are no frame, up to the next good one or the end.
    Junk {
        /// Where they begin.
        offset: u64,
        /// How many there are.
        length: u64,
        /// What is wrong with them.
        reason: &'static str,
    },
}

/// The pieces of a segment, in order.
pub(crate) fn pieces(segment: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = segment.get(at..).filter(|it| !it.is_empty())?;
        let offset = at as u64;
        match read(rest) {
            Ok(body) => {
                at += HEADER_BYTES + body.len();
                Some(Piece::Frame { offset, body })
            }
            Err(reason) => {
                let length = next_frame(rest).unwrap_or(rest.len());
                at += length;
                Some(Piece::Junk {
                    offset,
                    length: length as u64,
                    reason,
                })
            }
        }
    })
}

/// How many bytes the frame at the beginning of `bytes` has, or those of a header where not even
/// that is there.
///
/// # Errors
/// When no frame begins there (`InvalidData`).
pub(crate) fn length(bytes: &[u8]) -> io::Result<usize> {
    match bytes.first_chunk() {
        Some(header) => {
            let (body, _) = parse_header(header).map_err(invalid)?;
            Ok(HEADER_BYTES + body)
        }
        None => Ok(HEADER_BYTES),
    }
}

/// The body of the frame at the beginning of `bytes`.
///
/// # Errors
/// When no good frame is there (`InvalidData`).
pub(crate) fn body(bytes: &[u8]) -> io::Result<&[u8]> {
    read(bytes).map_err(invalid)
}

fn read(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let (header, rest) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or("the last frame is not complete")?;
    let (length, crc) = parse_header(header)?;
    let body = rest.get(..length).ok_or("the last frame is not complete")?;
    check(header, crc, body)?;
    Ok(body)
}

fn parse_header(header: &[u8; HEADER_BYTES]) -> Result<(usize, u32), &'static str> {
    let [f0, f1, l0, l1, l2, l3, c0, c1, c2, c3] = *header;
    if [f0, f1] != FORMAT {
        return Err("no frame begins here");
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > LARGEST_COMMIT_READ {
        return Err("a frame is larger than the largest commit");
    }
    Ok((length, u32::from_le_bytes([c0, c1, c2, c3])))
}

fn check(header: &[u8; HEADER_BYTES], crc: u32, body: &[u8]) -> Result<(), &'static str> {
    let [_, _, l0, l1, l2, l3, ..] = *header;
    if checksum([l0, l1, l2, l3], body) != crc {
        return Err("the checksum of a frame does not match");
    }
    Ok(())
}

fn checksum(length: [u8; 4], body: &[u8]) -> u32 {
    let head = crc32c::crc32c_append(crc32c::crc32c(&FORMAT), &length);
    crc32c::crc32c_append(head, body)
}

/// Where the next good frame begins behind the first byte.
fn next_frame(bytes: &[u8]) -> Option<usize> {
    memmem::find_iter(bytes.get(1..)?, &FORMAT)
        .map(|at| at + 1)
        .find(|at| read(&bytes[*at..]).is_ok())
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn journal_of(bodies: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for body in bodies {
            write(&mut out, body);
        }
        out
    }

    #[test]
    fn a_damaged_frame_is_junk_and_the_frames_around_it_are_still_found() {
        let mut bytes = journal_of(&[b"one", b"two", b"three"]);
        bytes[HEADER_BYTES + 3 + HEADER_BYTES] ^= 1;
        let found: Vec<_> = pieces(&bytes).collect();
        assert_eq!(
            found,
            [
                Piece::Frame {
                    offset: 0,
                    body: b"one"
                },
                Piece::Junk {
                    offset: 13,
                    length: 13,
                    reason: "the checksum of a frame does not match"
                },
                Piece::Frame {
                    offset: 26,
                    body: b"three"
                },
            ]
        );
    }

    #[test]
    fn text_never_holds_the_mark_of_a_frame() {
        assert!(String::from_utf8(FORMAT.to_vec()).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_are_cut_into_pieces_that_cover_them(
            bytes in proptest::collection::vec(prop_oneof![Just(0xDB_u8), Just(1), Just(0), any::<u8>()], 0..400)
        ) {
            let covered: u64 = pieces(&bytes).map(|piece| match piece {
                Piece::Frame { body, .. } => (HEADER_BYTES + body.len()) as u64,
                Piece::Junk { length, .. } => length,
            }).sum();
            prop_assert_eq!(covered, bytes.len() as u64);
        }

        #[test]
        fn every_changed_bit_is_noticed(body in proptest::collection::vec(any::<u8>(), 0..200), bit in any::<prop::sample::Index>()) {
            let mut bytes = journal_of(&[&body]);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let is_junk = |it: Piece<'_>| matches!(it, Piece::Junk { .. });
            prop_assert!(pieces(&bytes).all(is_junk));
        }
    }
}
