//! The forge: databases, jobs, schedules, webhooks, workers, the event log, the disk.
use super::exposition::Exposition;
use crate::domain::database::DatabaseState;
use crate::domain::event::EventKind;
use crate::domain::job::{JobKind, JobState};
use crate::http::Gateway;
use crate::jobs::reconciler::Finding;
use std::collections::BTreeMap;

pub(super) fn show(gateway: &Gateway, runtime_answers: bool, shown: &mut Exposition) {
    let build = vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("arch", std::env::consts::ARCH.to_owned()),
        ("os", std::env::consts::OS.to_owned()),
        ("debug", cfg!(debug_assertions).to_string()),
    ];
    shown.gauges(
        "dbforge_build_info",
        "The running version.",
        [(build, true)],
    );
    let uptime = gateway.service.uptime().as_secs_f64();
    shown.gauge("dbforge_uptime_seconds", "Seconds since the start.", uptime);
    show_state(gateway, shown);
    show_jobs(gateway, shown);
    show_webhooks(gateway, shown);
    show_workers(gateway, runtime_answers, shown);
    show_log(gateway, shown);
    show_uploads(gateway, shown);
}

fn show_uploads(gateway: &Gateway, shown: &mut Exposition) {
    let uploads = gateway.service.data.uploads();
    let all = uploads.all();
    let states = [("whole", all.len()), ("receiving", uploads.receiving())];
    let states = states.map(|(word, count)| (by("state", word), count));
    shown.gauges("dbforge_uploads", "Uploaded files by state.", states);
    let bytes: u64 = all.iter().map(|upload| upload.bytes).sum();
    let help = "Bytes of uploaded files.";
    shown.gauge("dbforge_upload_bytes", help, bytes);
}

fn by(label: &'static str, word: &str) -> Vec<(&'static str, String)> {
    vec![(label, word.to_owned())]
}

fn show_state(gateway: &Gateway, shown: &mut Exposition) {
    let current = gateway.service.control.current();
    let now = gateway.service.control.clock().now();
    let states: Vec<DatabaseState> = current
        .state
        .databases()
        .map(|it| it.state_at(now))
        .collect();
    let count = |state: &DatabaseState| states.iter().filter(|it| *it == state).count();
    let databases = DatabaseState::ALL.iter();
    let databases = databases.map(|state| (by("state", state.as_str()), count(state)));
    shown.gauges("dbforge_databases", "Databases by state.", databases);
    let (active, paused): (Vec<_>, Vec<_>) = current
        .state
        .schedules()
        .partition(|schedule| schedule.plan.enabled);
    let schedules = [("active", active.len()), ("paused", paused.len())];
    let schedules = schedules.map(|(word, count)| (by("state", word), count));
    shown.gauges("dbforge_schedules", "Schedules by state.", schedules);
    let tokens = current.state.tokens().count();
    shown.gauge(
        "dbforge_tokens",
        "Issued tokens that are not revoked.",
        tokens,
    );
}

fn show_jobs(gateway: &Gateway, shown: &mut Exposition) {
    let current = gateway.service.control.current();
    let count = |state: &JobState| current.state.jobs().filter(|it| it.state == *state).count();
    let unfinished = JobState::ALL.iter().filter(|state| !state.is_final());
    let unfinished = unfinished.map(|state| (by("state", state.as_str()), count(state)));
    shown.gauges("dbforge_unfinished_jobs", "Unfinished jobs.", unfinished);
    let counts = &gateway.told;
    let ends = JobKind::WORDS.iter().enumerate().flat_map(|(kind, word)| {
        counts.job_ends(kind).map(move |(end, count)| {
            (
                vec![
                    ("kind", (*word).to_owned()),
                    ("outcome", end.as_str().to_owned()),
                ],
                count,
            )
        })
    });
    shown.counters(
        "dbforge_jobs",
        "Jobs by kind and outcome, since the start.",
        ends,
    );
    let durations = JobKind::WORDS.iter().enumerate();
    let durations = durations.map(|(kind, word)| (by("kind", word), counts.job_durations(kind)));
    shown.histograms(
        "dbforge_job_duration_seconds",
        "Time from a job's first attempt to its end.",
        durations,
    );
    let [started, refused] = counts.schedule_runs();
    let runs = [("started", started), ("refused", refused)];
    let runs = runs.map(|(word, count)| (by("outcome", word), count));
    shown.counters(
        "dbforge_schedule_runs",
        "Runs of schedules by outcome.",
        runs,
    );
    let events = EventKind::ALL
        .iter()
        .map(|kind| (kind.as_str(), counts.events(*kind)));
    let events = events.filter(|(_, count)| *count > 0);
    let events = events.map(|(word, count)| (by("kind", word), count));
    shown.counters("dbforge_events", "Events by kind, since the start.", events);
}

