//! Reading a whole journal from its beginning: what is good, where that ends, and why.
use super::frame::{self, Piece};
use super::segment::{self, Location};
use std::io;
use std::path::Path;

/// What was found from the beginning of a journal on.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The segments there are, ascending.
    pub(crate) segments: Vec<u32>,
    /// Where the next frame would go: behind the last one that was accepted.
    pub(crate) end: Location,
    /// What lies behind that.
    pub(crate) rest: Rest,
}

/// What lies behind the last accepted frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing.
    Nothing,
    /// Bytes that are no frame, and nothing good behind them: a write that was cut short.
    Torn {
        /// How many there are.
        bytes: u64,
    },
    /// Anything else.
    Damage(Damage),
}

/// A place where a journal is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("segment {:08} is damaged at byte {}: {reason}", at.segment, at.offset)]
pub struct Damage {
    /// Where it begins.
    pub at: Location,
    /// What is wrong there.
    pub reason: String,
}

/// Shows every good frame to `accept`, in order, until it or the journal says that something is
/// wrong; frames behind that go to `beyond`.
///
/// # Errors
/// When the folder cannot be listed. A segment that cannot be read counts as damaged.
pub(crate) fn walk(
    folder: &Path,
    mut accept: impl FnMut(Location, &[u8]) -> Result<(), String>,
    mut beyond: impl FnMut(Location, &[u8]),
) -> io::Result<Walk> {
    let segments = segment::list(folder)?;
    let mut end = Location {
        segment: 1,
        offset: 0,
    };
    let mut junk: Option<(Damage, u64)> = None;
    let mut damage: Option<Damage> = None;
    let mut buffer = Vec::new();
    for (number, expected) in segments.iter().copied().zip(1..) {
        let start = Location {
            segment: number,
            offset: 0,
        };
        if number != expected && damage.is_none() {
            damage = Some(Damage {
                at: start,
                reason: segment::missing(folder, expected),
            });
        }
        if let Err(error) = segment::read(folder, number, &mut buffer) {
            damage.get_or_insert_with(|| Damage {
                at: start,
                reason: format!("it cannot be read: {error}"),
            });
            continue;
        }
        if junk.is_none() && damage.is_none() {
            end = start;
        }
        // A segment is begun only when the one before it is whole.
        if !buffer.is_empty()
            && let Some((before, _)) = junk.take()
        {
            damage.get_or_insert(before);
        }
        for piece in frame::pieces(&buffer) {
            match piece {
                Piece::Frame { offset, body } => {
                    let at = Location {
                        segment: number,
                        offset,
                    };
                    if let Some((before, _)) = junk.take() {
                        damage.get_or_insert(before);
                    }
                    if damage.is_some() {
                        beyond(at, body);
                        continue;
                    }
                    match accept(at, body) {
                        Ok(()) => end.offset = offset + (frame::HEADER_BYTES + body.len()) as u64,
                        Err(reason) => {
                            damage = Some(Damage { at, reason });
                            beyond(at, body);
                        }
                    }
                }
                Piece::Junk {
                    offset,
                    length,
                    reason,
                } => match &mut junk {
                    Some((_, bytes)) => *bytes += length,
                    None => {
                        let at = Location {
                            segment: number,
                            offset,
                        };
                        let reason = reason.to_owned();
                        junk = Some((Damage { at, reason }, length));
                    }
                },
            }
        }
    }
    let rest = match (damage, junk) {
        (Some(damage), _) => Rest::Damage(damage),
        // Only whole segments are archived.
        (None, Some((damage, _))) if segment::is_archived(folder, damage.at.segment) => {
            Rest::Damage(damage)
        }
        (None, Some((_, bytes))) => Rest::Torn { bytes },
        (None, None) => Rest::Nothing,
    };
    Ok(Walk {
        segments,
        end,
        rest,
    })
}
