//! A fair concurrency limiter: the caller with the fewest permits is served next.
use super::account::Holder;
use super::pass;
use super::room::ALONE;
use crate::locks::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, MutexGuard};
use tokio::sync::oneshot;

/// A number of permits, and the queue for them.
///
/// Each caller has a share of the permits and of the places in the queue. The next permit goes to
/// the waiting caller with the fewest permits; among equals, to the longest waiting request.
#[derive(Debug)]
pub struct FairLimiter {
    most_waiting: usize,
    permits: usize,
    inside: Mutex<Inside>,
}

/// A permit. Dropping it serves the next request.
#[derive(Debug)]
pub struct Permit {
    limiter: Arc<FairLimiter>,
    holder: Holder,
}

/// The queue is full, or this caller's share of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

#[derive(Debug)]
struct Inside {
    free: usize,
    waiting: usize,
    /// Callers that have a permit or wait for one.
    callers: HashMap<Holder, Caller>,
    /// Incremented with each request that starts to wait.
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
    told: oneshot::Sender<Permit>,
}

impl FairLimiter {
    /// A limiter with `permits` permits, in which `most_waiting` requests may wait.
    #[must_use]
    pub fn new(permits: usize, most_waiting: usize) -> Arc<Self> {
        Arc::new(Self {
            most_waiting,
            permits,
            inside: Mutex::new(Inside {
                free: permits,
                waiting: 0,
                callers: HashMap::new(),
                arrivals: 0,
            }),
        })
    }

    /// How many permits are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.permits - self.lock().free
    }

    /// Takes a permit for the caller of the current request, if there is one.
    #[must_use]
    pub fn try_take(self: &Arc<Self>) -> Option<Permit> {
        let holder = pass::holder();
        self.lock().take(holder).then(|| self.permit(holder))
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// When too many requests wait, or too many of this caller.
    pub async fn take(self: &Arc<Self>) -> Result<Permit, QueueFull> {
        let holder = pass::holder();
        let told = {
            let mut inside = self.lock();
            if inside.take(holder) {
                return Ok(self.permit(holder));
            }
            inside.wait(holder, self.most_waiting)?
        };
        let mut waiting = Waiting {
            limiter: self,
            holder,
            told,
        };
        // The sender is dropped only with the limiter itself.
        pass::waiting(&mut waiting.told)
            .await
            .map_err(|_| QueueFull)
    }

    fn permit(self: &Arc<Self>, holder: Holder) -> Permit {
        Permit {
            limiter: Arc::clone(self),
            holder,
        }
    }

    /// Gives free permits to waiting requests.
    fn serve(self: &Arc<Self>) {
        // Not under the lock: a permit that is not received is dropped, which locks again.
        while let Some((holder, told)) = {
            let mut inside = self.lock();
            inside.next()
        } {
            let _ = told.send(self.permit(holder));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock()
    }
}

impl Inside {
    /// Takes a permit if one is free and the caller is below its share.
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

    fn wait(
        &mut self,
        holder: Holder,
        most: usize,
    ) -> Result<oneshot::Receiver<Permit>, QueueFull> {
        let places = most.saturating_sub(self.waiting);
        let caller = self.callers.entry(holder).or_default();
        let share = match holder {
            Holder::Internal => usize::MAX,
            _ => ALONE * places,
        };
        if places == 0 || caller.waiting.len() >= share {
            self.forget_idle(holder);
            return Err(QueueFull);
        }
        let (told, tells) = oneshot::channel();
        let arrival = self.arrivals;
        caller.waiting.push_back(Waiter { arrival, told });
        self.arrivals += 1;
        self.waiting += 1;
        Ok(tells)
    }

    /// Takes a permit for the next waiting request.
    fn next(&mut self) -> Option<(Holder, oneshot::Sender<Permit>)> {
        let free = self.free;
        let next = self
            .callers
            .iter()
            .filter(|(holder, caller)| caller.may_have_more(**holder, free))
            .filter_map(|(holder, caller)| {
                Some((caller.has, caller.waiting.front()?.arrival, *holder))
            })
            .min_by_key(|(has, arrival, _)| (*has, *arrival));
        let (_, _, holder) = next?;
        let caller = self.callers.get_mut(&holder)?;
        let waiter = caller.waiting.pop_front()?;
        caller.has += 1;
        self.waiting -= 1;
        self.free -= 1;
        Some((holder, waiter.told))
    }

    /// Removes requests that were cancelled while they waited.
    fn forget_gone(&mut self, holder: Holder) {
        if let Some(caller) = self.callers.get_mut(&holder) {
            let before = caller.waiting.len();
            caller.waiting.retain(|waiter| !waiter.told.is_closed());
            self.waiting -= before - caller.waiting.len();
        }
        self.forget_idle(holder);
    }

    fn forget_idle(&mut self, holder: Holder) {
        let is_idle = |caller: &Caller| caller.has == 0 && caller.waiting.is_empty();
        if self.callers.get(&holder).is_some_and(is_idle) {
            self.callers.remove(&holder);
        }
    }
}

impl Caller {
    /// Whether it may take a free permit. The gateway's own work is not limited to a share.
    fn may_have_more(&self, holder: Holder, free: usize) -> bool {
        match holder {
            Holder::Internal => free > 0,
            _ => self.has < ALONE * free,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        {
            let mut inside = self.limiter.lock();
            inside.free += 1;
            if let Some(caller) = inside.callers.get_mut(&self.holder) {
                caller.has -= 1;
            }
            inside.forget_idle(self.holder);
            if inside.waiting == 0 {
                return;
            }
        }
        self.limiter.serve();
    }
}

/// A waiting request. Dropping it cancels the wait.
struct Waiting<'l> {
    limiter: &'l FairLimiter,
    holder: Holder,
    told: oneshot::Receiver<Permit>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.told.close();
        // A permit that arrived too late is passed on, outside of the lock.
        let late = self.told.try_recv().ok();
        self.limiter.lock().forget_gone(self.holder);
        drop(late);
    }
}
