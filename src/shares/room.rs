//! The bounded resources of the gateway.
use super::account::{Account, Kind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A caller may use this many times what is free.
pub const ALONE: usize = 3;

/// Why a resource was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The resource is used up.
    Full,
    /// The caller has reached its share; others can still get some.
    ShareTaken,
}

/// The size of each resource.
#[derive(Debug, Clone, Copy)]
pub struct RoomSizes {
    /// Requests that are being processed.
    pub working: usize,
    /// Requests that wait for their bodies, for permits, or for events.
    pub waiting: usize,
    /// Event streams.
    pub streams: usize,
    /// Bytes of requests and answers that are in memory.
    pub bytes: usize,
    /// Requests that came through trusted proxies.
    pub forwarded: usize,
}

/// The resources of the gateway, one for each [`Kind`].
#[derive(Debug)]
pub struct Rooms([Room; Kind::ALL.len()]);

/// One resource.
#[derive(Debug)]
struct Room {
    most: usize,
    taken: AtomicUsize,
    /// How often it was refused because it was used up, and because a share was.
    refused: [AtomicU64; 2],
    /// How often a place to wait was taken.
    waits: AtomicU64,
}

impl Rooms {
    /// Unused resources of these sizes.
    #[must_use]
    pub fn new(sizes: RoomSizes) -> Self {
        Self(Kind::ALL.map(|kind| Room {
            most: match kind {
                Kind::Working => sizes.working,
                Kind::Waiting => sizes.waiting,
                Kind::Streams => sizes.streams,
                Kind::Bytes => sizes.bytes,
                Kind::Forwarded => sizes.forwarded,
            },
            taken: AtomicUsize::new(0),
            refused: Default::default(),
            waits: AtomicU64::default(),
        }))
    }

    /// The size of a resource.
    #[must_use]
    pub fn most(&self, kind: Kind) -> usize {
        self.0[kind as usize].most
    }

    /// How much of it is used.
    #[must_use]
    pub fn taken(&self, kind: Kind) -> usize {
        self.0[kind as usize].taken.load(Ordering::Relaxed)
    }

    /// How often it was refused so, since the start.
    #[must_use]
    pub fn refused(&self, kind: Kind, why: Refused) -> u64 {
        self.0[kind as usize].refused[why as usize].load(Ordering::Relaxed)
    }

    /// How often a request had to wait, since the start.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.0[Kind::Waiting as usize].waits.load(Ordering::Relaxed)
    }

    /// How much an account may use at the moment: what it uses and what it could still
    /// take.
    #[must_use]
    pub fn share(&self, kind: Kind, account: &Account) -> usize {
        let (most, taken, own) = (self.most(kind), self.taken(kind), account.has(kind));
        let others = taken.saturating_sub(own);
        // own = ALONE × (most - others - own)
        let free = most.saturating_sub(others);
        (free * ALONE).div_ceil(ALONE + 1).max(own)
    }

    /// Takes units for an account.
    ///
    /// # Errors
    /// When the resource is used up, or the account has reached its share.
    pub(super) fn take(&self, kind: Kind, account: &Account, count: usize) -> Result<(), Refused> {
        let Room {
            most,
            taken,
            refused,
            waits,
        } = &self.0[kind as usize];
        let refuse = |why: Refused| {
            refused[why as usize].fetch_add(1, Ordering::Relaxed);
            Err(why)
        };
        let others_too = taken.fetch_add(count, Ordering::Relaxed);
        if others_too + count > *most {
            taken.fetch_sub(count, Ordering::Relaxed);
            return refuse(Refused::Full);
        }
        let own = account.counter(kind).fetch_add(count, Ordering::Relaxed);
        if own + count > ALONE * (most - others_too) {
            self.give_back(kind, account, count);
            return refuse(Refused::ShareTaken);
        }
        if kind == Kind::Waiting {
            waits.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Returns units of an account.
    pub(super) fn give_back(&self, kind: Kind, account: &Account, count: usize) {
        account.counter(kind).fetch_sub(count, Ordering::Relaxed);
        self.0[kind as usize]
            .taken
            .fetch_sub(count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::{Accounts, Holder};
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    const SIZES: RoomSizes = RoomSizes {
        working: 100,
        waiting: 1,
        streams: 0,
        bytes: 1 << 20,
        forwarded: 0,
    };

    fn take_all(rooms: &Rooms, account: &Account) -> (usize, Refused) {
        let mut count = 0;
        loop {
            match rooms.take(Kind::Working, account, 1) {
                Ok(()) => count += 1,
                Err(refused) => return (count, refused),
            }
        }
    }

    #[test]
    fn one_alone_may_have_most_of_a_room_and_the_next_one_always_finds_some() {
        let (rooms, accounts) = (Rooms::new(SIZES), Accounts::default());
        let callers = (1..=4_u8).map(|it| {
            let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, it));
            accounts.of(Holder::at(address))
        });
        let callers: Vec<_> = callers.collect();
        let got: Vec<_> = callers
            .iter()
            .map(|caller| take_all(&rooms, caller).0)
            .collect();
        assert_eq!(got, [75, 19, 5, 1]);
        assert_eq!(take_all(&rooms, &callers[0]), (0, Refused::Full));

        rooms.give_back(Kind::Working, &callers[0], 75);
        assert_eq!(rooms.taken(Kind::Working), 25);
        assert_eq!(take_all(&rooms, &callers[0]), (57, Refused::ShareTaken));
        assert_eq!(rooms.share(Kind::Working, &callers[0]), 57);
    }

    #[test]
    fn a_room_of_one_has_a_place_and_a_room_of_none_has_not() {
        let (rooms, accounts) = (Rooms::new(SIZES), Accounts::default());
        let root = accounts.of(Holder::Root);
        assert_eq!(rooms.take(Kind::Waiting, &root, 1), Ok(()));
        assert_eq!(rooms.take(Kind::Waiting, &root, 1), Err(Refused::Full));
        assert_eq!(rooms.take(Kind::Streams, &root, 1), Err(Refused::Full));
    }
}
