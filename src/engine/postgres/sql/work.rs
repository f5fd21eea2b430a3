//! Work on a connection, within its deadline.
use super::error::{CANCELLED, Failure};
use super::pool::{GRACE, Lease, Pool};
use super::session::WholeAnswer;
use super::text::Nature;
use crate::clock::Deadline;
use crate::engine::postgres::client::{ServerError, Stopper};
use crate::engine::sql::{Form, QueryAnswer, Statement};
use crate::shares;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a process that was ended may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs one statement on a connection.
pub(super) async fn run_one(
    lease: &mut Lease,
    statement: &Statement,
    nature: &Nature,
    form: &Form,
) -> Result<QueryAnswer, Failure> {
    let (session, types) = lease.session_and_types();
    let mut whole = WholeAnswer::new(form);
    session
        .run(statement, nature, form, types, &mut whole)
        .await
}

/// Waits for work on a connection until its deadline; then it is cancelled, and where that does not
/// help, the process that runs it is ended.
pub(super) async fn within<T, E: Cancelled>(
    deadline: Deadline,
    pool: &Arc<Pool>,
    stopper: Stopper,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut work = pin!(work);
    let in_time = tokio::time::timeout_at(deadline.instant(), work.as_mut());
    if let Ok(done) = shares::waiting(in_time).await {
        return done;
    }
    let last = Deadline::after(GRACE);
    let _ = tokio::time::timeout_at(last.instant(), stopper.cancel()).await;
    if let Ok(done) = tokio::time::timeout_at(last.instant(), work.as_mut()).await {
        return done;
    }
    let ending = tokio::time::timeout(LAST_WORDS, async {
        pool.terminate(&stopper).await;
        work.await
    });
    match ending.await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) | Err(_) => Err(E::cancelled()),
    }
}

/// An error that may say that a statement was cancelled.
pub(super) trait Cancelled {
    fn cancelled() -> Self;
}

impl Cancelled for Failure {
    fn cancelled() -> Self {
        Self::from(ServerError {
            sqlstate: CANCELLED.to_owned(),
            ..Default::default()
        })
    }
}

impl Cancelled for (usize, Failure) {
    fn cancelled() -> Self {
        (0, Failure::cancelled())
    }
}
