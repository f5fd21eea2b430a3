//! Removes what imports leave: uploads that came with a call when its job has ended, others when
//! their time is over, and the folders in which jobs have built.
use crate::control::ControlPlane;
use crate::data::DataPlane;
use crate::domain::ids::UploadId;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often uploads are looked through whose time may be over.
const LOOK: Duration = Duration::from_secs(60);
/// The same while some wait for the end of a job.
const SOON: Duration = Duration::from_secs(1);

/// Looks until `stop`.
pub async fn run(control: Arc<ControlPlane>, data: Arc<DataPlane>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        remove_ended(&control, &data).await;
        let pause = if data.uploads().await_jobs() {
            SOON
        } else {
            LOOK
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = data.uploads().news() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Removes what has ended by now.
pub async fn remove_ended(control: &Arc<ControlPlane>, data: &Arc<DataPlane>) {
    let (control, data) = (control.clone(), data.clone());
    let removed = tokio::task::spawn_blocking(move || {
        // Listed first: a folder of a job that begins now is not among them.
        let building = data.folders().list_building();
        let current = control.current();
        let state = &current.state;
        let is_used = |id: UploadId| state.jobs().any(|job| job.kind.upload() == Some(id));
        data.uploads().remove_ended(control.clock().now(), is_used);
        for job in building
            .into_iter()
            .flatten()
            .filter(|job| state.job(*job).is_none())
        {
            if let Err(error) = data.folders().ensure_not_building(job) {
                tracing::warn!(job.id = %job, %error, "failed to remove what a job has built in");
            }
        }
    });
    if let Err(error) = removed.await {
        tracing::error!(%error, "removing uploads panicked");
    }
}
