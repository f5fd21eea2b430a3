//! Where time and new ids come from.
mod thread_time;
pub mod timestamp;

pub use self::thread_time::ThreadTime;

use self::timestamp::Timestamp;
use crate::locks::Mutex;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use uuid::Uuid;

/// Smaller adjustments of the clock are normal and not reported.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

/// Tells the wall-clock time.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch, UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that moves only when told.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self(Mutex::new(start))
    }

    /// Moves time forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock();
        *now = now.after(by);
    }

    /// Sets the time, also backwards: machines' clocks do that.
    pub fn set(&self, to: Timestamp) {
        *self.0.lock() = to;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

/// Generates unique ids.
pub trait IdSource: Send + Sync {
    /// A fresh id.
    fn fresh(&self) -> Uuid;
    /// A number from 0 to 999, for jitter.
    fn jitter_permille(&self) -> u16;
}

/// UUIDs of version 7: unique, and ordered by the time they were made.
#[derive(Debug, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    #[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
    fn fresh(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn jitter_permille(&self) -> u16 {
        let (_, low) = Uuid::new_v4().as_u64_pair();
        u16::try_from(low % 1000).expect("a remainder of 1000 fits")
    }
}

/// Ids that count from 1, so that a test's output is the same every time.
#[derive(Debug, Default)]
pub struct CountingIds(AtomicU64);

impl IdSource for CountingIds {
    fn fresh(&self) -> Uuid {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Uuid::from_u64_pair(0x0000_0000_0000_7000, 0x8000_0000_0000_0000 | count)
    }

    fn jitter_permille(&self) -> u16 {
        500
    }
}

/// Monotonic time since it was started; for durations that are shown.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads monotonic time"
    )]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Processor time that this thread has worked since it was started: what others made it wait for
/// is not in it.
#[derive(Debug, Clone, Copy)]
pub struct WorkTime(Duration);

impl WorkTime {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Self::of_thread())
    }

    /// What this thread has worked since, if it is the one that started it.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::of_thread().saturating_sub(self.0)
    }

    fn of_thread() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::try_from(time).unwrap_or_default()
    }
}

/// A time in milliseconds with three decimals, as answers tell it: `1.042`.
///
/// Written from whole numbers past the formatter: a float costs many times as much, and every
/// answer has four of them.
#[derive(Debug, Clone, Copy)]
pub struct Milliseconds(pub Duration);

impl Milliseconds {
    /// As a JSON number of as many decimals.
    #[must_use]
    pub fn number(self) -> f64 {
        (self.0.as_secs_f64() * 1e6).round() / 1e3
    }
}

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In 64 bits: 128 are written at ten times the cost, and nothing takes 500,000 years.
        let micros = u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX);
        let (mut whole, mut decimals) = (itoa::Buffer::new(), itoa::Buffer::new());
        f.write_str(whole.format(micros / 1000))?;
        f.write_str(".")?;
        f.write_str(&decimals.format(1000 + micros % 1000)[1..])
    }
}

/// A deadline on the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `wait` from now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads monotonic time"
    )]
    pub fn after(wait: Duration) -> Self {
        Self(Instant::now() + wait)
    }

    /// What is left, zero once it has passed.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads monotonic time"
    )]
    pub fn remaining(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Whether it passed at least `by` ago.
    #[must_use]
    pub fn has_passed_by(&self, by: Duration) -> bool {
        Self(self.0 + by).has_passed()
    }

    /// The moment `by` later.
    #[must_use]
    pub fn extended(&self, by: Duration) -> Self {
        Self(self.0 + by)
    }

    /// As tokio's timers take it.
    #[must_use]
    pub fn instant(&self) -> tokio::time::Instant {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_three_decimals() {
        for (micros, text) in [
            (0, "0.000"),
            (7, "0.007"),
            (1_042, "1.042"),
            (999_999, "999.999"),
            (60_000_000, "60000.000"),
        ] {
            let time = Duration::from_nanos(micros * 1000 + 999);
            assert_eq!(Milliseconds(time).to_string(), text);
        }
        assert!((Milliseconds(Duration::from_nanos(71_607)).number() - 0.072).abs() < f64::EPSILON);
        let longest = Milliseconds(Duration::MAX).to_string();
        assert_eq!(longest, "18446744073709551.615");
    }
}
