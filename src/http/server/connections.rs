//! Connection limit and eviction.
//!
//! A new connection is always accepted. Beyond the limit the longest idle one is closed: first those
//! that have sent no request, then those without a token, then others. Each address has a share;
//! beyond it, one of its own connections is closed. If none is idle, a few more are accepted for
//! health checks only. A trusted proxy may use all connections; each client it names then has a
//! share of the requests on them.
use crate::clock::Stopwatch;
use crate::config::TrustedProxies;
use crate::locks::Mutex;
use crate::shares::{ALONE, Holder, Place};
use crate::telemetry::add_alone;
use futures_util::task::AtomicWaker;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::task::Context;

/// Connections past the bound on which probes are answered.
const FOR_PROBES: usize = 64;
/// Connections that are found at a time to be closed one after another: looking for them is a walk
/// over all.
const FOUND_AT_ONCE: usize = 64;

/// Connections that are closed at a time when the system has no more files.
const CLOSED_AT_ONCE: usize = 8;

/// Requests that were sent at once and are served before others get their turn.
const SERVED_IN_A_ROW: u32 = 4;

/// The connections of one listener.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    trusted_proxies: TrustedProxies,
    since: Stopwatch,
    inside: Mutex<Inside>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    address: IpAddr,
    /// Whose share it is of; none behind a trusted proxy, which has many clients.
    holder: Option<Holder>,
    /// Whether only probes are answered on it.
    pub(crate) is_for_probes: bool,
    /// Place of the request of a proxy's client, while that is under way on it.
    forwarded: Mutex<Option<Place>>,
    /// Whether its last request had a token that was accepted.
    is_known: AtomicBool,
    /// Requests since its client was last waited for.
    in_a_row: AtomicU32,
    /// See [`Standing`].
    standing: AtomicU64,
    /// Bytes that were received and sent; its task alone adds to them.
    bytes: [AtomicU64; 2],
    end: Ending,
    all: Arc<Connections>,
}

#[derive(Debug, Default)]
struct Inside {
    last_id: u64,
    open: HashMap<u64, Arc<Connection>>,
    of_holders: HashMap<Holder, usize>,
    /// Those on which only probes are answered.
    for_probes: usize,
    /// Bytes that were received and sent on those that are closed.
    bytes: [u64; 2],
    found: Found,
}

/// Connections that were idle at the last search, longest idle last.
#[derive(Debug, Default)]
struct Found {
    holder: Option<Holder>,
    idle: Vec<(u64, Arc<Connection>)>,
}

/// How a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum End {
    /// After the request that it is answering.
    AfterRequest = 1,
    /// At once: another needs its place.
    Now = 2,
}

/// Tells a connection how it is to end. Asking takes a few nanoseconds, and is done whenever the
/// connection waits.
#[derive(Debug, Default)]
struct Ending {
    end: AtomicU8,
    waker: AtomicWaker,
}

impl Ending {
    fn tell(&self, end: End) {
        self.end.fetch_max(end as u8, Ordering::AcqRel);
        self.waker.wake();
    }

    fn told(&self) -> Option<End> {
        let told = self.end.load(Ordering::Acquire);
        [End::AfterRequest, End::Now]
            .into_iter()
            .find(|end| *end as u8 == told)
    }
}

/// How a connection stands. In one number: the sort in the upper bits, since when it is idle in
/// milliseconds in the lower ones. So the least number is closed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Standing {
    /// Has sent no request yet.
    New = 0,
    /// Its last request had no token that was accepted.
    Unknown = 1,
    /// Its last request had one.
    Known = 2,
    /// It is sent an answer that goes on.
    Streaming = 3,
    /// A request of it is worked on.
    Busy = 4,
}

const SORT_SHIFT: u32 = 56;
/// A connection that was told to close.
const CLOSING: u64 = u64::MAX;

impl Connections {
    pub(crate) fn new(most: usize, trusted_proxies: TrustedProxies) -> Arc<Self> {
        Arc::new(Self {
            most,
            trusted_proxies,
            since: Stopwatch::start(),
            inside: Mutex::default(),
        })
    }

    /// Bytes that were received and sent on all of them, since the start.
    pub(crate) fn bytes(&self) -> [u64; 2] {
        let inside = self.lock();
        let open = inside.open.values().map(|connection| connection.bytes());
        open.fold(inside.bytes, plus)
    }

