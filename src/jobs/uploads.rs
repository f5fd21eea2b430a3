//! Removes uploads: those that came with a call when its job has ended, others when their time is
//! over.
use crate::control::ControlPlane;
use crate::data::uploads::Uploads;
use crate::domain::ids::UploadId;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often uploads are looked through whose time may be over.
const LOOK: Duration = Duration::from_secs(60);
/// The same while some wait for the end of a job.
const SOON: Duration = Duration::from_secs(1);

/// Looks until `stop`.
pub async fn run(control: Arc<ControlPlane>, uploads: Uploads, stop: CancellationToken) {
    while !stop.is_cancelled() {
        remove_ended(&control, &uploads).await;
        let pause = if uploads.await_jobs() { SOON } else { LOOK };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Removes what has ended by now.
pub async fn remove_ended(control: &Arc<ControlPlane>, uploads: &Uploads) {
    let (control, uploads) = (control.clone(), uploads.clone());
    let removed = tokio::task::spawn_blocking(move || {
        let state = &control.current().state;
        let is_used = |id: UploadId| state.jobs().any(|job| job.kind.upload() == Some(id));
        uploads.remove_ended(control.clock().now(), is_used);
    });
    if let Err(error) = removed.await {
        tracing::error!(%error, "removing uploads panicked");
    }
}
