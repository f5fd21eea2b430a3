//! The thread pool of SQL: its slots, and what happens to a thread that is stuck.
//!
//! Some of SQLite's work cannot be interrupted. Its thread is then marked stuck: the caller is
//! answered, the slot is given to other requests, and the database is unavailable until the thread
//! is back. How many threads may be stuck and replaced at a time is bounded.
//!
//! A late thread is not yet stuck: a busy machine may have let it wait. It is stuck when it has
//! worked past its deadline, where an interrupt takes far less, or is away for so long that its
//! disk must be blocking it.
use crate::clock::{Deadline, Stopwatch, ThreadTime};
use crate::engine::sqlite::open::circuit_breaker::CircuitBreaker;
use crate::locks::Mutex;
use crate::shares::{FairLimiter, Permit};
use crate::telemetry::{DurationHistogram, Durations};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock};
use std::time::Duration;

/// All slots.
#[derive(Debug)]
pub(crate) struct ThreadPool {
    line: Arc<FairLimiter>,
    stuck: AtomicUsize,
    max_stuck: usize,
    lateness: Lateness,
    waits: DurationHistogram,
}

/// How late threads may be.
#[derive(Debug, Clone)]
pub(crate) struct Lateness {
    /// Past its deadline and this much more a thread is looked at.
    pub(crate) grace: Duration,
    /// One that has worked for so long past its deadline is stuck.
    pub(crate) worked: Duration,
    /// One that is away for so long past its deadline is stuck, though it does not work.
    pub(crate) blocked: Duration,
    /// Told when one is stuck.
    pub(crate) when_stuck: Option<WhenStuck>,
}

/// What is done about a statement that nothing stops.
#[derive(Clone)]
pub(crate) struct WhenStuck(Arc<dyn Fn() + Send + Sync>);

impl WhenStuck {
    /// Calls this, from whichever thread.
    pub(crate) fn new(told: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    pub(crate) fn tell(&self) {
        (self.0)();
    }
}

impl fmt::Debug for WhenStuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhenStuck")
    }
}

/// Most requests that wait for a slot: each database and each caller is bounded before.
const WAITING: usize = 4096;

/// One slot, taken for one database.
#[derive(Debug)]
pub(crate) struct PoolSlot {
    state: Mutex<State>,
    threads: Arc<ThreadPool>,
    breaker: Arc<CircuitBreaker>,
    /// Of the thread that uses the slot, once it has begun.
    time: OnceLock<ThreadTime>,
}

/// A thread that was not back at its deadline.
#[derive(Debug)]
pub(crate) struct Overdue {
    slot: Arc<PoolSlot>,
    since: Stopwatch,
    /// What it had worked then, or when it was seen first.
    worked: Option<Duration>,
}

#[derive(Debug)]
enum State {
    Taken(Permit),
    /// Its thread does not come back; the permit is kept where too many did not.
    Stuck {
        _kept: Option<Permit>,
    },
    Left,
}

/// Held on the thread that uses the slot; frees it when dropped.
#[derive(Debug)]
pub(crate) struct SlotInUse(Arc<PoolSlot>);

impl ThreadPool {
    pub(crate) fn new(slots: usize, max_stuck: usize, lateness: Lateness) -> Arc<Self> {
        Arc::new(Self {
            line: FairLimiter::new(slots, WAITING),
            stuck: AtomicUsize::new(0),
            max_stuck,
            lateness,
            waits: DurationHistogram::default(),
        })
    }

    /// A slot, if one is free.
    pub(crate) fn try_take(
        self: &Arc<Self>,
        breaker: &Arc<CircuitBreaker>,
    ) -> Option<Arc<PoolSlot>> {
        Some(self.slot(self.line.try_take()?, breaker))
    }

    /// A slot, if one is free before `deadline`.
    pub(crate) async fn take(
        self: &Arc<Self>,
        breaker: &Arc<CircuitBreaker>,
        deadline: Deadline,
    ) -> Option<Arc<PoolSlot>> {
        if let Some(slot) = self.try_take(breaker) {
            return Some(slot);
        }
        let stopwatch = Stopwatch::start();
        let turn = tokio::time::timeout_at(deadline.instant(), self.line.take()).await;
        self.waits.observe(stopwatch.elapsed());
        Some(self.slot(turn.ok()?.ok()?, breaker))
    }

    /// How long requests have waited for a slot, those that got one at once left out.
    pub(crate) fn waits(&self) -> Durations {
        self.waits.read()
    }

    /// How many slots are taken; those that were given to others are not.
    pub(crate) fn taken(&self) -> usize {
        self.line.taken()
    }

    /// How many threads do not come back at the moment.
    pub(crate) fn stuck(&self) -> usize {
        self.stuck.load(Ordering::Relaxed)
    }

    fn slot(self: &Arc<Self>, turn: Permit, breaker: &Arc<CircuitBreaker>) -> Arc<PoolSlot> {
        Arc::new(PoolSlot {
            state: Mutex::new(State::Taken(turn)),
            threads: Arc::clone(self),
            breaker: Arc::clone(breaker),
            time: OnceLock::new(),
        })
    }
}

impl PoolSlot {
    /// Its deadline passes now, and its thread is not back.
    pub(crate) fn overdue(self: &Arc<Self>) -> Overdue {
        Overdue {
            slot: Arc::clone(self),
            since: Stopwatch::start(),
            worked: self.worked(),
        }
    }

    fn worked(&self) -> Option<Duration> {
        self.time.get()?.worked()
    }

