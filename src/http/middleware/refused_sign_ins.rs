//! Refused sign-ins: counted for each source, and answered the later the more there were.
//!
//! An accepted token is answered at once, whatever others behind the same address have sent.
use crate::clock::Stopwatch;
use crate::locks::Mutex;
use crate::shares::Holder;
use std::collections::HashMap;
use std::time::Duration;

/// So many in [`WINDOW`] are answered at once: a person with an old token, a client that retries.
const FREE: u32 = 100;
/// What is counted together; it begins with the first refusal.
const WINDOW: Duration = Duration::from_secs(60);
/// The first wait. It doubles with every further [`FREE`] refusals.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Doublings at most: 8 s.
const DOUBLINGS: u32 = 5;
/// At this many sources, those whose window is over are forgotten.
const SWEEP_AT: usize = 4096;

/// The sources of refused sign-ins.
#[derive(Debug, Default)]
pub(crate) struct RefusedSignIns(Mutex<HashMap<Holder, Recent>>);

#[derive(Debug)]
struct Recent {
    since: Stopwatch,
    count: u32,
}

impl RefusedSignIns {
    /// Counts one, and says how long its answer is to wait.
    pub(crate) fn note(&self, source: Holder) -> Duration {
        let mut sources = self.0.lock();
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
}

impl Recent {
    fn new() -> Self {
        Self {
            since: Stopwatch::start(),
            count: 0,
        }
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
}
