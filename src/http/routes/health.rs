//! Liveness, readiness and metrics.
use crate::clock::{CLOCK_TOLERANCE, Deadline};
use crate::data::TransactionEnd;
use crate::domain::database::DatabaseState;
use crate::domain::job::JobState;
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::extract::{NoParameters, StrictQuery};
use crate::http::metrics::{header, line};
use crate::http::openapi::words;
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::jobs::reconciler::Finding;
use crate::projections::control_db::Position;
use crate::service::caller::Caller;
use crate::shares::Kind;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// How long a look waits for lists that are being brought up to the log's end, as at each start.
const LISTS_PATIENCE: Duration = Duration::from_millis(500);

/// The process answers.
#[derive(Serialize, ToSchema)]
struct Alive {
    #[schema(example = "alive")]
    status: &'static str,
}

/// Readiness of the gateway.
#[derive(Serialize, ToSchema)]
struct Readiness {
    #[schema(value_type = words::ReadinessStatus)]
    status: &'static str,
    checks: Checks,
}

#[derive(Serialize, ToSchema)]
struct Checks {
    /// The event log is writable.
    event_log: Check,
    /// The container runtime is reachable.
    runtime: Check,
    /// The clock is not behind the last event. Does not affect readiness.
    clock: Check,
    /// The disk has free space. When it is full, only deletes, purges and cancels are accepted.
    disk: Check,
    /// The data folders are in place.
    folders: Check,
    /// Lists and searches are up to date. While they are not, they wait or return 503; commands and
    /// SQL still work.
    lists: Check,
}

#[derive(Serialize, ToSchema)]
struct Check {
    ok: bool,
    /// Details.
    detail: String,
}

/// Check that the process is alive
///
/// Checks nothing else: SQL may work while commands do not.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, body = Alive)))]
pub(crate) async fn check_health(_: StrictQuery<NoParameters>) -> Response {
    reply::json(StatusCode::OK, &Alive { status: "alive" })
}

/// Check readiness
///
/// Ready when the event log is writable, the container runtime is reachable, the disk has free
/// space, the data folders are in place, and the lists are up to date.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(crate) async fn check_readiness(
    State(gateway): State<Arc<Gateway>>,
    _: StrictQuery<NoParameters>,
) -> Response {
    let writable = gateway.service.control.current().read_only.is_none();
    let answers = gateway.service.runtime_answers().await;
    let said = |ok, yes: &str, no: &str| if ok { yes.to_owned() } else { no.to_owned() };
    let name = gateway.service.runtime.name();
    // The log asks the disk, and keeps room back on it where it can again.
    let log = gateway.service.control.log().clone();
    let has_room = tokio::task::spawn_blocking(move || log.keep_reserve());
    let has_room = has_room.await.unwrap_or(false);
    let layout = gateway.service.data.folders().check_layout();
    let in_time = Deadline::after(LISTS_PATIENCE);
    let lists = gateway.service.control_db.settled_position(in_time).await;
    let checks = Checks {
        event_log: Check {
            ok: writable,
            detail: said(writable, "is writable", "is read-only"),
        },
        runtime: Check {
            ok: answers,
            detail: format!("{name} {}", said(answers, "is reachable", "is unreachable")),
        },
        clock: clock_check(gateway.service.control.lead_of_log()),
        disk: Check {
            ok: has_room,
            detail: said(
                has_room,
                "has free space",
                "is full: only deletes, purges and cancels are accepted; reads still work",
            ),
        },
        lists: lists_check(&lists),
        folders: Check {
            ok: layout.is_ok(),
            // The path goes to the server log only.
            detail: said(
                layout.is_ok(),
                "are in place",
                "are not usable; see the server log",
            ),
        },
    };
    if let Err(error) = layout {
        tracing::error!("{error}");
    }
    let is_ready = writable && answers && checks.disk.ok && checks.folders.ok && checks.lists.ok;
    let readiness = Readiness {
        status: if is_ready { "ready" } else { "not_ready" },
        checks,
    };
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    reply::json(status, &readiness)
}

fn lists_check(position: &Position) -> Check {
    let ok = position.trouble.is_none() && !position.is_catching_up;
    let detail = match (&position.trouble, position.is_catching_up) {
        // The trouble may contain a path, which goes to the server log only.
        (Some(_), _) => "are behind the event log; see the server log",
        (None, true) => "are being rebuilt from the event log",
        (None, false) => "are up to date",
    };
    Check {
        ok,
        detail: detail.to_owned(),
    }
}

fn clock_check(lead: Duration) -> Check {
    let ok = lead < CLOCK_TOLERANCE;
    let detail = if ok {
        "is not behind the last event".to_owned()
    } else {
        format!("the last event is {} s ahead of the clock", lead.as_secs())
    };
    Check { ok, detail }
}

