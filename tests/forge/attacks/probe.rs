//! A client next door that asks all the while, and how long it had to wait.
use super::client::Client;
use dbforge::clock::Stopwatch;
use serde_json::json;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(3);

/// Questions before the first attack, to compare with.
const IDLE_QUESTIONS: usize = 200;

pub(crate) struct Probe {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    waits: Vec<Duration>,
    /// What went wrong first.
    failure: Option<String>,
    /// How many waits there were when the last attack was looked at.
    looked_at: usize,
    /// The longest wait, and during which attack.
    worst: (Duration, String),
    idle: usize,
}

/// What was measured, in a line.
pub(crate) struct Figures {
    idle: Vec<Duration>,
    attacked: Vec<Duration>,
    worst: (Duration, String),
}

impl Probe {
    /// Asks `/healthz` and then `sql` of `database`, whose answer holds `expected`, again and again.
    pub(crate) fn start(client: Client, database: &str, sql: &str, expected: &str) -> Self {
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (to_note, to_end) = (Arc::clone(&seen), Arc::clone(&stop));
        let path = format!("/v1/databases/{database}/query");
        let (body, expected) = (json!({ "sql": sql }), expected.to_owned());
        let thread = std::thread::spawn(move || {
            while !to_end.load(Ordering::Relaxed) {
                let asked = Stopwatch::start();
                let health = client.get("/healthz");
                let rows = client.post(&path, &body);
                let took = asked.elapsed();
                let mut seen = to_note.lock().unwrap();
                seen.waits.push(took);
                let is_well = health.status == 200 && rows.body.contains(&expected);
                if !is_well && seen.failure.is_none() {
                    seen.failure = Some(format!("{health:?}, {rows:?}"));
                }
                drop(seen);
                std::thread::sleep(PAUSE);
            }
        });
        Self {
            seen,
            stop,
            thread: Some(thread),
        }
    }

    /// Waits for figures to compare with.
    pub(crate) fn wait_for_idle_figures(&self) {
        while self.seen.lock().unwrap().waits.len() < IDLE_QUESTIONS {
            self.is_alive();
            std::thread::sleep(PAUSE);
        }
        let mut seen = self.seen.lock().unwrap();
        seen.idle = seen.waits.len();
        seen.looked_at = seen.idle;
    }

    /// Fails if a question went unanswered since this was last asked; waits for one more, which
    /// begins after the attack.
    pub(crate) fn was_answered(&self, attack: &str) {
        let asked = self.seen.lock().unwrap().waits.len();
        loop {
            self.is_alive();
            let mut seen = self.seen.lock().unwrap();
            if let Some(failure) = &seen.failure {
                panic!("{attack}: next door: {failure}");
            }
            if seen.waits.len() >= asked + 2 {
                let since = seen.waits[seen.looked_at..].iter().max().copied();
                let since = since.unwrap_or_default();
                if since > seen.worst.0 {
                    seen.worst = (since, attack.to_owned());
                }
                seen.looked_at = seen.waits.len();
                return;
            }
            drop(seen);
            std::thread::sleep(PAUSE);
        }
    }

    fn is_alive(&self) {
        let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        assert!(!ended, "next door nobody was answered");
    }

    pub(crate) fn end(mut self) -> Figures {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let mut seen = self.seen.lock().unwrap();
        let idle = seen.idle;
        let attacked = seen.waits.split_off(idle);
        Figures {
            idle: std::mem::take(&mut seen.waits),
            attacked,
            worst: std::mem::take(&mut seen.worst),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p99 = |waits: &[Duration]| {
            let mut waits = waits.to_vec();
            waits.sort_unstable();
            waits
                .get(waits.len() * 99 / 100)
                .copied()
                .unwrap_or_default()
        };
        write!(
            f,
            "next door p99 {:?} idle, {:?} under {} questions; longest {:?} in {}",
            p99(&self.idle),
            p99(&self.attacked),
            self.attacked.len(),
            self.worst.0,
            self.worst.1
        )
    }
}
