//! Waits for changes: until something happens, until the state or the lists have reached a
//! sequence.
use super::Service;
use crate::clock::Deadline;
use crate::control::CurrentState;
use crate::domain::ids::Sequence;
use crate::projections::control_db::Behind;
use crate::shares::waiting;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a read waits for the sequence it asks for: a write elsewhere is on its way.
const SEQUENCE_WAIT: Duration = Duration::from_secs(5);
/// How long a list waits for the read model to see what was already answered.
const LIST_WAIT: Duration = Duration::from_secs(5);

/// Between two looks of one feed: what happens within it is sent together, so that many feeds
/// beside many writes cost a bounded number of looks.
pub(super) const GATHER: Duration = Duration::from_millis(20);

/// Tells when the state changes.
pub(super) type Changes = watch::Receiver<Arc<CurrentState>>;

/// The log has not reached the sequence that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`min_sequence` {wanted} is beyond the last event, {end}")]
pub struct NotReached {
    /// The last event.
    pub end: Sequence,
    /// What was asked for.
    pub wanted: Sequence,
}

/// What is asked for is not visible yet.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FreshnessError {
    /// The log has not reached the sequence that was asked for.
    #[error(transparent)]
    NotReached(#[from] NotReached),
    /// The lists have not seen the last event yet.
    #[error(transparent)]
    Behind(#[from] Behind),
}

impl Service {
    /// Waits until the state changes. `false` when it is time to answer: at the deadline, or when
    /// the gateway stops.
    pub async fn sees_change(
        &self,
        changes: &mut watch::Receiver<Arc<CurrentState>>,
        deadline: Deadline,
    ) -> bool {
        let change = tokio::time::timeout_at(deadline.instant(), changes.changed());
        waiting(async {
            tokio::select! {
                changed = change => matches!(changed, Ok(Ok(()))),
                () = self.stopping.cancelled() => false,
            }
        })
        .await
    }

    /// The current state, once the log has reached `min_sequence`.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn present_at(
        &self,
        min_sequence: Option<Sequence>,
    ) -> Result<Arc<CurrentState>, NotReached> {
        let wanted = min_sequence.unwrap_or_default();
        let deadline = Deadline::after(SEQUENCE_WAIT);
        let mut changes = self.control.changes();
        loop {
            let current = changes.borrow_and_update().clone();
            let end = current.head.sequence;
            if end >= wanted {
                return Ok(current);
            }
            if !self.sees_change(&mut changes, deadline).await {
                return Err(NotReached { end, wanted });
            }
        }
    }

    /// The current state, once the lists have seen it as well.
    ///
    /// # Errors
    /// When the log or the lists do not get there in time.
    pub async fn listed_at(
        &self,
        min_sequence: Option<Sequence>,
    ) -> Result<Arc<CurrentState>, FreshnessError> {
        let current = self.present_at(min_sequence).await?;
        let deadline = Deadline::after(LIST_WAIT);
        let listed = self.control_db.wait_for(current.head.sequence, deadline);
        waiting(listed).await?;
        Ok(current)
    }
}
