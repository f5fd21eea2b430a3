//! Turns, given fairly: who has the fewest comes next.
use super::account::Holder;
use super::pass;
use super::room::ALONE;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A number of turns, and those who wait for one.
///
/// Each caller has a share of the turns and of the places in line. Of those who wait, the one whose
/// caller has the fewest turns is next, and of equals the one that has waited longest.
#[derive(Debug)]
pub struct Line {
    most_waiting: usize,
    turns: usize,
    inside: Mutex<Inside>,
}

/// A turn. Dropped, it is the next one's.
#[derive(Debug)]
pub struct Turn {
    line: Arc<Line>,
    holder: Holder,
}

/// Nobody may wait any more, or not this caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineIsFull;

#[derive(Debug)]
struct Inside {
    free: usize,
    waiting: usize,
    /// Of those who have a turn or wait for one.
    callers: HashMap<Holder, Caller>,
    /// Raised with each who begins to wait.
    arrivals: u64,
}

#[derive(Debug, Default)]
struct Caller {
    has: usize,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    arrival: u64,
    told: oneshot::Sender<Turn>,
}

impl Line {
    /// A line for so many turns at a time, in which so many may wait.
    #[must_use]
    pub fn new(turns: usize, most_waiting: usize) -> Arc<Self> {
        Arc::new(Self {
            most_waiting,
            turns,
            inside: Mutex::new(Inside {
                free: turns,
                waiting: 0,
                callers: HashMap::new(),
                arrivals: 0,
            }),
        })
    }

    /// How many have a turn.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.turns - self.lock().free
    }

    /// A turn, if there is one for the caller whose request is worked on here.
    #[must_use]
    pub fn try_take(self: &Arc<Self>) -> Option<Turn> {
        let holder = pass::holder();
        self.lock().take(holder).then(|| self.turn(holder))
    }

    /// A turn, once there is one.
    ///
    /// # Errors
    /// When too many wait, or too many of this caller.
    pub async fn take(self: &Arc<Self>) -> Result<Turn, LineIsFull> {
        let holder = pass::holder();
        let told = {
            let mut inside = self.lock();
            if inside.take(holder) {
                return Ok(self.turn(holder));
            }
            inside.wait(holder, self.most_waiting)?
        };
        let mut waiting = Waiting {
            line: self,
            holder,
            told,
        };
        // The other end goes only with the line itself.
        pass::waiting(&mut waiting.told)
            .await
            .map_err(|_| LineIsFull)
    }

    fn turn(self: &Arc<Self>, holder: Holder) -> Turn {
        Turn {
            line: Arc::clone(self),
            holder,
        }
    }

    /// Gives what is free to who waits.
    fn serve(self: &Arc<Self>) {
        // Not under the lock: a turn that nobody takes comes back.
        while let Some((holder, told)) = {
            let mut inside = self.lock();
            inside.next()
        } {
            let _ = told.send(self.turn(holder));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Takes a turn, if there is one and the caller has not its share.
    fn take(&mut self, holder: Holder) -> bool {
        let free = self.free;
        let caller = self.callers.entry(holder).or_default();
        let may = caller.may_have_more(holder, free);
        if may {
            self.free -= 1;
            caller.has += 1;
        } else {
            self.forget_idle(holder);
        }
        may
    }

    fn wait(&mut self, holder: Holder, most: usize) -> Result<oneshot::Receiver<Turn>, LineIsFull> {
        let places = most.saturating_sub(self.waiting);
        let caller = self.callers.entry(holder).or_default();
        let share = match holder {
            Holder::House => usize::MAX,
            _ => ALONE * places,
        };
        if places == 0 || caller.waiting.len() >= share {
            self.forget_idle(holder);
            return Err(LineIsFull);
        }
        let (told, tells) = oneshot::channel();
        let arrival = self.arrivals;
        caller.waiting.push_back(Waiter { arrival, told });
        self.arrivals += 1;
        self.waiting += 1;
        Ok(tells)
    }

    /// Takes a turn for the next who waits.
    fn next(&mut self) -> Option<(Holder, oneshot::Sender<Turn>)> {
        let free = self.free;
        let next = self
            .callers
            .iter()
            .filter(|(holder, it)| it.may_have_more(**holder, free))
            .filter_map(|(holder, it)| Some((it.has, it.waiting.front()?.arrival, *holder)))
            .min_by_key(|(has, arrival, _)| (*has, *arrival));
        let (_, _, holder) = next?;
        let caller = self.callers.get_mut(&holder)?;
        let waiter = caller.waiting.pop_front()?;
        caller.has += 1;
        self.waiting -= 1;
        self.free -= 1;
        Some((holder, waiter.told))
    }

    /// Those who went away wait no longer.
    fn forget_gone(&mut self, holder: Holder) {
        if let Some(caller) = self.callers.get_mut(&holder) {
            let before = caller.waiting.len();
            caller.waiting.retain(|it| !it.told.is_closed());
            self.waiting -= before - caller.waiting.len();
        }
        self.forget_idle(holder);
    }

    fn forget_idle(&mut self, holder: Holder) {
        let is_idle = |it: &Caller| it.has == 0 && it.waiting.is_empty();
        if self.callers.get(&holder).is_some_and(is_idle) {
            self.callers.remove(&holder);
        }
    }
}

impl Caller {
    /// Whether it may have one of the turns that are free. The gateway's own work has no share.
    fn may_have_more(&self, holder: Holder, free: usize) -> bool {
        match holder {
            Holder::House => free > 0,
            _ => self.has < ALONE * free,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut inside = self.line.lock();
            inside.free += 1;
            if let Some(caller) = inside.callers.get_mut(&self.holder) {
                caller.has -= 1;
            }
            inside.forget_idle(self.holder);
            if inside.waiting == 0 {
                return;
            }
        }
        self.line.serve();
    }
}

/// One who waits. Dropped, it has gone.
struct Waiting<'l> {
    line: &'l Line,
    holder: Holder,
    told: oneshot::Receiver<Turn>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.told.close();
        // A turn that came too late goes on to the next, outside of the lock.
        let late = self.told.try_recv().ok();
        self.line.lock().forget_gone(self.holder);
        drop(late);
    }
}
