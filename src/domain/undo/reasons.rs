//! Which events begin something that may be undone, and why the others do not.
use crate::domain::event::EventKind;

/// Whether an event of this kind begins what may be undone.
pub(super) fn is_undoable(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::JobEnqueued
            | EventKind::DatabaseChanged
            | EventKind::TokenIssued
            | EventKind::ScheduleCreated
            | EventKind::ScheduleChanged
            | EventKind::ScheduleDeleted
    )
}

/// Why nothing takes back what an event of this kind tells.
pub(super) fn reason(kind: EventKind) -> &'static str {
    match kind {
        EventKind::ForgeFounded => "a forge is initialized only once",
        EventKind::RuntimeChosen => "the gateway's settings choose the runtime",
        EventKind::TokenRevoked => "a revoked token cannot be restored; create a new one",
        EventKind::LogHealed => "a repaired log cannot be un-repaired",
        EventKind::ScheduleFired => "this run of the schedule created no job",
        EventKind::WorkerQuarantined | EventKind::QuarantineEnded => {
            "the quarantined worker was stopped"
        }
        EventKind::PassAllowed => "the allowed pass has already run",
        EventKind::FolderTrashed => "the folder belongs to no database",
        EventKind::DatabaseDegraded => {
            "the reconciler found it degraded; use `restart` to try again"
        }
        EventKind::WebhookCreated
        | EventKind::WebhookChanged
        | EventKind::WebhookDeleted
        | EventKind::WebhookDisabled
        | EventKind::WebhookEnabled => {
            "webhooks cannot be undone; use the routes below /v1/webhooks"
        }
        EventKind::NothingChanged => "it changed nothing",
        EventKind::ScheduleRewound => "the schedule follows the corrected clock",
        EventKind::DatabaseSetAside => "its files are being permanently deleted",
        EventKind::NodeJoined | EventKind::DatabasePlaced => {
            "the placement of databases cannot be undone"
        }
        EventKind::PlanMade | EventKind::PlanApplied => "a plan alone changes nothing",
        EventKind::JobCancelRequested
        | EventKind::JobCancelled
        | EventKind::JobCompensating
        | EventKind::JobReleased => {
            "a cancelled or released job does not continue; send its command again"
        }
        EventKind::DatabaseRequested
        | EventKind::DatabaseLoaded
        | EventKind::DatabaseKept
        | EventKind::ContentsExchanged
        | EventKind::DatabaseReady
        | EventKind::DatabaseAbandoned
        | EventKind::DatabaseStopped
        | EventKind::DatabaseStarted
        | EventKind::DatabaseTrashed
        | EventKind::DatabaseUndeleted
        | EventKind::DatabasePurged
        | EventKind::DatabaseChanged
        | EventKind::WorkerStarted
        | EventKind::WorkerRemoved
        | EventKind::JobEnqueued
        | EventKind::JobStarted
        | EventKind::StepStarted
        | EventKind::StepFinished
        | EventKind::JobRetryScheduled
        | EventKind::StepUndone
        | EventKind::JobSucceeded
        | EventKind::JobFailed
        | EventKind::JobStuck
        | EventKind::TokenIssued
        | EventKind::ScheduleCreated
        | EventKind::ScheduleChanged
        | EventKind::ScheduleDeleted => "the log has no command that caused it",
    }
}
