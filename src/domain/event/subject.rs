//! What an event is about: its stream, its database, its job.
use super::{Event, Stream};
use crate::domain::ids::{DatabaseId, JobId};

impl Event {
    /// The stream it is kept in.
    #[must_use]
    pub fn stream(&self) -> Stream {
        self.database().map_or(Stream::Forge, Stream::Database)
    }

    /// The database it is about.
    #[must_use]
    pub fn database(&self) -> Option<DatabaseId> {
        Some(match self {
            Self::ForgeFounded(_)
            | Self::RuntimeChosen(_)
            | Self::TokenIssued(_)
            | Self::TokenRevoked(_)
            | Self::LogHealed(_)
            | Self::WorkerQuarantined(_)
            | Self::QuarantineEnded(_)
            | Self::FolderTrashed(_)
            | Self::PassAllowed(_)
            | Self::ScheduleCreated(_)
            | Self::ScheduleChanged(_)
            | Self::ScheduleDeleted(_)
            | Self::ScheduleFired(_)
            | Self::PlanMade(_)
            | Self::PlanApplied(_)
            | Self::WebhookCreated(_)
            | Self::WebhookChanged(_)
            | Self::WebhookDeleted(_)
            | Self::WebhookDisabled(_)
            | Self::WebhookEnabled(_)
            | Self::ScheduleRewound(_)
            | Self::NodeJoined(_) => return None,
            Self::NothingChanged(it) => return it.database,
            Self::DatabaseSetAside(it) => it.database,
            Self::DatabasePlaced(it) => it.database,
            Self::DatabaseLoaded(it) => it.database,
            Self::DatabaseKept(it) => it.database,
            Self::ContentsExchanged(it) => it.database,
            Self::DatabaseRequested(it) => it.database,
            Self::DatabaseReady(it) => it.database,
            Self::DatabaseAbandoned(it) => it.database,
            Self::DatabaseStopped(it) => it.database,
            Self::DatabaseStarted(it) => it.database,
            Self::DatabaseTrashed(it) => it.database,
            Self::DatabaseUndeleted(it) => it.database,
            Self::DatabasePurged(it) => it.database,
            Self::DatabaseChanged(it) => it.database,
            Self::DatabaseDegraded(it) => it.database,
            Self::WorkerStarted(it) => it.database,
            Self::WorkerRemoved(it) => it.database,
            Self::JobEnqueued(it) => it.database,
            Self::JobStarted(it) => it.database,
            Self::StepStarted(it) => it.database,
            Self::StepFinished(it) => it.database,
            Self::JobRetryScheduled(it) => it.database,
            Self::JobCompensating(it) => it.database,
            Self::StepUndone(it) => it.database,
            Self::JobSucceeded(it) => it.database,
            Self::JobFailed(it) => it.database,
            Self::JobStuck(it) => it.database,
            Self::JobCancelRequested(it) => it.database,
            Self::JobCancelled(it) => it.database,
            Self::JobReleased(it) => it.database,
        })
    }

    /// The job it is about.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        Some(match self {
            Self::JobEnqueued(it) => it.job,
            Self::JobStarted(it) => it.job,
            Self::StepStarted(it) => it.job,
            Self::StepFinished(it) => it.job,
            Self::JobRetryScheduled(it) => it.job,
            Self::JobCompensating(it) => it.job,
            Self::StepUndone(it) => it.job,
            Self::JobSucceeded(it) => it.job,
            Self::JobFailed(it) => it.job,
            Self::JobStuck(it) => it.job,
            Self::JobCancelRequested(it) => it.job,
            Self::JobCancelled(it) => it.job,
            Self::JobReleased(it) => it.job,
            Self::ForgeFounded(_)
            | Self::RuntimeChosen(_)
            | Self::DatabaseRequested(_)
            | Self::DatabaseReady(_)
            | Self::DatabaseAbandoned(_)
            | Self::DatabaseStopped(_)
            | Self::DatabaseStarted(_)
            | Self::DatabaseTrashed(_)
            | Self::DatabaseUndeleted(_)
            | Self::DatabasePurged(_)
            | Self::DatabaseChanged(_)
            | Self::DatabaseDegraded(_)
            | Self::WorkerStarted(_)
            | Self::WorkerRemoved(_)
            | Self::TokenIssued(_)
            | Self::TokenRevoked(_)
            | Self::LogHealed(_)
            | Self::WorkerQuarantined(_)
            | Self::QuarantineEnded(_)
            | Self::FolderTrashed(_)
            | Self::PassAllowed(_)
            | Self::ScheduleCreated(_)
            | Self::ScheduleChanged(_)
            | Self::ScheduleDeleted(_)
            | Self::ScheduleFired(_)
            | Self::PlanMade(_)
            | Self::PlanApplied(_)
            | Self::WebhookCreated(_)
            | Self::WebhookChanged(_)
            | Self::WebhookDeleted(_)
            | Self::WebhookDisabled(_)
            | Self::WebhookEnabled(_)
            | Self::NothingChanged(_)
            | Self::ScheduleRewound(_)
            | Self::DatabaseSetAside(_)
            | Self::NodeJoined(_)
            | Self::DatabasePlaced(_)
            | Self::DatabaseLoaded(_)
            | Self::DatabaseKept(_)
            | Self::ContentsExchanged(_) => return None,
        })
    }
}
