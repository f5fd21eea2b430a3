//! Durations, counted by how long they were. To count one takes two atomic additions, or two plain
//! ones where one thread at a time counts, and no lock.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in seconds: from a point read to the longest wait.
pub const BOUNDS_S: [f64; 15] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0,
    25.0, 75.0,
];

/// The same in microseconds, as durations are compared with them.
const BOUNDS_US: [u64; BOUNDS_S.len()] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 1_000_000, 5_000_000,
    25_000_000, 75_000_000,
];

/// Counts durations.
#[derive(Debug, Default)]
pub struct DurationHistogram {
    /// By the least bound that is not shorter; the last has none.
    buckets: [AtomicU64; BOUNDS_S.len() + 1],
    nanoseconds: AtomicU64,
}

/// What a histogram has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// How many there are in each bucket; those of shorter ones are not in it.
    pub buckets: [u64; BOUNDS_S.len() + 1],
    /// All of them together.
    pub nanoseconds: u64,
}

impl DurationHistogram {
    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        let (bucket, nanoseconds) = place(duration);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// The same where no other thread counts meanwhile.
    pub fn observe_alone(&self, duration: Duration) {
        let (bucket, nanoseconds) = place(duration);
        add_alone(&self.buckets[bucket], 1);
        add_alone(&self.nanoseconds, nanoseconds);
    }

    /// What was counted so far.
    #[must_use]
    pub fn read(&self) -> Durations {
        Durations {
            buckets: std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed)),
            nanoseconds: self.nanoseconds.load(Ordering::Relaxed),
        }
    }
}

/// Adds to a counter to which no other thread adds: a load and a store, which cost as little as
/// those of a plain number.
pub fn add_alone(counter: &AtomicU64, more: u64) {
    let sum = counter.load(Ordering::Relaxed).wrapping_add(more);
    counter.store(sum, Ordering::Relaxed);
}

/// The bucket of a duration, and its nanoseconds.
fn place(duration: Duration) -> (usize, u64) {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let microseconds = nanoseconds.div_ceil(1000);
    let bucket = BOUNDS_US.partition_point(|bound| *bound < microseconds);
    (bucket, nanoseconds)
}

impl Durations {
    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds).as_secs_f64()
    }

    /// With what another histogram has counted.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            buckets: std::array::from_fn(|at| self.buckets[at] + other.buckets[at]),
            nanoseconds: self.nanoseconds.wrapping_add(other.nanoseconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_the_same_in_seconds_and_in_microseconds() {
        for (seconds, microseconds) in BOUNDS_S.iter().zip(BOUNDS_US) {
            assert_eq!(
                Duration::from_secs_f64(*seconds).as_micros(),
                microseconds.into()
            );
        }
    }

    #[test]
    fn a_duration_is_counted_in_the_least_bucket_that_holds_it() {
        let histogram = DurationHistogram::default();
        histogram.observe(Duration::from_micros(50));
        histogram.observe_alone(Duration::from_nanos(50_001));
        histogram.observe(Duration::from_secs(100));
        let counted = histogram.read();
        assert_eq!((counted.buckets[0], counted.buckets[1]), (1, 1));
        assert_eq!((counted.buckets[BOUNDS_S.len()], counted.count()), (1, 3));
        assert!((counted.seconds() - 100.000_100_001).abs() < 1e-9);
    }
}