fn show_webhooks(gateway: &Gateway, shown: &mut Exposition) {
    let current = gateway.service.control.current();
    let hooks = &gateway.service.webhooks;
    let (enabled, disabled): (Vec<_>, Vec<_>) = current
        .state
        .webhooks()
        .partition(|webhook| webhook.disabled.is_none());
    let states = [("enabled", enabled.len()), ("disabled", disabled.len())];
    let states = states.map(|(word, count)| (by("state", word), count));
    shown.gauges("dbforge_webhooks", "Webhooks by state.", states);
    let sent = hooks.deliveries_by_outcome().into_iter();
    shown.counters(
        "dbforge_webhook_deliveries",
        "Attempts to deliver an event, by outcome.",
        sent.map(|(word, count)| (by("outcome", word), count)),
    );
    let head = current.head.sequence.0;
    let behind = enabled
        .iter()
        .map(|webhook| head.saturating_sub(hooks.place(webhook).0.0));
    shown.gauge(
        "dbforge_webhook_lag_events",
        "Events between the end of the log and the enabled webhook that is furthest behind.",
        behind.max().unwrap_or(0),
    );
}

fn show_workers(gateway: &Gateway, runtime_answers: bool, shown: &mut Exposition) {
    let runtime = by("runtime", gateway.service.runtime.name());
    let help = "Whether the runtime of the workers answers.";
    shown.gauges("dbforge_runtime_up", help, [(runtime, runtime_answers)]);
    let mut workers =
        BTreeMap::from(["starting", "healthy", "unhealthy", "exited"].map(|it| (it, 0_u64)));
    for state in gateway.service.workers.states() {
        *workers.entry(state.as_str()).or_default() += 1;
    }
    let workers = workers.into_iter();
    let workers = workers.map(|(word, count)| (by("state", word), count));
    shown.gauges(
        "dbforge_workers",
        "Workers by state, as they were last seen.",
        workers,
    );
    let pass = gateway.service.workers.drift.last();
    let help = "Whether the reconciler waits for operator approval.";
    shown.gauge("dbforge_reconcile_halted", help, pass.is_halted());
    let is_missing = |it: &&Finding| matches!(it, Finding::DataMissing { .. });
    let missing = pass.plan.findings.iter().filter(is_missing).count();
    shown.gauge(
        "dbforge_data_missing",
        "Databases whose file is missing.",
        missing,
    );
}

fn show_log(gateway: &Gateway, shown: &mut Exposition) {
    let current = gateway.service.control.current();
    let sequence = current.head.sequence.0;
    shown.gauge(
        "dbforge_log_sequence",
        "Sequence number of the last event.",
        sequence,
    );
    let lead = gateway.service.control.lead_of_log().as_secs_f64();
    let help = "How far the last event is ahead of the clock.";
    shown.gauge("dbforge_log_ahead_of_clock_seconds", help, lead);
    let help = "Whether the event log is read-only.";
    shown.gauge("dbforge_log_read_only", help, current.read_only.is_some());
    if let Ok(disk) = rustix::fs::statvfs(gateway.service.data.folders().root()) {
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        let help = "Bytes that the gateway may still use on the disk of the data folder.";
        shown.gauge("dbforge_disk_free_bytes", help, bytes(disk.f_bavail));
        let help = "Size of the disk of the data folder.";
        shown.gauge("dbforge_disk_size_bytes", help, bytes(disk.f_blocks));
    }
}
