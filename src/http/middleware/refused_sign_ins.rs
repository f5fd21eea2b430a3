//! Refused sign-ins: counted for each source, and answered the later the more there were; logged,
//! but never so many that a guesser fills the disk.
//!
//! An accepted token is answered at once, whatever others behind the same address have sent.
use crate::clock::{Deadline, Stopwatch};
use crate::domain::ids::RequestId;
use crate::locks::Mutex;
use crate::shares::Holder;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Refusals in [`WINDOW`] that are answered at once: a person with an old token, a client that
/// retries.
const FREE: u32 = 100;
/// What is counted together; it begins with the first refusal.
const WINDOW: Duration = Duration::from_secs(60);
/// The first wait. It doubles with every further [`FREE`] refusals.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Doublings at most: 8 s.
const DOUBLINGS: u32 = 5;
/// At this many sources, those whose window is over are forgotten.
const SWEEP_AT: usize = 4096;

/// Lines of the log within one [`LINES_WINDOW`], of all sources together.
const MOST_LINES: u32 = 10;
/// How long lines are counted together.
const LINES_WINDOW: Duration = Duration::from_secs(10);

/// The sources of refused sign-ins, and the lines about them.
#[derive(Debug, Default)]
pub(crate) struct RefusedSignIns {
    sources: Mutex<HashMap<Holder, Recent>>,
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Recent {
    since: Stopwatch,
    count: u32,
}

#[derive(Debug, Default)]
struct Lines {
    end: Option<Deadline>,
    told: u32,
    untold: u64,
}

impl RefusedSignIns {
    /// Counts one, and says how long its answer is to wait.
    pub(super) fn note(&self, source: Holder) -> Duration {
        let mut sources = self.sources.lock();
        if sources.len() >= SWEEP_AT {
            sources.retain(|_, recent| recent.since.elapsed() < WINDOW);
        }
        let recent = sources.entry(source).or_insert_with(Recent::new);
        if recent.since.elapsed() >= WINDOW {
            *recent = Recent::new();
        }
        recent.count = recent.count.saturating_add(1);
        let count = recent.count;
        drop(sources);
        if count == FREE + 1 {
            tracing::warn!(
                ?source,
                "many sign-ins were refused; answers to more are delayed"
            );
        }
        wait_after(count)
    }

    /// Logs one, unless there were many just now; these are told with the next line.
    pub(super) fn tell(
        &self,
        reason: &str,
        client: Option<IpAddr>,
        path: &str,
        request: RequestId,
    ) {
        let Some(untold) = self.lines.lock().turn() else {
            return;
        };
        tracing::warn!(
            reason,
            client.address = client.map(tracing::field::display),
            http.path = path,
            request.id = %request,
            untold = (untold > 0).then_some(untold),
            "sign-in refused"
        );
    }
}

impl Recent {
    fn new() -> Self {
        Self {
            since: Stopwatch::start(),
            count: 0,
        }
    }
}

impl Lines {
    /// How many were not told since the last line; none when this one is not told either.
    fn turn(&mut self) -> Option<u64> {
        if self.end.is_none_or(|end| end.has_passed()) {
            self.end = Some(Deadline::after(LINES_WINDOW));
            self.told = 0;
        }
        if self.told >= MOST_LINES {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

fn wait_after(count: u32) -> Duration {
    match count.checked_sub(FREE + 1) {
        None => Duration::ZERO,
        Some(more) => FIRST_WAIT * 2_u32.pow((more / FREE).min(DOUBLINGS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_answered_at_once_and_later_ones_ever_later() {
        let refused = RefusedSignIns::default();
        let one = Holder::at("192.0.2.7".parse().unwrap());
        let other = Holder::at("192.0.2.8".parse().unwrap());
        let waits: Vec<u128> = (0..1_000).map(|_| refused.note(one).as_millis()).collect();
        assert_eq!(waits[..100], [0; 100]);
        assert_eq!(waits[100..200], [250; 100]);
        assert_eq!(waits[200], 500);
        assert_eq!(waits[999], 8_000);
        assert_eq!(
            refused.note(other),
            Duration::ZERO,
            "sources are told apart"
        );
    }

    #[test]
    fn a_guesser_is_told_ten_times_in_a_while_and_then_counted() {
        let mut lines = Lines::default();
        let since = Stopwatch::start();
        let told = (0..1000).filter(|_| lines.turn().is_some()).count();
        if since.elapsed() < LINES_WINDOW {
            assert_eq!(told, 10);
            lines.end = None;
            let untold = lines.turn();
            assert_eq!(untold, Some(990), "the rest is told with the next line");
        }
    }
}
