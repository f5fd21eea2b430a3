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
        EventKind::ForgeFounded => "a forge is founded once",
        EventKind::RuntimeChosen => "the runtime is chosen by the gateway's settings",
        EventKind::TokenRevoked => {
            "a revoked token stays revoked, since somebody had a reason; make another one"
        }
        EventKind::LogHealed => "a healed log is not damaged again",
        EventKind::ScheduleFired => "this time of the schedule put no job in the queue",
        EventKind::WorkerQuarantined | EventKind::QuarantineEnded => {
            "the worker that was set aside has ended"
        }
        EventKind::PassAllowed => "the pass that it allowed has been",
        EventKind::FolderTrashed => "no database is known by the folder",
        EventKind::DatabaseDegraded => "the reconciler has found it so; `restart` tries again",
        EventKind::WebhookCreated
        | EventKind::WebhookChanged
        | EventKind::WebhookDeleted
        | EventKind::WebhookDisabled
        | EventKind::WebhookEnabled => {
            "webhooks are changed, deleted and enabled by their own routes; a secret is made once"
        }
        EventKind::NothingChanged => "it changed nothing",
        EventKind::ScheduleRewound => "the clock is right, and the schedule follows it",
        EventKind::DatabaseSetAside => "its files are being removed for good",
        EventKind::NodeJoined | EventKind::DatabasePlaced => {
            "where databases belong is not undone; place them anew"
        }
        EventKind::PlanMade | EventKind::PlanApplied => "a plan alone changes nothing",
        EventKind::JobCancelRequested
        | EventKind::JobCancelled
        | EventKind::JobCompensating
        | EventKind::JobReleased => {
            "a job that was cancelled or released does not go back; send its command again"
        }
        EventKind::DatabaseRequested
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
        | EventKind::ScheduleDeleted => "no command is known that caused it",
    }
}