    /// Takes a connection in, and closes another where that is needed. `None` when there is no room
    /// even for probes.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<OpenConnection> {
        let holder = match self.trusted_proxies.include(address) {
            true => None,
            false => Some(Holder::at(address)),
        };
        let mut inside = self.lock();
        let free = self.most.saturating_sub(inside.open.len());
        let own = holder.and_then(|holder| inside.of_holders.get(&holder).copied());
        let has_share = own.is_some_and(|it| it >= ALONE * free);
        let of = match (free, has_share) {
            (0, _) => Some(None),
            (_, true) => Some(holder),
            (_, false) => None,
        };
        // In the place of one that was there for probes, it is there for probes.
        let is_for_probes = of.is_some_and(|of| {
            let closed = inside.close_one(of);
            closed.is_none_or(|it| it.is_for_probes)
        });
        if is_for_probes && inside.for_probes >= FOR_PROBES {
            return None;
        }
        inside.for_probes += usize::from(is_for_probes);
        inside.last_id += 1;
        let connection = Arc::new(Connection {
            id: inside.last_id,
            address,
            holder,
            is_for_probes,
            forwarded: Mutex::default(),
            is_known: AtomicBool::new(false),
            in_a_row: AtomicU32::new(0),
            standing: AtomicU64::new(self.idle_from_now(Standing::New)),
            bytes: Default::default(),
            end: Ending::default(),
            all: Arc::clone(self),
        });
        inside.open.insert(connection.id, Arc::clone(&connection));
        if let Some(holder) = holder {
            *inside.of_holders.entry(holder).or_default() += 1;
        }
        Some(OpenConnection(connection))
    }

    /// Closes connections that are idle: the system has no more files. How many.
    pub(crate) fn make_room(&self) -> usize {
        let mut inside = self.lock();
        (0..CLOSED_AT_ONCE)
            .take_while(|_| inside.close_one(None).is_some())
            .count()
    }

    /// Ends all of them, each after the request that it is answering.
    pub(crate) fn end_all(&self) {
        for connection in self.lock().open.values() {
            connection.end.tell(End::AfterRequest);
        }
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.lock().open.len()
    }

    fn idle_from_now(&self, standing: Standing) -> u64 {
        let since = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        number(standing) | since.min((1 << SORT_SHIFT) - 1)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock()
    }
}

impl Inside {
    /// Closes the connection that has been idle longest, of a holder where one is named. `None` when
    /// none is idle.
    fn close_one(&mut self, holder: Option<Holder>) -> Option<Arc<Connection>> {
        if self.found.holder != holder {
            self.found = Found::default();
        }
        let mut has_looked = false;
        loop {
            while let Some((standing, connection)) = self.found.idle.pop() {
                // One that has moved since is not idle any more, or not so long.
                if connection.standing.load(Ordering::Relaxed) == standing {
                    connection.standing.store(CLOSING, Ordering::Relaxed);
                    connection.end.tell(End::Now);
                    return Some(connection);
                }
            }
            if has_looked {
                return None;
            }
            self.found = self.find_idle(holder);
            has_looked = true;
        }
    }

    /// Looks for the connections that are to be closed next: of the first sort that there is.
    fn find_idle(&self, holder: Option<Holder>) -> Found {
        let is_of_holder = |it: &&Arc<Connection>| holder.is_none() || it.holder == holder;
        let standing = |it: &Arc<Connection>| (it.standing.load(Ordering::Relaxed), Arc::clone(it));
        let busy = number(Standing::Busy);
        let those = self.open.values().filter(is_of_holder).map(standing);
        let mut idle: Vec<_> = those.filter(|(it, _)| *it < busy).collect();
        idle.sort_unstable_by_key(|(standing, connection)| (*standing, connection.id));
        let first = idle.first().map(|(it, _)| it >> SORT_SHIFT);
        let of_first = |(it, _): &(u64, _)| Some(it >> SORT_SHIFT) == first;
        let count = idle.iter().take_while(|it| of_first(it)).count();
        idle.truncate(count.min(FOUND_AT_ONCE));
        idle.reverse();
        Found { holder, idle }
    }
}

impl Connection {
    /// Counts bytes that its client sent.
    pub(super) fn received(&self, bytes: usize) {
        add_alone(&self.bytes[0], bytes as u64);
    }

    /// Counts bytes that its client was sent.
    pub(super) fn sent(&self, bytes: usize) {
        add_alone(&self.bytes[1], bytes as u64);
    }

    fn bytes(&self) -> [u64; 2] {
        [0, 1].map(|at: usize| self.bytes[at].load(Ordering::Relaxed))
    }

    /// How it is to end, if it is; otherwise the task is woken when that is so.
    pub(crate) fn end(&self, task: &Context<'_>) -> Option<End> {
        self.end.waker.register(task.waker());
        self.end.told()
    }

    /// Where it comes from.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether a trusted proxy sends on it what clients ask.
    pub(crate) fn is_forwarded(&self) -> bool {
        self.holder.is_none()
    }

    /// Keeps the place of a request until it is answered, and all that streams is sent.
    pub(crate) fn hold(&self, place: Option<Place>) {
        *self.forwarded.lock() = place;
    }

