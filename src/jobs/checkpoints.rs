//! Signs checkpoints regularly, so that users can copy them to another machine.
use crate::control::ControlPlane;
use crate::event_log::checkpoints::{Checkpoints, KeyError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A truncation of more events than this is detectable; in busy forges, an hour or two.
const EVENTS_BETWEEN: u64 = 1000;
/// In quiet forges, a truncation of more than this time is detectable.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Signs a checkpoint if one is due, whenever it is woken, until `stop`.
pub async fn run(
    control: Arc<ControlPlane>,
    checkpoints: Arc<Checkpoints>,
    wake: Arc<Notify>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let (control, checkpoints) = (control.clone(), checkpoints.clone());
        let signed = tokio::task::spawn_blocking(move || sign_due(&control, &checkpoints)).await;
        match signed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "failed to sign a checkpoint"),
            Err(error) => tracing::error!(%error, "signing a checkpoint panicked"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = wake.notified() => {}
        }
    }
}

/// Signs the current head if the last checkpoint is too old. Blocks.
///
/// # Errors
/// When the key or the file cannot be read or written.
pub fn sign_due(control: &ControlPlane, checkpoints: &Checkpoints) -> Result<(), KeyError> {
    let current = control.current();
    // The end of a damaged log must not be signed.
    if current.read_only.is_some() {
        return Ok(());
    }
    let (head, now) = (current.head, control.clock().now());
    let is_due = match checkpoints.last()? {
        None => true,
        Some(last) if last.sequence > head.sequence => {
            tracing::error!(
                "the event log ends at event {}, but a checkpoint of {} signed event {}: \
                 `dbforge log verify` says more",
                head.sequence,
                last.time,
                last.sequence,
            );
            false
        }
        Some(last) => {
            let behind = head.sequence.0 - last.sequence.0;
            // The clock may have been ahead when it was signed: the age counts in both directions.
            let age = now.since(last.time).max(last.time.since(now));
            behind >= EVENTS_BETWEEN || (behind > 0 && age >= LONGEST)
        }
    };
    if is_due {
        checkpoints.add(head, now)?;
    }
    Ok(())
}
