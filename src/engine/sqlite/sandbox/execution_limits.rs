//! What can end a statement while it runs: its deadline, a client that went away, a time slice.
use crate::clock::{Deadline, WorkTime};
use crate::engine::sql::cancellation::Cancellation;
use crate::locks::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

/// What holds the statement that runs now.
#[derive(Debug, Clone)]
pub struct ExecutionLimits {
    /// When it must be done.
    pub deadline: Deadline,
    /// Cancels it.
    pub cancellation: Option<Arc<Cancellation>>,
    /// When it must be done to be done here: past it, it is cut and run elsewhere.
    pub slice: Option<Slice>,
    /// Whether it may sleep while another process has the file locked.
    pub may_wait: bool,
}

/// A short time for a statement on a thread that others wait for.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    until: Deadline,
    busy: Option<Busy>,
}

/// How long a thread has been busy with its statement.
#[derive(Debug, Clone, Copy)]
struct Busy {
    /// Since half of its time was over: asking is a system call, which short statements are spared.
    worked: Option<WorkTime>,
    /// How long it has waited for files.
    waited: Duration,
    /// How long it has to be busy before its statement is cut.
    least: Duration,
}

impl Slice {
    /// A slice that ends after `time`.
    #[must_use]
    pub fn of(time: Duration) -> Self {
        Self {
            until: Deadline::after(time),
            busy: None,
        }
    }

    /// The same, but not over while the thread was busy for less than half of it: others have its
    /// processor then.
    #[must_use]
    pub fn of_work(time: Duration) -> Self {
        Self {
            until: Deadline::after(time),
            busy: Some(Busy {
                worked: None,
                waited: Duration::ZERO,
                least: time / 2,
            }),
        }
    }

    /// Whether it is over. Where it is not although its time has passed, it is looked at again a
    /// while later.
    fn is_over(&mut self, now: Deadline) -> bool {
        let Some(busy) = &mut self.busy else {
            return now >= self.until;
        };
        if now.extended(busy.least) < self.until {
            return false;
        }
        let worked = *busy.worked.get_or_insert_with(WorkTime::start);
        if now < self.until {
            return false;
        }
        let left = busy.least.saturating_sub(worked.elapsed() + busy.waited);
        self.until = now.extended(left);
        left.is_zero()
    }
}

/// Why a statement was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    Deadline,
    Cancelled,
    Slice,
}

/// One connection's interrupt handle; shared with the callbacks that SQLite calls while a statement
/// runs, and with the task that waits for it.
#[derive(Debug, Default)]
pub struct InterruptHandle {
    limits: Mutex<Option<ExecutionLimits>>,
    looks: AtomicU64,
}

impl InterruptHandle {
    pub(crate) fn set(&self, limits: ExecutionLimits) {
        *self.lock() = Some(limits);
    }

    pub(crate) fn clear(&self) -> Option<ExecutionLimits> {
        self.lock().take()
    }

    /// Looks, from inside of a statement that works, whether it must stop.
    pub(crate) fn poll(&self) -> Option<Interrupt> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.interrupt()
    }

    /// Whether to say how long files were waited for.
    pub(crate) fn counts_waits(&self) -> bool {
        let limits = self.lock();
        (limits.as_ref())
            .is_some_and(|limits| limits.slice.is_some_and(|slice| slice.busy.is_some()))
    }

    /// Notes that a file was waited for, for `time`.
    pub(crate) fn has_waited(&self, time: Duration) {
        let mut limits = self.lock();
        let slice = limits.as_mut().and_then(|limits| limits.slice.as_mut());
        if let Some(busy) = slice.and_then(|slice| slice.busy.as_mut()) {
            busy.waited += time;
        }
    }

    /// How often it was looked: a statement that has worked for a while was looked at since. Asking
    /// costs less than asking for the time.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// Why the running statement must stop, if it must.
    pub(crate) fn interrupt(&self) -> Option<Interrupt> {
        let mut limits = self.lock();
        let limits = limits.as_mut()?;
        let now = Deadline::after(Duration::ZERO);
        if limits.deadline <= now {
            Some(Interrupt::Deadline)
        } else if limits
            .cancellation
            .as_ref()
            .is_some_and(|it| it.is_cancelled())
        {
            Some(Interrupt::Cancelled)
        } else if limits.slice.as_mut().is_some_and(|it| it.is_over(now)) {
            Some(Interrupt::Slice)
        } else {
            None
        }
    }

    /// Whether the running statement may sleep until a lock is free.
    pub(crate) fn may_wait(&self) -> bool {
        self.interrupt().is_none() && self.lock().as_ref().is_none_or(|it| it.may_wait)
    }

    /// The deadline of the statement that runs, if that has passed.
    #[must_use]
    pub fn passed_deadline(&self) -> Option<Deadline> {
        let limits = self.lock();
        let deadline = limits.as_ref().map(|it| it.deadline);
        deadline.filter(Deadline::has_passed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<ExecutionLimits>> {
        self.limits.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_the_client_and_the_slice_each_cut() {
        let far = Deadline::after(Duration::from_secs(60));
        let past = Deadline::after(Duration::ZERO);
        let over = Slice::of(Duration::ZERO);
        let gone = Arc::new(Cancellation::default());
        gone.cancel();
        let limits = ExecutionLimits {
            deadline: far,
            cancellation: None,
            slice: None,
            may_wait: true,
        };
        let interrupts = InterruptHandle::default();
        assert_eq!(interrupts.interrupt(), None, "nothing runs");
        interrupts.set(limits.clone());
        assert_eq!(interrupts.interrupt(), None);
        interrupts.set(ExecutionLimits {
            cancellation: Some(gone),
            ..limits.clone()
        });
        assert_eq!(interrupts.interrupt(), Some(Interrupt::Cancelled));
        interrupts.set(ExecutionLimits {
            slice: Some(over),
            ..limits.clone()
        });
        assert_eq!(interrupts.interrupt(), Some(Interrupt::Slice));
        assert_eq!(interrupts.passed_deadline(), None);
        interrupts.set(ExecutionLimits {
            deadline: past,
            ..limits
        });
        assert_eq!(interrupts.interrupt(), Some(Interrupt::Deadline));
        assert_eq!(interrupts.passed_deadline(), Some(past));
    }
}
