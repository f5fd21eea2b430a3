//! Whether the forge lives, whether it is ready, and its numbers.
use crate::clock::{CLOCK_TOLERANCE, Deadline};
use crate::data::TransactionEnd;
use crate::domain::database::DatabaseState;
use crate::domain::job::JobState;
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::extract::{NoParameters, StrictQuery};
use crate::http::metrics::{header, line};
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

/// What the forge needs to take commands.
#[derive(Serialize, ToSchema)]
struct Readiness {
    /// `ready` or `not_ready`.
    status: &'static str,
    checks: Checks,
}

#[derive(Serialize, ToSchema)]
struct Checks {
    /// Whether the event log takes events.
    event_log: Check,
    /// Whether the runtime answers.
    runtime: Check,
    /// Whether the clock has come to the last event's time. Where it has not, the forge is ready
    /// all the same: the clock was ahead once, or is behind now.
    clock: Check,
    /// Whether the disk has room for commands of all kinds. Where it has not, deletes, purges and
    /// cancels are still taken.
    disk: Check,
    /// Whether the folders of databases are what they must be.
    folders: Check,
    /// Whether lists and searches have come to the log's end. Where they have not, they are 503 or
    /// wait; commands and SQL go on.
    lists: Check,
}

#[derive(Serialize, ToSchema)]
struct Check {
    ok: bool,
    /// What was looked at, and what was seen.
    detail: String,
}

/// Whether the process lives
///
/// Looks at nothing else: SQL may be served while commands are not.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, body = Alive)))]
pub(crate) async fn check_health(_: StrictQuery<NoParameters>) -> Response {
    reply::json(StatusCode::OK, &Alive { status: "alive" })
}

/// Whether the forge takes commands
///
/// The event log is writable, the runtime answers, the disk has room, the folders are in place, and
/// the lists follow the log.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(crate) async fn check_readiness(
    State(gateway): State<Arc<Gateway>>,
    _: StrictQuery<NoParameters>,
) -> Response {
    let writable = gateway.service.control.present().read_only.is_none();
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
            detail: said(writable, "takes events", "is read-only"),
        },
        runtime: Check {
            ok: answers,
            detail: format!("{name} {}", said(answers, "answers", "does not answer")),
        },
        clock: clock_check(gateway.service.control.lead_of_log()),
        disk: Check {
            ok: has_room,
            detail: said(
                has_room,
                "has room",
                "is full: deletes, purges and cancels are taken, and reads go on",
            ),
        },
        lists: lists_check(&lists),
        folders: Check {
            ok: layout.is_ok(),
            // The path is for those who may look at the machine: the trace has it.
            detail: said(
                layout.is_ok(),
                "are in place",
                "cannot be used; see the trace",
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
        // What it is may name a path, which is for those who may look at the machine.
        (Some(_), _) => "stay behind the log; see the trace",
        (None, true) => "are being built again from the log",
        (None, false) => "follow the log",
    };
    Check {
        ok,
        detail: detail.to_owned(),
    }
}

fn clock_check(lead: Duration) -> Check {
    let ok = lead < CLOCK_TOLERANCE;
    let detail = if ok {
        "has come to the last event's time".to_owned()
    } else {
        format!(
            "the last event lies {} s ahead of the clock, which was ahead once or is behind now",
            lead.as_secs()
        )
    };
    Check { ok, detail }
}

/// Numbers for Prometheus
///
/// Counted since the start, or true now.
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
    let help = "Transactions of several requests, by how they ended.";
    header(text, NAME, "counter", help);
    for (end, word) in TransactionEnd::ALL {
        let count = gateway.service.data.ended_transactions(*end);
        line(text, NAME, &format!("end=\"{word}\""), count);
    }
}

fn write_present(gateway: &Gateway, text: &mut String) {
    let present = gateway.service.control.present();
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
        "Event streams that are open.",
        &one(gateway.rooms.taken(Kind::Streams).to_string()),
    );
    let health = gateway.service.data.health();
    gauge(
        "dbforge_sql_streams",
        "Answers to SQL that are streamed.",
        &one(health.streams.to_string()),
    );
    gauge(
        "dbforge_sql_transactions",
        "Transactions of several requests that are open or wait for their turn.",
        &one(health.transactions.to_string()),
    );
    let now = gateway.service.control.clock().now();
    let databases = present.state.databases().map(|it| it.state_at(now));
    let databases: Vec<DatabaseState> = databases.collect();
    let count = |state: &DatabaseState| databases.iter().filter(|it| *it == state).count();
    let databases: Vec<_> = DatabaseState::ALL
        .iter()
        .map(|it| by_state(it.as_str(), count(it)))
        .collect();
    gauge("dbforge_databases", "Databases by state.", &databases);

    let count = |state: &JobState| present.state.jobs().filter(|it| it.state == *state).count();
    let jobs: Vec<_> = JobState::ALL
        .iter()
        .filter(|it| !it.is_final())
        .map(|it| by_state(it.as_str(), count(it)))
        .collect();
    gauge("dbforge_unfinished_jobs", "Unfinished jobs.", &jobs);

    let sequence = present.head.sequence.to_string();
    gauge("dbforge_log_sequence", "The last event.", &one(sequence));
    let lead = gateway.service.control.lead_of_log().as_secs_f64();
    let help = "How far the last event's time lies ahead of the clock.";
    gauge(
        "dbforge_log_ahead_of_clock_seconds",
        help,
        &one(format!("{lead:.3}")),
    );
    let read_only = u8::from(present.read_only.is_some()).to_string();
    let help = "Whether the event log takes no events.";
    gauge("dbforge_log_read_only", help, &one(read_only));
    let pass = gateway.service.workers.drift.last();
    let halted = u8::from(pass.is_halted()).to_string();
    let help = "Whether the reconciler waits for a person's word.";
    gauge("dbforge_reconcile_halted", help, &one(halted));
    let is_missing = |it: &&Finding| matches!(it, Finding::DataMissing { .. });
    let missing = pass.plan.findings.iter().filter(is_missing).count();
    let help = "Databases whose file is not in its place.";
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
        ("dbforge_http_waiting", "Requests that wait.", Kind::Waiting),
        (
            "dbforge_http_buffered_bytes",
            "Bytes of requests and answers in memory.",
            Kind::Bytes,
        ),
    ] {
        gauge(name, help, &one(gateway.rooms.taken(kind).to_string()));
    }
    let sql = gateway.service.data.health();
    let help = "Open connections to databases.";
    let connections = sql.connections.to_string();
    gauge("dbforge_sql_connections", help, &one(connections));
    let help = "Bytes of the temporary files of statements that write.";
    let temp_bytes = sql.temp_bytes.to_string();
    gauge("dbforge_sql_temp_bytes", help, &one(temp_bytes));
    let help = "Threads that a statement holds which nothing stops; their databases rest.";
    let stuck = sql.stuck_threads.to_string();
    gauge("dbforge_sql_stuck_threads", help, &one(stuck));
    let uptime = format!("{:.3}", gateway.service.uptime().as_secs_f64());
    gauge(
        "dbforge_uptime_seconds",
        "Time since the start.",
        &one(uptime),
    );
}
