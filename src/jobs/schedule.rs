//! Wakes periodic work: tokio-cron-scheduler as an alarm clock, and no more.
//!
//! A tick may be lost, late or doubled: who is woken looks at what is due and at what has been
//! done, so none of that changes anything.
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Once a minute: what the reconciler and the retention look at changes in minutes, and what is
/// urgent wakes them by itself.
const EVERY_MINUTE: &str = "0 * * * * *";

/// Rings once a minute.
pub struct AlarmClock {
    scheduler: JobScheduler,
}

impl AlarmClock {
    /// Starts ringing for everything in `sleepers`.
    ///
    /// # Errors
    /// When the scheduler cannot be started.
    pub async fn start(sleepers: Vec<Arc<Notify>>) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        let ring = Job::new(EVERY_MINUTE, move |_, _| {
            for sleeper in &sleepers {
                sleeper.notify_one();
            }
        })?;
        scheduler.add(ring).await?;
        scheduler.start().await?;
        Ok(Self { scheduler })
    }

    /// Stops ringing.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the alarm clock did not stop cleanly");
        }
    }
}
