//! What all connections of a worker share.
use super::replies::Replies;
use crate::clock::Deadline;
use crate::domain::ids::DatabaseId;
use crate::engine::access_lock::{AccessLocks, SharedGuard};
use crate::engine::sql::{Call, QueryError, Target};
use crate::engine::sqlite::SqliteExecutor;
use crate::engine::sqlite::remote::wire::messages::Heading;
use crate::locks::Mutex;
use crate::shares::{self, Accounts, Pass, Rooms};
use rustix::process::{Signal, getpid, kill_process};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often it is looked at whether a snapshot has to end.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// How long answers that are ready may take to leave a worker that ends itself.
const LAST_WORDS: Duration = Duration::from_millis(20);
/// How long a commit that is under way is waited for then.
const LAST_COMMIT: Duration = Duration::from_millis(250);

/// What all connections share.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) executor: Arc<SqliteExecutor>,
    pub(super) locks: Arc<AccessLocks>,
    pub(super) database: DatabaseId,
    pub(super) rooms: Arc<Rooms>,
    pub(super) accounts: Accounts,
    /// The replies of connections with many requests.
    pub(super) replies: Mutex<Vec<Weak<Replies>>>,
}

impl Served {
    /// Runs `work` for the caller that a request names, so that each has its share.
    pub(super) async fn for_caller<T>(
        &self,
        heading: &Heading,
        work: impl Future<Output = T>,
    ) -> T {
        let pass = Pass::new(&self.rooms, self.accounts.of(heading.holder()));
        shares::scoped(pass, work).await
    }

    /// What a request works with.
    pub(super) async fn enter(
        &self,
        heading: &Heading,
    ) -> Result<(SharedGuard, Target, Call), QueryError> {
        let call = heading.call();
        let entered = self.locks.enter(self.database, call.deadline).await;
        let guard = entered.map_err(|_| QueryError::Locked)?;
        Ok((guard, heading.target(self.database), call))
    }

    /// Ends this process for a statement that does not stop. What can be answered is; what is not
    /// answered behind a farewell was not kept, since nothing is being committed any more.
    pub(super) async fn end_process(&self) -> ! {
        tracing::warn!("a statement does not stop: this worker ends, and is started again");
        tokio::time::sleep(LAST_WORDS).await;
        // The caller stopped waiting: whether its commit was kept is not known.
        let is_still = self
            .executor
            .stop_writing(Deadline::after(LAST_COMMIT))
            .await;
        let replies: Vec<_> = self
            .replies
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for replies in replies.iter().filter(|_| is_still) {
            replies.say_farewell();
        }
        for replies in &replies {
            let _ = tokio::time::timeout(LAST_WORDS, replies.have_left()).await;
        }
        let _ = kill_process(getpid(), Signal::KILL);
        std::process::abort()
    }
}
