//! Whether the gateway is ready: what that is judged by, and the line of the log that says it first.
use super::Gateway;
use crate::clock::{CLOCK_TOLERANCE, Deadline, Milliseconds};
use crate::projections::control_db::Position;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

/// How long a look waits for lists that are being brought up to the log's end, as at each start.
const LISTS_PATIENCE: Duration = Duration::from_millis(500);
/// How often a gateway that is not ready yet looks whether it is.
const LOOK: Duration = Duration::from_millis(250);
/// A start that takes longer is told.
const SLOW_START: Duration = Duration::from_secs(5);

/// What readiness is judged by.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Checks {
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

/// Waits until the gateway is ready, and logs that; or what is missing, if that takes long.
pub async fn announce_ready(gateway: Arc<Gateway>, stop: CancellationToken) {
    let mut is_told = false;
    while let Some(missing) = Checks::of(&gateway).await.what_is_missing() {
        if !is_told && gateway.service.uptime() > SLOW_START {
            tracing::warn!("not ready yet: {missing}");
            is_told = true;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    let duration_ms = Milliseconds(gateway.service.uptime()).number();
    tracing::info!(duration_ms, "ready");
}

impl Checks {
    /// Looks at everything.
    pub(in crate::http) async fn of(gateway: &Gateway) -> Self {
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
        let checks = Self {
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
        checks
    }

    /// Whether the gateway is ready.
    pub(in crate::http) fn are_ok(&self) -> bool {
        self.all().iter().all(|(_, check)| check.ok)
    }

    /// What keeps it from being ready; nothing when it is.
    fn what_is_missing(&self) -> Option<String> {
        let failed = self.all().into_iter().filter(|(_, check)| !check.ok);
        let failed = failed.map(|(name, check)| format!("{name} {}", check.detail));
        let failed: Vec<_> = failed.collect();
        (!failed.is_empty()).then(|| failed.join("; "))
    }

    /// Those that readiness depends on.
    fn all(&self) -> [(&'static str, &Check); 5] {
        [
            ("event log", &self.event_log),
            ("runtime", &self.runtime),
            ("disk", &self.disk),
            ("folders", &self.folders),
            ("lists", &self.lists),
        ]
    }
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