    /// Marks it as serving a request. Returns whether others are to be served first, because the
    /// client has sent many at once.
    #[must_use]
    pub(crate) fn mark_busy(&self) -> bool {
        let busy = number(Standing::Busy);
        self.standing.store(busy, Ordering::Relaxed);
        let before = self.in_a_row.fetch_add(1, Ordering::Relaxed);
        before >= SERVED_IN_A_ROW
    }

    /// Its client has sent nothing more yet.
    pub(crate) fn waits_for_client(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
    }

    /// Records whether the token of its request was accepted.
    pub(crate) fn set_authenticated(&self, is_authenticated: bool) {
        self.is_known.store(is_authenticated, Ordering::Relaxed);
    }

    /// Marks its request as answered; `goes_on` where the answer is still being streamed.
    pub(crate) fn mark_idle(&self, goes_on: bool) {
        if !goes_on && self.is_forwarded() {
            self.hold(None);
        }
        self.rests(match (goes_on, self.is_known.load(Ordering::Relaxed)) {
            (true, _) => Standing::Streaming,
            (false, true) => Standing::Known,
            (false, false) => Standing::Unknown,
        });
    }

    /// It is idle from now on, and stands so.
    fn rests(&self, standing: Standing) {
        let standing = self.all.idle_from_now(standing);
        self.standing.store(standing, Ordering::Relaxed);
    }

    /// The client has taken something of an answer that it kept waiting.
    pub(crate) fn moves(&self) {
        let sort = self.standing.load(Ordering::Relaxed) >> SORT_SHIFT;
        let streaming = Standing::Streaming as u64;
        let standing = [Standing::Unknown, Standing::Known, Standing::Streaming];
        let standing = standing
            .into_iter()
            .find(|it| *it as u64 == sort && sort <= streaming);
        if let Some(standing) = standing {
            self.rests(standing);
        }
    }
}

/// A connection that is counted while this lives.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Connection>);

impl std::ops::Deref for OpenConnection {
    type Target = Arc<Connection>;

    fn deref(&self) -> &Arc<Connection> {
        &self.0
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let Connection { id, holder, .. } = *self.0;
        if self.0.is_forwarded() {
            self.0.hold(None);
        }
        let mut inside = self.0.all.lock();
        inside.open.remove(&id);
        inside.bytes = plus(inside.bytes, self.0.bytes());
        inside.for_probes -= usize::from(self.0.is_for_probes);
        if let Some(holder) = holder
            && let Some(own) = inside.of_holders.get_mut(&holder)
        {
            *own -= 1;
            if *own == 0 {
                inside.of_holders.remove(&holder);
            }
        }
    }
}

fn plus([received, sent]: [u64; 2], more: [u64; 2]) -> [u64; 2] {
    [received + more[0], sent + more[1]]
}

fn number(standing: Standing) -> u64 {
    (standing as u64) << SORT_SHIFT
}

#[cfg(test)]
mod tests {
    use crate::http::server::connections::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn is_closed(connection: &Connection) -> bool {
        connection.end.told() == Some(End::Now)
    }

    #[test]
    fn those_without_a_request_make_room_first_and_those_with_a_token_last() {
        let all = Connections::new(4, TrustedProxies::default());
        let open: Vec<_> = (1..=4)
            .map(|last| all.admit(address(last)).unwrap())
            .collect();
        open[0].rests(Standing::Known);
        open[1].rests(Standing::Unknown);
        let _ = open[2].mark_busy();
        for (newcomer, closed) in [(5, 3), (6, 1), (7, 0)] {
            let comes = all.admit(address(newcomer)).unwrap();
            assert!(!comes.is_for_probes);
            let _ = comes.mark_busy();
            std::mem::forget(comes);
            assert!(is_closed(&open[closed]), "{closed} makes room");
        }
        let comes = all.admit(address(8)).unwrap();
        assert!(comes.is_for_probes, "nobody is idle");
        assert!(!is_closed(&open[2]));
    }

    #[test]
    fn an_address_that_has_its_share_closes_its_own() {
        let all = Connections::new(8, TrustedProxies::default());
        let other = all.admit(address(2)).unwrap();
        let own: Vec<_> = (0..7).map(|_| all.admit(address(1)).unwrap()).collect();
        assert!(is_closed(&own[0]));
        assert!(!is_closed(&other));
    }

    #[test]
    fn a_trusted_proxy_has_no_share_of_its_own() {
        let all = Connections::new(8, "192.0.2.1".parse().unwrap());
        let open: Vec<_> = (0..8).map(|_| all.admit(address(1)).unwrap()).collect();
        for connection in &open {
            assert!(!is_closed(connection));
        }
        assert_eq!(all.count(), 8);
        drop(open);
        assert_eq!(all.count(), 0);
    }
}
