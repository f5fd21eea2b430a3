//! Seats: the threads that SQL may hold, and what happens when one does not come back.
//!
//! Some of SQLite's work cannot be stopped from outside. Its thread is then written off: who
//! waited is answered, the seat is given to others, and the database rests until the thread is
//! back. How many are written off at a time is bounded.
use crate::clock::Deadline;
use crate::engine::sqlite::open::circuit_breaker::Bench;
use crate::shares::{Line, Turn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All seats.
#[derive(Debug)]
pub(crate) struct Threads {
    line: Arc<Line>,
    stuck: AtomicUsize,
    max_stuck: usize,
}

/// Most who wait for a seat: each database and each caller is bounded before.
const WAITING: usize = 4096;

/// One seat, taken for one database.
#[derive(Debug)]
pub(crate) struct Seat {
    state: Mutex<State>,
    threads: Arc<Threads>,
    bench: Arc<Bench>,
}

#[derive(Debug)]
enum State {
    Taken(Turn),
    /// Its thread does not come back; the permit is kept where too many did not.
    WrittenOff {
        _kept: Option<Turn>,
    },
    Left,
}

/// On the thread that sits; leaves when dropped.
#[derive(Debug)]
pub(crate) struct Sitting(Arc<Seat>);

impl Threads {
    pub(crate) fn new(seats: usize, max_stuck: usize) -> Arc<Self> {
        Arc::new(Self {
            line: Line::new(seats, WAITING),
            stuck: AtomicUsize::new(0),
            max_stuck,
        })
    }

    /// A seat, if one is free.
    pub(crate) fn try_take(self: &Arc<Self>, bench: &Arc<Bench>) -> Option<Arc<Seat>> {
        Some(self.seat(self.line.try_take()?, bench))
    }

    /// A seat, if one is free before `deadline`.
    pub(crate) async fn take(
        self: &Arc<Self>,
        bench: &Arc<Bench>,
        deadline: Deadline,
    ) -> Option<Arc<Seat>> {
        let turn = tokio::time::timeout_at(deadline.instant(), self.line.take()).await;
        Some(self.seat(turn.ok()?.ok()?, bench))
    }

    /// How many seats are taken; those that were given to others are not.
    pub(crate) fn taken(&self) -> usize {
        self.line.taken()
    }

    /// How many threads do not come back at the moment.
    pub(crate) fn stuck(&self) -> usize {
        self.stuck.load(Ordering::Relaxed)
    }

    fn seat(self: &Arc<Self>, turn: Turn, bench: &Arc<Bench>) -> Arc<Seat> {
        Arc::new(Seat {
            state: Mutex::new(State::Taken(turn)),
            threads: Arc::clone(self),
            bench: Arc::clone(bench),
        })
    }
}

impl Seat {
    /// On the thread: sits down.
    pub(crate) fn sit(self: &Arc<Self>) -> Sitting {
        Sitting(Arc::clone(self))
    }

    /// Gives the thread up, and rests its database until it is back. Nothing, when it is back.
    pub(crate) fn write_off(&self) {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Left) {
            State::Taken(turn) => {
                let others = self.threads.stuck.fetch_add(1, Ordering::Relaxed);
                *state = State::WrittenOff {
                    _kept: (others >= self.threads.max_stuck).then_some(turn),
                };
                self.bench.a_thread_is_stuck();
            }
            other => *state = other,
        }
    }

    fn leave(&self) {
        let mut state = self.lock();
        if let State::WrittenOff { .. } = std::mem::replace(&mut *state, State::Left) {
            self.threads.stuck.fetch_sub(1, Ordering::Relaxed);
            self.bench.a_thread_is_back();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sitting {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::sqlite::threads::pool::*;

    #[test]
    fn a_thread_that_does_not_come_back_is_replaced_and_its_database_rests_until_it_does() {
        let threads = Threads::new(1, 1);
        let (bench, other) = (Arc::new(Bench::default()), Arc::new(Bench::default()));
        let stuck = threads.try_take(&bench).unwrap();
        let sitting = stuck.sit();
        assert!(threads.try_take(&other).is_none(), "the only seat is taken");

        stuck.write_off();
        stuck.write_off();
        assert_eq!(threads.stuck(), 1, "once");
        assert!(bench.reason().is_some());
        assert!(other.reason().is_none());
        let second = threads.try_take(&other).expect("its seat is free");

        let second_sitting = second.sit();
        second.write_off();
        assert!(
            threads.try_take(&bench).is_none(),
            "past the bound no thread is replaced"
        );

        drop(second_sitting);
        drop(sitting);
        assert_eq!(threads.stuck(), 0);
        assert!(bench.reason().is_none() && other.reason().is_none());
        assert!(threads.try_take(&bench).is_some());
    }
}
