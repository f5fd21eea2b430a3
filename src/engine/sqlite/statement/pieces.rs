//! Where the bytes of an answer go while it is being written: kept whole, or sent in pieces.
use crate::clock::Stopwatch;
use crate::engine::sqlite::error::SqlError;
use crate::engine::sqlite::sandbox::execution_limits::InterruptHandle;
use crate::shares::Held;
use std::sync::Arc;
use std::time::Duration;

/// Takes what was written of an answer, when it wants to.
pub(crate) trait Outlet {
    /// Called after each value, and after each part of a long one.
    fn after_part(&mut self, out: &mut Vec<u8>) -> Result<(), SqlError>;

    /// Called after each row.
    fn after_row(&mut self, out: &mut Vec<u8>) -> Result<(), SqlError>;

    /// The room that what is left of the answer has.
    fn held(&mut self) -> Held;

    /// How long it has waited for its reader so far.
    fn paused(&self) -> Duration {
        Duration::ZERO
    }
}

impl<O: Outlet> Outlet for &mut O {
    #[inline]
    fn after_part(&mut self, out: &mut Vec<u8>) -> Result<(), SqlError> {
        (**self).after_part(out)
    }

    #[inline]
    fn after_row(&mut self, out: &mut Vec<u8>) -> Result<(), SqlError> {
        (**self).after_row(out)
    }

    fn held(&mut self) -> Held {
        (**self).held()
    }

    fn paused(&self) -> Duration {
        (**self).paused()
    }
}

/// From here on the buffer of an answer has room for the largest one: pages of memory that nothing is
/// written to do not exist, while a buffer that grows leaves a chain of copies behind it.
const LARGE_BYTES: usize = 1 << 20;

/// The largest answer by default, and more than the last part of one that is too large.
const LARGEST_BYTES: usize = (64 << 20) + (512 << 10);

/// Keeps the answer whole, up to a bound.
pub(crate) struct Whole {
    max_bytes: usize,
    held: Held,
    /// As many bytes may be written before more room is asked for.
    room: usize,
}

impl Whole {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            held: Held::default(),
            room: 0,
        }
    }

    #[cold]
    fn ask_for_room(&mut self, out: &mut Vec<u8>) -> Result<(), SqlError> {
        bounded(out.len(), self.max_bytes)?;
        self.held.grow(out.len()).map_err(|_| SqlError::NoRoom)?;
        self.room = self.held.room().min(self.max_bytes);
        if (LARGE_BYTES..LARGEST_BYTES).contains(&out.len()) && out.capacity() < LARGEST_BYTES {
            out.reserve_exact(LARGEST_BYTES - out.len());
        }
        Ok(())
    }
}

impl Outlet for Whole {
    #[inline]
    fn after_part(&mut self, out: &mut Vec<u8>) -> Result<(), SqlError> {
        if out.len() <= self.room {
            return Ok(()); // as after most values
        }
        self.ask_for_room(out)
    }

    fn held(&mut self) -> Held {
        std::mem::take(&mut self.held)
    }

    fn after_row(&mut self, _: &mut Vec<u8>) -> Result<(), SqlError> {
        Ok(())
    }
}

/// Sends the answer in pieces of whole rows, as far as rows are not huge; of long values, in parts.
pub(crate) struct Pieces<S> {
    send: S,
    max_bytes: usize,
    sent_bytes: usize,
    interrupts: Arc<InterruptHandle>,
    looks: u64,
    last_sent: Stopwatch,
    paused: Duration,
}

/// About how many bytes the first piece has: few, so that it is on its way at once.
const FIRST_PIECE_BYTES: usize = 4 << 10;

/// About how many bytes each other piece has: changing threads costs some 10 µs, which is little
/// against the 300 µs in which a piece is written.
pub(crate) const PIECE_BYTES: usize = 64 << 10;

/// Room behind a full piece for the row that fills it.
const LAST_ROW_BYTES: usize = 4 << 10;

/// A statement that takes its time over few rows sends them this often.
const LONGEST_HELD: Duration = Duration::from_millis(10);

impl<S: FnMut(Vec<u8>) -> Result<(), SqlError>> Pieces<S> {
    /// Gives pieces to `send`, which may wait. `interrupt handle` tells that the statement has
    /// worked for a while.
    pub(crate) fn new(max_bytes: usize, interrupts: Arc<InterruptHandle>, send: S) -> Self {
        Self {
            send,
            max_bytes,
            sent_bytes: 0,
            looks: interrupts.looks(),
            interrupts,
            last_sent: Stopwatch::start(),
            paused: Duration::ZERO,
        }
    }

    fn send(&mut self, out: &mut Vec<u8>) -> Result<(), SqlError> {
        let piece = std::mem::replace(out, Vec::with_capacity(PIECE_BYTES + LAST_ROW_BYTES));
        self.sent_bytes += piece.len();
        let waits = Stopwatch::start();
        let sent = (self.send)(piece);
        self.paused += waits.elapsed();
        self.last_sent = Stopwatch::start();
        sent
    }

    /// Whether rows were held back for long enough.
    fn is_slow(&mut self) -> bool {
        let looks = self.interrupts.looks();
        looks != std::mem::replace(&mut self.looks, looks)
            && self.last_sent.elapsed() > LONGEST_HELD
    }
}

impl<S: FnMut(Vec<u8>) -> Result<(), SqlError>> Outlet for Pieces<S> {
    fn after_part(&mut self, out: &mut Vec<u8>) -> Result<(), SqlError> {
        bounded(self.sent_bytes.saturating_add(out.len()), self.max_bytes)?;
        if out.len() > 2 * PIECE_BYTES {
            return self.send(out);
        }
        Ok(())
    }

    fn after_row(&mut self, out: &mut Vec<u8>) -> Result<(), SqlError> {
        let enough = match self.sent_bytes {
            0 => FIRST_PIECE_BYTES,
            _ => PIECE_BYTES,
        };
        if out.len() >= enough || self.is_slow() {
            return self.send(out);
        }
        Ok(())
    }

    fn held(&mut self) -> Held {
        Held::default() // each piece has its own
    }

    fn paused(&self) -> Duration {
        self.paused
    }
}

fn bounded(bytes: usize, max_bytes: usize) -> Result<(), SqlError> {
    if bytes > max_bytes {
        return Err(SqlError::ResultTooLarge {
            limit: format!("{max_bytes} bytes"),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_large_answer_is_not_copied_while_it_grows() {
        let mut whole = Whole::new(64 << 20);
        let (mut out, part) = (Vec::new(), vec![b'x'; 48 << 10]);
        let mut places = HashSet::new();
        while out.len() < 40 << 20 {
            out.extend_from_slice(&part);
            whole.after_part(&mut out).unwrap();
            if out.len() >= LARGE_BYTES {
                places.insert(out.as_ptr());
            }
        }
        assert_eq!(places.len(), 1);
    }
}
