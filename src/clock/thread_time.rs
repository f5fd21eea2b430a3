//! The processor time of one thread, as the others see it.
#![cfg_attr(
    target_os = "linux",
    expect(
        unsafe_code,
        reason = "rustix names the clock of the own thread alone, and nix for one call would change \
                  how libc is built for all"
    )
)]

use std::time::Duration;

/// Tells the processor time of one thread to the others.
#[derive(Debug, Clone, Copy)]
pub struct ThreadTime {
    #[cfg(target_os = "linux")]
    clock: Option<libc::clockid_t>,
}

#[cfg(target_os = "linux")]
impl ThreadTime {
    /// Of the thread that asks.
    #[must_use]
    pub fn of_this_thread() -> Self {
        let mut clock = 0;
        // SAFETY: the thread that is named runs this, and the id is written to a place of its own.
        let result = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        Self {
            clock: (result == 0).then_some(clock),
        }
    }

    /// What the thread has worked since it began; `None` where it has ended, or the system does not
    /// tell.
    #[must_use]
    pub fn worked(&self) -> Option<Duration> {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the id is a number that the kernel looks up, and refuses once its thread is gone;
        // the time is written to a place of its own.
        let result = unsafe { libc::clock_gettime(self.clock?, &raw mut time) };
        let (seconds, nanos) = (time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?);
        (result == 0).then(|| Duration::new(seconds, nanos))
    }
}

#[cfg(not(target_os = "linux"))]
impl ThreadTime {
    /// Of the thread that asks.
    #[must_use]
    pub fn of_this_thread() -> Self {
        Self {}
    }

    /// Nothing: the system does not tell.
    #[must_use]
    pub fn worked(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Stopwatch, WorkTime};
    use std::sync::mpsc;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_that_works_is_told_from_one_that_waits() {
        let (own, (tell, told)) = (WorkTime::start(), mpsc::channel());
        let (end, ended) = mpsc::channel::<()>();
        let works = std::thread::spawn(move || {
            let work = WorkTime::start();
            while work.elapsed() < Duration::from_millis(20) {
                std::hint::spin_loop();
            }
            tell.send(ThreadTime::of_this_thread()).unwrap();
            ended.recv().unwrap_err();
        });
        let time = told.recv().unwrap();
        let worked = time.worked().unwrap();
        assert!(worked >= Duration::from_millis(20), "{worked:?}");
        let waited = Stopwatch::start();
        while waited.elapsed() < Duration::from_millis(50) {
            std::thread::yield_now();
        }
        let more = time.worked().unwrap() - worked;
        assert!(more < Duration::from_millis(20), "it waits: {more:?}");
        let here = ThreadTime::of_this_thread().worked().unwrap();
        assert!(here >= own.elapsed(), "another thread has another clock");
        drop(end);
        works.join().unwrap();
        // The kernel takes a moment to forget a thread that was joined.
        let ended = Stopwatch::start();
        while time.worked().is_some() {
            assert!(ended.elapsed() < Duration::from_secs(10), "it has ended");
            std::thread::yield_now();
        }
    }
}
