//! Another process reads a database for long: its worker is told, as a writer in the gateway would
//! be.
use super::remote::Remote;
use crate::clock::Deadline;
use crate::engine::sql::executor::ReaderHold;
use crate::engine::sqlite::remote::wire::messages::{Heading, Purpose, Said, Wanted};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the worker is asked for, when it is being started.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells the worker of a reader. Without a worker nothing writes.
pub(super) fn hold(remote: Arc<Remote>, heading: Heading) -> ReaderHold {
    let has_to_end = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&has_to_end);
    let held = tokio::spawn(async move {
        let _ = until_it_ends(&remote, heading, &flag).await;
    });
    ReaderHold::new(has_to_end, held.abort_handle())
}

async fn until_it_ends(
    remote: &Remote,
    heading: Heading,
    has_to_end: &AtomicBool,
) -> io::Result<()> {
    let line = remote.line(Purpose::One, Deadline::after(PATIENCE)).await;
    let mut line = line.map_err(io::Error::other)?;
    line.say(1, &Wanted::HoldSnapshot(heading), &[]).await?;
    loop {
        let frame = line.hear().await?;
        if matches!(frame.read()?, Said::TooOld) {
            has_to_end.store(true, Ordering::Release);
        }
    }
}
