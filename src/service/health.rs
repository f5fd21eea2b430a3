//! Whether the container runtime answers.
use crate::clock::Deadline;
use crate::runtime::Runtime;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long one ping of the runtime is good for: probes of many watchers are one ping.
const RUNTIME_CACHED: Duration = Duration::from_secs(2);
/// How long the runtime may take to answer a ping.
const RUNTIME_PATIENCE: Duration = Duration::from_secs(2);

/// What the last ping of the runtime showed, and until when that is good enough.
#[derive(Default)]
pub(super) struct RuntimeHealth(Mutex<Option<(bool, Deadline)>>);

impl RuntimeHealth {
    /// Whether the runtime answers, as of at most two seconds ago.
    pub(super) async fn answers(&self, runtime: &dyn Runtime) -> bool {
        let mut last = self.0.lock().await;
        if let Some((answers, good_until)) = *last
            && !good_until.has_passed()
        {
            return answers;
        }
        let ping = tokio::time::timeout(RUNTIME_PATIENCE, runtime.ping()).await;
        let answers = match ping {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the container runtime is unreachable");
                false
            }
            Err(_) => {
                tracing::warn!("the container runtime did not answer a ping in time");
                false
            }
        };
        *last = Some((answers, Deadline::after(RUNTIME_CACHED)));
        answers
    }
}
