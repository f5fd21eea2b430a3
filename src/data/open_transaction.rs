//! One open transaction of several requests: whose it is, and until when it is open.
use crate::clock::timestamp::Timestamp;
use crate::clock::{Clock, Deadline};
use crate::domain::ids::{DatabaseId, TokenId};
use crate::engine::registry::Session;
use crate::engine::sql::{TransactionEnd, TransactionMode};
use crate::locks::Mutex;
use crate::shares::Pass;
use std::sync::MutexGuard;
use std::time::Duration;

/// One transaction.
#[derive(Debug)]
pub(super) struct OpenTransaction {
    pub(super) id: String,
    pub(super) database: DatabaseId,
    pub(super) owner: Option<TokenId>,
    pub(super) mode: TransactionMode,
    /// What the engine holds for it.
    pub(super) session: Session,
    idle: Duration,
    times: Mutex<Times>,
    /// Of the request that began it: while it is open, its token has something under way.
    _pass: Option<Pass>,
}

/// A moment by two clocks; it has come when either says so. The wall clock is what was promised,
/// and may be set back; the other cannot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: Timestamp,
    pub(super) deadline: Deadline,
}

#[derive(Debug)]
struct Times {
    /// Requests that are being worked on: meanwhile it is not idle.
    users: usize,
    idle_until: Moment,
    ends: Moment,
}

/// A request of a transaction. Its end is the moment from which the transaction is idle.
pub(super) struct Use<'t> {
    transaction: &'t OpenTransaction,
    clock: &'t dyn Clock,
}

impl Moment {
    fn after(wait: Duration, now: Timestamp) -> Self {
        Self {
            at: now.after(wait),
            deadline: Deadline::after(wait),
        }
    }

    fn has_come(&self, now: Timestamp) -> bool {
        self.at <= now || self.deadline.has_passed()
    }
}

impl OpenTransaction {
    pub(super) fn new(
        id: String,
        database: DatabaseId,
        owner: Option<TokenId>,
        mode: TransactionMode,
        [idle, total]: [Duration; 2],
        now: Timestamp,
        session: Session,
    ) -> Self {
        Self {
            id,
            database,
            owner,
            mode,
            session,
            idle,
            times: Mutex::new(Times {
                users: 0,
                idle_until: Moment::after(idle, now),
                ends: Moment::after(total, now),
            }),
            _pass: Pass::here(),
        }
    }

    /// When it ends, if no request comes, and at the latest.
    pub(super) fn ends(&self) -> (Moment, Moment) {
        let times = self.times();
        (times.idle_until, times.ends)
    }

    /// How it has to end now, if it has to.
    pub(super) fn expired(&self, now: Timestamp) -> Option<TransactionEnd> {
        let times = self.times();
        if times.ends.has_come(now) {
            Some(TransactionEnd::OutOfTime)
        } else if times.users == 0 && times.idle_until.has_come(now) {
            Some(TransactionEnd::Idle)
        } else if self.session.is_too_old() {
            Some(TransactionEnd::TooOld)
        } else {
            None
        }
    }

    /// A request of it begins.
    pub(super) fn used<'t>(&'t self, clock: &'t dyn Clock) -> Use<'t> {
        self.times().users += 1;
        Use {
            transaction: self,
            clock,
        }
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock()
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let transaction = self.transaction;
        let mut times = transaction.times();
        times.users -= 1;
        times.idle_until = Moment::after(transaction.idle, self.clock.now());
    }
}
