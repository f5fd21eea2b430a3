//! Request metrics in the Prometheus text format.
use super::response::error::ErrorCode;
use crate::locks::{Mutex, RwLock};
use axum::http::Method;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of the duration buckets, in seconds: from a point read to the longest wait.
const BUCKETS_S: [f64; 9] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 25.0, 75.0];

/// Requests by route, and problems by code.
#[derive(Debug, Default)]
pub struct Metrics {
    /// By method, then by path.
    routes: RwLock<HashMap<&'static str, Paths>>,
    problems: Mutex<BTreeMap<&'static str, u64>>,
}

type Paths = HashMap<String, Arc<Mutex<RouteCounts>>>;

/// The counts of one method on one route.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouteCounts {
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers within each bound of [`BUCKETS_S`], those of smaller bounds left out.
    buckets: [u64; BUCKETS_S.len()],
    /// All durations together.
    seconds: f64,
}

impl RouteCounts {
    /// All answers.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// All their durations together.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.seconds
    }
}

impl Metrics {
    /// Counts one answer.
    pub(super) fn count(
        &self,
        method: &Method,
        route: &str,
        status: u16,
        problem: Option<ErrorCode>,
        elapsed: Duration,
    ) {
        let counts = self.counts_of(known_method(method), route);
        let seconds = elapsed.as_secs_f64();
        {
            let mut counts = counts.lock();
            *counts.statuses.entry(status).or_default() += 1;
            counts.seconds += seconds;
            if let Some(bucket) = BUCKETS_S.iter().position(|it| seconds <= *it) {
                counts.buckets[bucket] += 1;
            }
        }
        if let Some(code) = problem {
            self.count_problem(code);
        }
    }

    /// Counts a problem: the answer itself, or the end of one that had begun.
    pub(super) fn count_problem(&self, code: ErrorCode) {
        let mut problems = self.problems.lock();
        *problems.entry(code.as_str()).or_default() += 1;
    }

    /// The counts of every route that was asked for, by method and path.
    #[must_use]
    pub fn by_route(&self) -> BTreeMap<(&'static str, String), RouteCounts> {
        let routes = self.routes.read();
        let of_method = |(method, paths): (&&'static str, &Paths)| {
            let method = *method;
            let read = |(path, counts): (&String, &Arc<Mutex<RouteCounts>>)| {
                let counts = counts.lock();
                ((method, path.clone()), counts.clone())
            };
            paths.iter().map(read).collect::<Vec<_>>()
        };
        routes.iter().flat_map(of_method).collect()
    }

    /// How often each code was answered.
    #[must_use]
    pub fn by_code(&self) -> BTreeMap<&'static str, u64> {
        self.problems.lock().clone()
    }

    fn counts_of(&self, method: &'static str, route: &str) -> Arc<Mutex<RouteCounts>> {
        let known = {
            let routes = self.routes.read();
            routes.get(method).and_then(|it| it.get(route)).cloned()
        };
        known.unwrap_or_else(|| {
            let mut routes = self.routes.write();
            let paths = routes.entry(method).or_default();
            paths.entry(route.to_owned()).or_default().clone()
        })
    }

    /// Writes the counts in Prometheus' text format.
    pub(super) fn write(&self, text: &mut String) {
        let by_route = self.by_route();
        header(
            text,
            "dbforge_http_requests_total",
            "counter",
            "HTTP responses.",
        );
        for ((method, route), counts) in &by_route {
            for (status, count) in &counts.statuses {
                line(
                    text,
                    "dbforge_http_requests_total",
                    &format!("method=\"{method}\",route=\"{route}\",status=\"{status}\""),
                    count,
                );
            }
        }
        const DURATION: &str = "dbforge_http_request_duration_seconds";
        header(
            text,
            DURATION,
            "histogram",
            "Time to the start of the response.",
        );
        for ((method, route), counts) in &by_route {
            let labels = format!("method=\"{method}\",route=\"{route}\"");
            let mut within = 0;
            for (bound, count) in BUCKETS_S.iter().zip(counts.buckets) {
                within += count;
                let labels = format!("{labels},le=\"{bound}\"");
                line(text, &format!("{DURATION}_bucket"), &labels, within);
            }
            let total = counts.total();
            let all = format!("{labels},le=\"+Inf\"");
            line(text, &format!("{DURATION}_bucket"), &all, total);
            line(text, &format!("{DURATION}_sum"), &labels, counts.seconds);
            line(text, &format!("{DURATION}_count"), &labels, total);
        }
        header(text, "dbforge_problems_total", "counter", "Errors by code.");
        for (code, count) in self.by_code() {
            let label = format!("code=\"{code}\"");
            line(text, "dbforge_problems_total", &label, count);
        }
    }
}

/// Says what a metric is, in front of its lines.
pub(super) fn header(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// One value with its labels, which may be none.
pub(super) fn line(text: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ = match labels {
        "" => writeln!(text, "{name} {value}"),
        labels => writeln!(text, "{name}{{{labels}}} {value}"),
    };
}

/// The label of a method. Unknown methods share one label, so that clients cannot fill the memory.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_methods_share_one_count() {
        let metrics = Metrics::default();
        for method in ["BREW", "WHEN"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let code = Some(ErrorCode::MethodNotAllowed);
            metrics.count(&method, "unmatched", 405, code, Duration::from_millis(2));
        }
        let by_route = metrics.by_route();
        assert_eq!(by_route.len(), 1);
        assert_eq!(by_route[&("other", "unmatched".into())].total(), 2);
        let mut text = String::new();
        metrics.write(&mut text);
        assert!(text.contains("le=\"0.005\"} 2\n"), "{text}");
        assert!(text.contains("{code=\"method_not_allowed\"} 2\n"), "{text}");
    }
}
