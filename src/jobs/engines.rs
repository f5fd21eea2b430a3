//! Looks now and then for what runs the workers of engines: programs that were installed, images
//! that were built.
use crate::data::DataPlane;
use crate::runtime::Runtime;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often: an operator who installs something looks at it within a minute.
const LOOK: Duration = Duration::from_secs(30);

/// Looks until `stop`.
pub async fn run(data: Arc<DataPlane>, runtime: Arc<dyn Runtime>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => data.engines().look_around(&runtime).await,
        }
    }
}
