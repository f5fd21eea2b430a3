//! The thread that keeps the read model at the log's heels.
//!
//! Publications only save reading the log: one that did not fit in the inbox, or that came while
//! the file was being built again, is read from there.
use super::messages::{Message, Wishes};
use super::projector::Projector;
use super::readers::Readers;
use super::storage::StorageError;
use crate::domain::event::recorded::RecordedEvent;
use crate::domain::ids::Sequence;
use crate::event_log::{EventLog, ReadError};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::watch;

/// Events of one transaction: enough that a commit costs nothing against them, few enough that
/// what is published in the meantime waits some ten milliseconds.
const GROUP: usize = 1000;
/// The pause before what failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// After this time without events the page cache is released, up to 32 MiB after much work;
/// what comes next reads a few of them again.
const REST: Duration = Duration::from_secs(5);
/// How often the file is built again in one run of the gateway: what is damaged more often has a
/// cause that building does not remove.
const MAX_REBUILDS: u32 = 3;

/// How far the read model is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// The last event it has followed.
    pub sequence: Sequence,
    /// Whether it has yet to come to where the log ended when it was opened or built again. Until
    /// then lists would leave out what has long been there, so they are not answered.
    pub is_catching_up: bool,
    /// Why it does not get on, where that is so.
    pub trouble: Option<String>,
}

/// All that the thread owns.
pub(super) struct Follower {
    pub(super) path: PathBuf,
    pub(super) log: Arc<dyn EventLog>,
    /// None while the file is being replaced.
    pub(super) projector: Option<Projector>,
    pub(super) readers: Arc<Readers>,
    pub(super) inbox: Receiver<Message>,
    pub(super) wishes: Arc<Wishes>,
    pub(super) position: watch::Sender<Position>,
    pub(super) rebuilds: u32,
}

#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Log(#[from] ReadError),
}

impl Follower {
    /// Follows until it is told to close.
    pub(super) fn run(mut self) {
        let mut news = News::default();
        while !self.is_closing() {
            match self.advance(&news) {
                Err(FollowError::Storage(error)) if self.may_rebuild(&error) => {
                    self.discard(&error.to_string());
                    news = News::default();
                }
                outcome => {
                    self.report(outcome.err());
                    news = self.wait();
                }
            }
        }
    }

    /// Follows what is new; where events between are missing, the log has them.
    fn advance(&mut self, news: &News) -> Result<(), FollowError> {
        if let Some(reason) = &news.damage {
            return Err(StorageError::Untrue(reason.clone()).into());
        }
        match self.follow(news.events.iter().flat_map(|it| it.iter())) {
            Err(StorageError::Gap { .. }) => {}
            outcome => outcome?,
        }
        while self.reached() < self.wishes.published.load(Ordering::Acquire) && !self.is_closing() {
            let after = Sequence(self.reached());
            let events = self.log.read_after(after, GROUP)?;
            if events.is_empty() {
                let reason = "the log ends before what was published".to_owned();
                return Err(ReadError { after, reason }.into());
            }
            self.follow(&events)?;
        }
        Ok(())
    }

    fn follow<'a>(
        &mut self,
        events: impl IntoIterator<Item = &'a RecordedEvent>,
    ) -> Result<(), StorageError> {
        if self.projector.is_none() {
            self.projector = Some(Projector::replace(&self.path)?);
            // Only now: a reader that came in between would have kept the old file open.
            self.readers.renew();
        }
        let projector = self.projector.as_mut().expect("it was made just now");
        projector.follow(events)?;
        let reached = projector.reached();
        self.position.send_if_modified(|it| {
            let moved = it.sequence != reached;
            it.sequence = reached;
            moved
        });
        Ok(())
    }

    fn reached(&self) -> u64 {
        self.projector.as_ref().map_or(0, |it| it.reached().0)
    }

    fn may_rebuild(&self, error: &StorageError) -> bool {
        error.is_damage() && self.rebuilds < MAX_REBUILDS
    }

    /// Lets go of a damaged file; the next step begins a new one.
    fn discard(&mut self, reason: &str) {
        tracing::warn!(
            reason,
            "control.db is damaged; rebuilding it from the event log"
        );
        self.rebuilds += 1;
        self.projector = None;
        self.position.send_modify(|it| {
            it.sequence = Sequence(0);
            it.is_catching_up = true;
        });
    }

    fn report(&self, error: Option<FollowError>) {
        let trouble = error.map(|it| it.to_string());
        self.position.send_if_modified(|it| {
            let has_changed = it.trouble != trouble;
            if has_changed {
                match &trouble {
                    Some(reason) => tracing::error!(reason, "control.db lags behind the log"),
                    None => {
                        tracing::info!(sequence = it.sequence.0, "control.db is up to date again")
                    }
                }
            }
            let has_caught_up = it.is_catching_up && trouble.is_none();
            it.is_catching_up &= !has_caught_up;
            it.trouble = trouble;
            has_changed || has_caught_up
        });
    }

    /// Waits for news, or in trouble for the next try.
    fn wait(&self) -> News {
        let in_trouble = self.position.borrow().trouble.is_some();
        let first = if in_trouble {
            self.inbox.recv_timeout(RETRY_PAUSE)
        } else {
            self.next_message()
        };
        let mut news = News::default();
        let generation = self.readers.generation();
        for message in first.ok().into_iter().chain(self.inbox.try_iter()) {
            news.take(message, generation);
            if news.count >= GROUP {
                break;
            }
        }
        news
    }

    fn next_message(&self) -> Result<Message, RecvTimeoutError> {
        match self.inbox.recv_timeout(REST) {
            Err(RecvTimeoutError::Timeout) => {
                self.rest();
                Ok(self.inbox.recv()?)
            }
            came => came,
        }
    }

    fn rest(&self) {
        if let Some(Err(error)) = self.projector.as_ref().map(Projector::rest) {
            tracing::debug!(%error, "control.db keeps its pages in memory");
        }
        self.readers.rest();
    }

    fn is_closing(&self) -> bool {
        self.wishes.close.load(Ordering::Acquire)
    }
}

/// What came in since the last step.
#[derive(Default)]
struct News {
    events: Vec<Arc<[RecordedEvent]>>,
    count: usize,
    damage: Option<String>,
}

impl News {
    fn take(&mut self, message: Message, current: u64) {
        match message {
            Message::Published(events) => {
                self.count += events.len();
                self.events.push(events);
            }
            // A reader of a file that was replaced since has nothing to say about this one.
            Message::Damaged { generation, reason } if generation == current => {
                self.damage = Some(reason);
            }
            Message::Damaged { .. } | Message::Wake => {}
        }
    }
}
