//! Signs a checkpoint now and then, so that there is one that somebody may have copied away.
use crate::control::ControlPlane;
use crate::event_log::checkpoints::{Checkpoints, KeyError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A tail that is cut is shorter than this, or shows: where much happens, an hour or two.
const EVENTS_BETWEEN: u64 = 1000;
/// Where little happens, a tail that is cut is younger than this, or shows.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Signs what is due whenever it is woken, until `stop`.
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

/// Signs the present where the last checkpoint is too far behind it. Blocks.
///
/// # Errors
/// When there is no key, or the disk refuses.
pub fn sign_due(control: &ControlPlane, checkpoints: &Checkpoints) -> Result<(), KeyError> {
    let present = control.present();
    // What a damaged log ends with is not to be vouched for.
    if present.read_only.is_some() {
        return Ok(());
    }
    let (head, now) = (present.head, control.clock().now());
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
            // One that was signed while the clock was ahead says nothing about how old it is.
            let age = now.since(last.time).max(last.time.since(now));
            behind >= EVENTS_BETWEEN || (behind > 0 && age >= LONGEST)
        }
    };
    if is_due {
        checkpoints.add(head, now)?;
    }
    Ok(())
}
