//! What is counted of requests. What a request touches is an atomic that its route found once: no
//! lock, and no name is looked up.
use crate::http::middleware::SignInRefused;
use crate::http::response::error::ErrorCode;
use crate::locks::{Mutex, RwLock};
use crate::telemetry::{DurationHistogram, Durations};
use axum::http::Method;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock};
use std::time::Duration;

/// Requests by route, and problems by code.
#[derive(Debug)]
pub struct Metrics {
    /// By method and path.
    routes: RwLock<BTreeMap<(&'static str, String), Arc<RouteCounts>>>,
    problems: [AtomicU64; ErrorCode::ALL.len()],
    refused_sign_ins: [AtomicU64; SignInRefused::REASONS.len()],
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            routes: RwLock::default(),
            problems: std::array::from_fn(|_| AtomicU64::default()),
            refused_sign_ins: Default::default(),
        }
    }
}

impl Metrics {
    /// Counts a problem: the answer itself, or the end of one that had begun.
    pub(in crate::http) fn count_problem(&self, code: ErrorCode) {
        self.problems[code as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a sign-in that was refused.
    pub(in crate::http) fn count_refused_sign_in(&self, refused: &SignInRefused) {
        self.refused_sign_ins[refused.place()].fetch_add(1, Ordering::Relaxed);
    }

    /// The counts of every route that was asked for, by method and path.
    #[must_use]
    pub fn by_route(&self) -> BTreeMap<(&'static str, String), Arc<RouteCounts>> {
        let routes = self.routes.read();
        routes.clone()
    }

    /// How often each code was answered.
    #[must_use]
    pub fn by_code(&self) -> BTreeMap<&'static str, u64> {
        let counts = ErrorCode::ALL.iter().zip(&self.problems);
        let counts = counts.map(|(code, count)| (code.as_str(), count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// The counts of a route, which are asked for once by it and then kept there.
    fn counts_of(&self, method: &'static str, route: &str) -> Arc<RouteCounts> {
        let mut routes = self.routes.write();
        routes
            .entry((method, route.to_owned()))
            .or_default()
            .clone()
    }

    /// Refused sign-ins by reason.
    pub(super) fn refused_sign_ins(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.refused_sign_ins.iter();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        SignInRefused::REASONS.into_iter().zip(counts)
    }
}

/// The statuses that the gateway answers; others are counted, too, but under a lock.
const STATUSES: [u16; 30] = [
    200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412, 413, 414, 415,
    416, 422, 423, 428, 429, 431, 500, 501, 503, 504, 507,
];

/// How many labels of methods there are.
const METHODS: usize = 8;

/// The counts of one method on one route.
#[derive(Debug, Default)]
pub struct RouteCounts {
    /// By their place in [`STATUSES`].
    statuses: [AtomicU64; STATUSES.len()],
    rare: Mutex<BTreeMap<u16, u64>>,
    durations: DurationHistogram,
}

/// The counts of one route, found at the first request of each method.
#[derive(Debug, Default)]
pub(crate) struct CountsByMethod([OnceLock<Arc<RouteCounts>>; METHODS]);

impl CountsByMethod {
    /// Counts one answer of this route.
    pub(in crate::http) fn count(
        &self,
        metrics: &Metrics,
        (method, route): (&Method, &str),
        status: u16,
        problem: Option<ErrorCode>,
        elapsed: Duration,
    ) {
        let (place, label) = known_method(method);
        let counts = self.0[place].get_or_init(|| metrics.counts_of(label, route));
        counts.count(status, elapsed);
        if let Some(code) = problem {
            metrics.count_problem(code);
        }
    }
}

impl RouteCounts {
    fn count(&self, status: u16, elapsed: Duration) {
        match STATUSES.binary_search(&status) {
            Ok(place) => {
                self.statuses[place].fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => *self.lock_rare().entry(status).or_default() += 1,
        }
        self.durations.observe(elapsed);
    }

    /// Answers by status.
    #[must_use]
    pub fn statuses(&self) -> BTreeMap<u16, u64> {
        let counts = self.statuses.iter().map(|it| it.load(Ordering::Relaxed));
        let counts = STATUSES
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0);
        counts.chain(self.lock_rare().clone()).collect()
    }

    /// How long they took.
    #[must_use]
    pub fn durations(&self) -> Durations {
        self.durations.read()
    }

    /// All answers.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.durations().count()
    }

    /// All their durations together.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.durations().seconds()
    }

    fn lock_rare(&self) -> MutexGuard<'_, BTreeMap<u16, u64>> {
        self.rare.lock()
    }
}

/// The label of a method, and its place. Unknown methods share one, so that clients cannot fill the
/// memory.
fn known_method(method: &Method) -> (usize, &'static str) {
    match method.as_str() {
        "GET" => (0, "GET"),
        "HEAD" => (1, "HEAD"),
        "POST" => (2, "POST"),
        "PUT" => (3, "PUT"),
        "PATCH" => (4, "PATCH"),
        "DELETE" => (5, "DELETE"),
        "OPTIONS" => (6, "OPTIONS"),
        _ => (7, "other"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_counted_and_those_of_the_gateway_without_a_lock() {
        let counts = RouteCounts::default();
        assert!(STATUSES.is_sorted());
        for code in ErrorCode::ALL {
            assert!(STATUSES.contains(&code.status().as_u16()), "{code:?}");
        }
        for status in [200, 418, 200] {
            counts.count(status, Duration::ZERO);
        }
        assert_eq!(counts.statuses(), BTreeMap::from([(200, 2), (418, 1)]));
    }
}