    /// Occupies the slot for the thread that begins then.
    pub(crate) fn occupy(self: &Arc<Self>) -> SlotInUse {
        SlotInUse(Arc::clone(self))
    }

    /// Marks the thread stuck, and its database unavailable until the thread is back.
    fn mark_stuck(&self) {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Left) {
            State::Taken(turn) => {
                let others = self.threads.stuck.fetch_add(1, Ordering::Relaxed);
                *state = State::Stuck {
                    _kept: (others >= self.threads.max_stuck).then_some(turn),
                };
                self.breaker.thread_stuck();
                if let Some(when_stuck) = &self.threads.lateness.when_stuck {
                    when_stuck.tell();
                }
            }
            other => *state = other,
        }
    }

    fn leave(&self) {
        let mut state = self.lock();
        if let State::Stuck { .. } = std::mem::replace(&mut *state, State::Left) {
            self.threads.stuck.fetch_sub(1, Ordering::Relaxed);
            self.breaker.thread_back();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Overdue {
    /// Writes the thread off if it is stuck. `true` when it is, or is back: there is no more to
    /// see.
    pub(crate) fn look(&mut self) -> bool {
        if !matches!(*self.slot.lock(), State::Taken(_)) {
            return true;
        }
        let now = self.slot.worked();
        let before = *self.worked.get_or_insert(now.unwrap_or_default());
        let worked = now.map_or(Duration::ZERO, |now| now.saturating_sub(before));
        let lateness = &self.slot.threads.lateness;
        let is_stuck = worked >= lateness.worked || self.since.elapsed() >= lateness.blocked;
        if is_stuck {
            self.slot.mark_stuck();
        }
        is_stuck
    }

    /// Looks until there is no more to see.
    pub(crate) async fn watch(mut self) {
        while !self.look() {
            tokio::time::sleep(self.slot.threads.lateness.grace).await;
        }
    }
}

impl SlotInUse {
    /// The work begins, on this thread.
    pub(crate) fn begins(&self) {
        let _ = self.0.time.set(ThreadTime::of_this_thread());
    }
}

impl Drop for SlotInUse {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn one_slot(grace: Duration, blocked: Duration) -> Arc<ThreadPool> {
        let lateness = Lateness {
            grace,
            worked: grace / 2,
            blocked,
            when_stuck: None,
        };
        ThreadPool::new(1, 1, lateness)
    }

    #[test]
    fn a_late_thread_is_stuck_once_it_has_worked_or_was_away_for_long() {
        let grace = Duration::from_millis(20);
        let (threads, breaker) = (one_slot(grace, HOUR), Arc::new(CircuitBreaker::default()));
        let starved = threads.try_take(&breaker).unwrap();
        let in_use = starved.occupy();
        let mut overdue = starved.overdue();
        let late = Stopwatch::start();
        while late.elapsed() < 2 * grace {
            assert!(!overdue.look(), "it has not begun");
            std::thread::sleep(grace);
        }
        in_use.begins();
        assert!(!overdue.look(), "it has only begun");
        while !overdue.look() {} // on the thread that is watched: it works
        assert_eq!(threads.stuck(), 1);
        drop(in_use);
        assert!(overdue.look(), "it is back");
        assert_eq!(threads.stuck(), 0);

        let threads = one_slot(HOUR, grace);
        let blocked = threads.try_take(&breaker).unwrap();
        let _sitting = blocked.occupy();
        let mut overdue = blocked.overdue();
        while !overdue.look() {
            std::thread::sleep(grace);
        }
        assert_eq!(threads.stuck(), 1);
    }

    #[tokio::test]
    async fn a_request_that_waits_for_a_thread_is_counted_and_one_that_does_not_is_not() {
        let (threads, breaker) = (one_slot(HOUR, HOUR), Arc::new(CircuitBreaker::default()));
        let deadline = Deadline::after(HOUR);
        let first = threads.take(&breaker, deadline).await.unwrap();
        assert_eq!(threads.waits().count(), 0);
        let (second, ()) = tokio::join!(threads.take(&breaker, deadline), async { drop(first) });
        assert!(second.is_some());
        assert_eq!(threads.waits().count(), 1);
        let too_late = threads
            .take(&breaker, Deadline::after(Duration::ZERO))
            .await;
        assert!(too_late.is_none());
        assert_eq!(threads.waits().count(), 2, "in vain, too");
    }

    #[test]
    fn a_thread_that_does_not_come_back_is_replaced_and_its_database_rests_until_it_does() {
        let threads = one_slot(HOUR, HOUR);
        let (breaker, other) = (
            Arc::new(CircuitBreaker::default()),
            Arc::new(CircuitBreaker::default()),
        );
        let stuck = threads.try_take(&breaker).unwrap();
        let in_use = stuck.occupy();
        assert!(threads.try_take(&other).is_none(), "the only slot is taken");

        stuck.mark_stuck();
        stuck.mark_stuck();
        assert_eq!(threads.stuck(), 1, "once");
        assert!(breaker.reason().is_some());
        assert!(other.reason().is_none());
        let second = threads.try_take(&other).expect("its slot is free");

        let second_sitting = second.occupy();
        second.mark_stuck();
        assert!(
            threads.try_take(&breaker).is_none(),
            "past the bound no thread is replaced"
        );

        drop(second_sitting);
        drop(in_use);
        assert_eq!(threads.stuck(), 0);
        assert!(breaker.reason().is_none() && other.reason().is_none());
        assert!(threads.try_take(&breaker).is_some());
    }
}
