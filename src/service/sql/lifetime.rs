//! Ends what runs on a database as soon as its time to live is over.
use crate::data::{QueryError, RowStream};
use crate::domain::ids::DatabaseId;
use crate::service::Service;
use crate::shares::{at_once, unless};
use bytes::Bytes;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// How often a time that will be over is looked at: clocks are set, too.
const LOOK: Duration = Duration::from_millis(250);

impl Service {
    /// Comes back once the database's time is over, which may be set anew until then.
    pub(super) async fn until_over(self: Arc<Self>, id: DatabaseId) {
        let mut changes = self.control.changes();
        loop {
            let expires_at = {
                let current = changes.borrow_and_update();
                // One that is gone has no time any more that could be over.
                (current.state.database(id)).and_then(|it| it.expires_at)
            };
            let changed = match expires_at {
                None => changes.changed().await,
                Some(at) => {
                    let now = self.control.clock().now();
                    if at <= now {
                        return;
                    }
                    let look = at.since(now).min(LOOK);
                    let looked = tokio::time::timeout(look, changes.changed()).await;
                    looked.unwrap_or(Ok(()))
                }
            };
            if changed.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Does work on a database for as long as its time is not over; then the work goes no further,
    /// and is to be dropped. What is there at once costs nothing.
    ///
    /// # Errors
    /// The work's own, and [`QueryError::Expired`].
    pub(in crate::service) async fn while_living<T, E: From<QueryError>>(
        self: &Arc<Self>,
        id: DatabaseId,
        // Pinned by the caller: an async function keeps what it is given twice, and this is large.
        mut work: Pin<&mut impl Future<Output = Result<T, E>>>,
    ) -> Result<T, E> {
        if let Some(done) = at_once(work.as_mut()).await {
            return done;
        }
        let done = unless(work, Arc::clone(self).until_over(id)).await;
        done.unwrap_or_else(|| Err(QueryError::Expired.into()))
    }

    /// Rows that are sent for as long as the database's time is not over.
    pub(in crate::service) fn end_with_database(
        self: &Arc<Self>,
        database: DatabaseId,
        rows: RowStream,
    ) -> LivingRows {
        let (over, stopper) = (Arc::clone(self).until_over(database), rows.stopper());
        // In a task of its own: the stream of a stalled client is not polled.
        let ends = tokio::spawn(async move {
            over.await;
            stopper.stop(QueryError::Expired);
        });
        LivingRows {
            rows,
            _ends_with_database: AbortOnDropHandle::new(ends),
        }
    }
}

/// Rows that end with their database's time to live.
pub struct LivingRows {
    rows: RowStream,
    _ends_with_database: AbortOnDropHandle<()>,
}

impl LivingRows {
    /// The next piece; none behind the last.
    pub async fn next(&mut self) -> Option<Result<Bytes, QueryError>> {
        self.rows.next().await
    }
}
