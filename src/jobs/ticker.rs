//! Wakes periodic work, with tokio-cron-scheduler as a ticker.
//!
//! A tick may be lost, late or doubled: subscribers check what is due and what has been done, so
//! it does no harm. The scheduler waits for wall-clock times; when the clock
//! was set, a second timer on monotonic time ticks instead.
use crate::clock::timestamp::Timestamp;
use crate::clock::{CLOCK_TOLERANCE, Clock, Stopwatch};
use crate::locks::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Once a minute: the reconciler and the retention work in minutes, and urgent changes wake them
/// directly.
const EVERY_MINUTE: &str = "0 * * * * *";
/// How often the wall clock is compared with monotonic time.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The scheduler never pauses longer than this on purpose.
const LONGEST_SILENCE: Duration = Duration::from_secs(62);

/// Ticks once a minute, and when the clock was set.
pub struct Ticker {
    scheduler: JobScheduler,
    watch: JoinHandle<()>,
}

/// The subscribers, and the time of the last tick.
struct Ticks {
    subscribers: Vec<Arc<Notify>>,
    last_tick: Mutex<Stopwatch>,
}

impl Ticker {
    /// Starts ticking for all subscribers.
    ///
    /// # Errors
    /// When the scheduler cannot be started.
    pub async fn start(
        subscribers: Vec<Arc<Notify>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, JobSchedulerError> {
        let last_tick = Mutex::new(Stopwatch::start());
        let ticks = Arc::new(Ticks {
            subscribers,
            last_tick,
        });
        let scheduler = JobScheduler::new().await?;
        let ticks_too = ticks.clone();
        scheduler
            .add(Job::new(EVERY_MINUTE, move |_, _| ticks_too.tick())?)
            .await?;
        scheduler.start().await?;
        let watch = tokio::spawn(watch(ticks, clock));
        Ok(Self { scheduler, watch })
    }

    /// Stops ticking.
    pub async fn stop(mut self) {
        self.watch.abort();
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the ticker did not stop cleanly");
        }
    }
}

impl Ticks {
    fn tick(&self) {
        *self.last_tick.lock() = Stopwatch::start();
        for subscriber in &self.subscribers {
            subscriber.notify_one();
        }
    }

    fn silence(&self) -> Duration {
        let last_tick = self.last_tick.lock();
        last_tick.elapsed()
    }
}

/// Ticks when the wall clock was set, and while the scheduler waits for a time that is
/// hours away since then.
async fn watch(ticks: Arc<Ticks>, clock: Arc<dyn Clock>) {
    let started = Stopwatch::start();
    let mut last = Look {
        wall: clock.now(),
        monotonic: started.elapsed(),
    };
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let look = Look {
            wall: clock.now(),
            monotonic: started.elapsed(),
        };
        let jump = look.jump_since(last);
        last = look;
        if let Some(jump) = jump {
            tracing::warn!(
                "the clock was set {} by {} s",
                if jump.is_ahead { "ahead" } else { "back" },
                jump.by.as_secs()
            );
        }
        if jump.is_some() || ticks.silence() > LONGEST_SILENCE {
            ticks.tick();
        }
    }
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
struct Look {
    wall: Timestamp,
    monotonic: Duration,
}

/// A change of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Jump {
    is_ahead: bool,
    by: Duration,
}

impl Look {
    /// The change of the wall clock between an earlier reading and this one, if any.
    fn jump_since(self, earlier: Self) -> Option<Jump> {
        let expected = earlier
            .wall
            .after(self.monotonic.saturating_sub(earlier.monotonic));
        let is_ahead = self.wall > expected;
        let by = self.wall.since(expected).max(expected.since(self.wall));
        (by > CLOCK_TOLERANCE).then_some(Jump { is_ahead, by })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn noon() -> Timestamp {
        Timestamp::from_millis(1_772_366_400_000)
    }

    fn look(wall: Timestamp, seconds: u64) -> Look {
        let monotonic = Duration::from_secs(seconds);
        Look { wall, monotonic }
    }

    #[test]
    fn a_clock_that_goes_with_time_was_not_set_and_one_that_does_not_was() {
        let hour = Duration::from_secs(3600);
        let first = look(noon().after(hour), 10);
        let later = |by| look(noon().after(by), 11);
        let second = Duration::from_secs(1);
        assert_eq!(later(hour + second).jump_since(first), None);
        assert_eq!(later(hour + second * 2).jump_since(first), None, "a little");
        let jump = |it: Look| it.jump_since(first).map(|it| (it.is_ahead, it.by));
        assert_eq!(jump(later(second)), Some((false, hour)));
        assert_eq!(jump(later(hour * 2 + second)), Some((true, hour)));
    }

    #[tokio::test]
    async fn subscribers_are_woken_when_the_clock_is_set_back() {
        let clock = Arc::new(ManualClock::at(noon().after(Duration::from_secs(3600))));
        let subscriber = Arc::new(Notify::new());
        let ticker = Ticker::start(vec![subscriber.clone()], clock.clone())
            .await
            .unwrap();
        clock.set(noon());
        let woken = tokio::time::timeout(Duration::from_secs(30), subscriber.notified()).await;
        assert!(woken.is_ok());
        ticker.stop().await;
    }
}
