//! Requests: by route, method and status, with how long they took; connections; what is refused.
use super::counts::Metrics;
use super::exposition::Exposition;
use crate::http::Gateway;
use crate::shares::{Kind, Refused};

pub(super) fn show(gateway: &Gateway, shown: &mut Exposition) {
    show_routes(&gateway.metrics, shown);
    let metrics = &gateway.metrics;
    let problems = metrics.by_code().into_iter();
    shown.counters(
        "dbforge_problems",
        "Errors by code.",
        problems.map(|(code, count)| (vec![("code", code.to_owned())], count)),
    );
    let sign_ins = metrics.refused_sign_ins();
    shown.counters(
        "dbforge_sign_ins_refused",
        "Requests without an accepted token.",
        sign_ins.map(|(reason, count)| (vec![("reason", reason.to_owned())], count)),
    );
    let connections = &gateway.connections;
    shown.gauge(
        "dbforge_http_connections",
        "Open client connections.",
        connections.count(),
    );
    let most = gateway.config.connection_limit;
    shown.gauge(
        "dbforge_http_connections_limit",
        "Most open client connections.",
        most,
    );
    let [received, sent] = connections.bytes();
    shown.counter(
        "dbforge_http_received_bytes",
        "Bytes received from clients.",
        received,
    );
    shown.counter("dbforge_http_sent_bytes", "Bytes sent to clients.", sent);
    show_rooms(gateway, shown);
}

fn show_routes(metrics: &Metrics, shown: &mut Exposition) {
    let by_route = metrics.by_route();
    let labels = |method: &&'static str, route: &String| {
        vec![("method", (*method).to_owned()), ("route", route.clone())]
    };
    let statuses = by_route.iter().flat_map(|((method, route), counts)| {
        counts.statuses().into_iter().map(move |(status, count)| {
            let mut labels = labels(method, route);
            labels.push(("status", status.to_string()));
            (labels, count)
        })
    });
    shown.counters("dbforge_http_requests", "HTTP responses.", statuses);
    let durations = by_route.iter();
    let durations = durations.map(|((method, route), it)| (labels(method, route), it.durations()));
    shown.histograms(
        "dbforge_http_request_duration_seconds",
        "Time to the start of the response.",
        durations,
    );
}

/// What requests share, with what is taken of it, its size, and how often it was refused.
fn show_rooms(gateway: &Gateway, shown: &mut Exposition) {
    let rooms = &gateway.rooms;
    for (kind, name, help, limit, limit_help) in [
        (
            Kind::Working,
            "dbforge_http_in_flight",
            "Requests being worked on.",
            "dbforge_http_in_flight_limit",
            "Most requests being worked on.",
        ),
        (
            Kind::Waiting,
            "dbforge_http_waiting",
            "Requests waiting.",
            "dbforge_http_waiting_limit",
            "Most requests waiting.",
        ),
        (
            Kind::Bytes,
            "dbforge_http_buffered_bytes",
            "Bytes of requests and responses in memory.",
            "dbforge_http_buffered_bytes_limit",
            "Most bytes of requests and responses in memory.",
        ),
        (
            Kind::Streams,
            "dbforge_event_streams",
            "Open event streams.",
            "dbforge_event_streams_limit",
            "Most open event streams.",
        ),
    ] {
        shown.gauge(name, help, rooms.taken(kind));
        shown.gauge(limit, limit_help, rooms.most(kind));
    }
    let waits = rooms.waits();
    shown.counter(
        "dbforge_http_waits",
        "Times that a request had to wait.",
        waits,
    );
    let refused = Kind::ALL
        .into_iter()
        .zip(Kind::WORDS)
        .flat_map(|(kind, word)| {
            [(Refused::Full, "full"), (Refused::ShareTaken, "share")].map(|(why, reason)| {
                let labels = vec![("resource", word.to_owned()), ("reason", reason.to_owned())];
                (labels, rooms.refused(kind, why))
            })
        });
    shown.counters(
        "dbforge_http_refused",
        "Requests refused because a resource or the caller's share of it was used up.",
        refused,
    );
}

#[cfg(test)]
mod tests {
    use super::super::counts::CountsByMethod;
    use super::*;
    use crate::http::response::error::ErrorCode;
    use axum::http::Method;
    use std::time::Duration;

    #[test]
    fn invented_methods_share_one_count() {
        let metrics = Metrics::default();
        let counts = CountsByMethod::default();
        for method in ["BREW", "WHEN"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let code = Some(ErrorCode::MethodNotAllowed);
            let elapsed = Duration::from_millis(2);
            counts.count(&metrics, (&method, "unmatched"), 405, code, elapsed);
        }
        let by_route = metrics.by_route();
        assert_eq!(by_route.len(), 1);
        assert_eq!(by_route[&("other", "unmatched".into())].total(), 2);
        assert_eq!(metrics.by_code()["method_not_allowed"], 2);
        let mut shown = Exposition::default();
        show_routes(&metrics, &mut shown);
        let text = shown.write(false).unwrap();
        assert!(text.contains("le=\"0.0025\"} 2\n"), "{text}");
        assert!(text.contains("status=\"405\"} 2\n"), "{text}");
    }
}
