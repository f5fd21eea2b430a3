//! Counts the bytes of requests and answers in memory until they are sent.
use super::account::Kind;
use super::pass::Pass;
use super::room::Refused;
use bytes::Bytes;
use std::time::Duration;

/// Smaller amounts are not counted; the connection itself uses more.
const UNCOUNTED: usize = 4 << 10;
/// Growing buffers reserve memory in steps of this size; smaller ones double.
const STEP: usize = 64 << 10;
/// How often waiting streams check for free memory.
pub const LOOK: Duration = Duration::from_millis(20);

/// A memory reservation of one request or answer. Dropping it releases the memory.
#[derive(Debug, Default)]
pub struct Held {
    /// The owner of the bytes: the request that is processed when the first are counted.
    pass: Option<Pass>,
    bytes: usize,
}

impl Held {
    /// A reservation for the holder of `pass`.
    #[must_use]
    pub fn of(pass: Pass) -> Self {
        Self {
            pass: Some(pass),
            bytes: 0,
        }
    }

    /// As many bytes need no more room.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bytes.max(UNCOUNTED - 1)
    }

    /// Has room for `bytes` in all from now on, if it has no more already. Bytes that belong to no
    /// request are not counted.
    ///
    /// # Errors
    /// When there is no room for them; it has what it had.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Refused> {
        self.grow_leaving(0, bytes)
    }

    /// The same, where `left` bytes stay free for others of the same holder.
    ///
    /// # Errors
    /// As [`Self::grow`].
    pub fn grow_leaving(&mut self, left: usize, bytes: usize) -> Result<(), Refused> {
        if bytes <= self.room() {
            return Ok(());
        }
        if self.pass.is_none() {
            self.pass = Pass::here();
        }
        let Some(pass) = &self.pass else {
            return Ok(());
        };
        // An answer grows with each value: few steps, as the buffer behind it takes them.
        let bytes = match bytes {
            small if small < STEP => small.next_power_of_two(),
            large => large.next_multiple_of(STEP),
        };
        let more = bytes - self.bytes;
        pass.rooms()
            .take(Kind::Bytes, pass.account(), more + left)?;
        pass.rooms().give_back(Kind::Bytes, pass.account(), left);
        self.bytes = bytes;
        Ok(())
    }

    /// The same for bytes that are there already and can wait to be sent.
    pub async fn grow_in_time(&mut self, bytes: usize) {
        while self.grow(bytes).is_err() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The same for bytes that are shared already.
    #[must_use]
    pub fn with(self, bytes: Bytes) -> Bytes {
        if self.bytes == 0 {
            return bytes;
        }
        Bytes::from_owner(Kept { bytes, _held: self })
    }

    /// Wraps the bytes, which keep the reservation until the last of them is dropped.
    #[must_use]
    pub fn keep(self, bytes: Vec<u8>) -> Bytes {
        if self.bytes == 0 {
            return bytes.into();
        }
        Bytes::from_owner(Kept { bytes, _held: self })
    }
}

struct Kept<B> {
    bytes: B,
    _held: Held,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Kept<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let (Some(pass), 1..) = (&self.pass, self.bytes) {
            let rooms = pass.rooms();
            rooms.give_back(Kind::Bytes, pass.account(), self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::{Accounts, Holder};
    use super::super::room::{RoomSizes, Rooms};
    use super::*;
    use std::sync::Arc;

    #[test]
    fn bytes_are_counted_until_the_last_piece_of_them_is_gone() {
        let rooms = Arc::new(Rooms::new(RoomSizes {
            working: 1,
            waiting: 1,
            streams: 1,
            bytes: 4 * STEP,
            forwarded: 0,
        }));
        let pass = Pass::new(&rooms, Accounts::default().of(Holder::Root));
        let mut held = Held::of(pass.clone());
        held.grow(UNCOUNTED - 1).unwrap();
        assert_eq!(rooms.taken(Kind::Bytes), 0);
        held.grow(2 * STEP + 1).unwrap();
        assert_eq!(rooms.taken(Kind::Bytes), 3 * STEP);
        assert_eq!(held.grow(4 * STEP), Err(Refused::ShareTaken));
        let mut beside = Held::of(pass.clone());
        assert!(beside.grow_leaving(STEP, STEP).is_err());
        assert_eq!(rooms.taken(Kind::Bytes), 3 * STEP, "nothing is taken then");

        let mut bytes = held.keep(vec![7; 2 * STEP + 1]);
        let piece = bytes.split_to(5);
        drop(bytes);
        assert_eq!(rooms.taken(Kind::Bytes), 3 * STEP);
        drop(piece);
        assert_eq!(rooms.taken(Kind::Bytes), 0);
    }
}