/// Show Prometheus metrics
///
/// Counters since the start, and current gauges.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn show_metrics(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let mut text = String::new();
    gateway.metrics.write(&mut text);
    write_present(&gateway, &mut text);
    write_ended_transactions(&gateway, &mut text);
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    let text = reply::counted(text.into_bytes())?;
    Ok(([("content-type", content_type)], text).into_response())
}

fn write_ended_transactions(gateway: &Gateway, text: &mut String) {
    const NAME: &str = "dbforge_sql_transactions_total";
    let help = "Interactive transactions by outcome.";
    header(text, NAME, "counter", help);
    for (end, word) in TransactionEnd::ALL {
        let count = gateway.service.data.ended_transactions(*end);
        line(text, NAME, &format!("end=\"{word}\""), count);
    }
}

fn write_present(gateway: &Gateway, text: &mut String) {
    let current = gateway.service.control.current();
    let mut gauge = |name: &str, help: &str, values: &[(String, String)]| {
        header(text, name, "gauge", help);
        for (labels, value) in values {
            line(text, name, labels, value);
        }
    };
    let one = |value: String| [(String::new(), value)];
    let by_state = |state: &str, count: usize| (format!("state=\"{state}\""), count.to_string());

    gauge(
        "dbforge_event_streams",
        "Open event streams.",
        &one(gateway.rooms.taken(Kind::Streams).to_string()),
    );
    let health = gateway.service.data.health();
    gauge(
        "dbforge_sql_streams",
        "SQL results being streamed.",
        &one(health.streams.to_string()),
    );
    gauge(
        "dbforge_sql_transactions",
        "Interactive transactions, open or waiting.",
        &one(health.transactions.to_string()),
    );
    let now = gateway.service.control.clock().now();
    let databases = current.state.databases().map(|it| it.state_at(now));
    let databases: Vec<DatabaseState> = databases.collect();
    let count = |state: &DatabaseState| {
        databases
            .iter()
            .filter(|database| *database == state)
            .count()
    };
    let databases: Vec<_> = DatabaseState::ALL
        .iter()
        .map(|it| by_state(it.as_str(), count(it)))
        .collect();
    gauge("dbforge_databases", "Databases by state.", &databases);

    let count = |state: &JobState| {
        current
            .state
            .jobs()
            .filter(|job| job.state == *state)
            .count()
    };
    let jobs: Vec<_> = JobState::ALL
        .iter()
        .filter(|it| !it.is_final())
        .map(|it| by_state(it.as_str(), count(it)))
        .collect();
    gauge("dbforge_unfinished_jobs", "Unfinished jobs.", &jobs);

    let sequence = current.head.sequence.to_string();
    gauge(
        "dbforge_log_sequence",
        "Sequence number of the last event.",
        &one(sequence),
    );
    let lead = gateway.service.control.lead_of_log().as_secs_f64();
    let help = "How far the last event is ahead of the clock.";
    gauge(
        "dbforge_log_ahead_of_clock_seconds",
        help,
        &one(format!("{lead:.3}")),
    );
    let read_only = u8::from(current.read_only.is_some()).to_string();
    let help = "Whether the event log is read-only.";
    gauge("dbforge_log_read_only", help, &one(read_only));
    let pass = gateway.service.workers.drift.last();
    let halted = u8::from(pass.is_halted()).to_string();
    let help = "Whether the reconciler waits for operator approval.";
    gauge("dbforge_reconcile_halted", help, &one(halted));
    let is_missing = |it: &&Finding| matches!(it, Finding::DataMissing { .. });
    let missing = pass.plan.findings.iter().filter(is_missing).count();
    let help = "Databases whose file is missing.";
    gauge("dbforge_data_missing", help, &one(missing.to_string()));
    let help = "Open client connections.";
    let connections = gateway.connections.count().to_string();
    gauge("dbforge_http_connections", help, &one(connections));
    for (name, help, kind) in [
        (
            "dbforge_http_in_flight",
            "Requests being worked on.",
            Kind::Working,
        ),
        ("dbforge_http_waiting", "Requests waiting.", Kind::Waiting),
        (
            "dbforge_http_buffered_bytes",
            "Bytes of requests and responses in memory.",
            Kind::Bytes,
        ),
    ] {
        gauge(name, help, &one(gateway.rooms.taken(kind).to_string()));
    }
    let sql = gateway.service.data.health();
    let help = "Open connections to databases.";
    let connections = sql.connections.to_string();
    gauge("dbforge_sql_connections", help, &one(connections));
    let help = "Bytes of temporary files of SQL statements.";
    let temp_bytes = sql.temp_bytes.to_string();
    gauge("dbforge_sql_temp_bytes", help, &one(temp_bytes));
    let help =
        "Threads stuck in a statement that cannot be interrupted; their databases are unavailable.";
    let stuck = sql.stuck_threads.to_string();
    gauge("dbforge_sql_stuck_threads", help, &one(stuck));
    let uptime = format!("{:.3}", gateway.service.uptime().as_secs_f64());
    gauge(
        "dbforge_uptime_seconds",
        "Seconds since the start.",
        &one(uptime),
    );
}
