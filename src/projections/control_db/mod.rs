//! `control.db`: everything that lists or searches, folded from the log into SQLite.
//!
//! It may be deleted at any time; it is built again from the log. Nothing is decided by it.
mod follower;
mod list_error;
mod listing;
mod messages;
mod projector;
mod readers;
mod storage;
mod tables;
mod texts;

pub use self::follower::Position;
pub use self::list_error::ListError;
pub use self::listing::page::{MAX_PAGE, Order, Page, PageRequest};
pub use self::projector::Opening;
pub use self::tables::causes::{Cause, MAX_CAUSES};
pub use self::tables::databases::DatabaseFilter;
pub use self::tables::events::EventFilter;
pub use self::tables::jobs::JobFilter;
pub use self::tables::tokens::{ShownToken, TokenFilter};
pub use self::texts::{EventTexts, ExportLine, ShownEvent};

use self::follower::Follower;
use self::listing::page::List;
use self::messages::{INBOX, Message, Wishes};
use self::projector::Projector;
use self::readers::Readers;
use self::storage::StorageError;
use self::tables::{causes, databases, events, jobs, tokens};
use crate::clock::Deadline;
use crate::domain::database::Database;
use crate::domain::event::recorded::RecordedEvent;
use crate::domain::ids::{JobId, Sequence};
use crate::domain::job::Job;
use crate::event_log::EventLog;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::watch;

/// The views through which SQL of people sees the file, as temporary ones.
pub const AUDIT_VIEWS: &str = include_str!("../../../migrations/control/audit_views.sql");
/// Their names, which are those of the tables that they stand for and may read.
pub const AUDIT_TABLES: &[&str] = &["events", "jobs", "databases", "labels", "tokens"];

/// The longest that a question waits while the file is being built from the log.
const CATCH_UP_WAIT: Duration = Duration::from_secs(5);

/// The read model: a thread that follows the log, and questions about what it has followed.
pub struct ControlDb {
    readers: Arc<Readers>,
    to_follower: SyncSender<Message>,
    wishes: Arc<Wishes>,
    position: watch::Receiver<Position>,
    follower: Option<JoinHandle<()>>,
    log: Arc<dyn EventLog>,
    export_line: ExportLine,
}

/// Why the read model could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open control.db: {0}")]
pub struct OpenReadModelError(String);

/// The read model has not come as far as was waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the lists have followed the log to event {}, not yet to {wanted}", .position.sequence)]
pub struct Behind {
    /// What was waited for.
    pub wanted: Sequence,
    /// How far it is, and what holds it up.
    pub position: Position,
}

impl ControlDb {
    /// Opens the file at `path`, or makes a new one where there is none that belongs to `log`,
    /// and begins to follow the log on a thread of its own: [`Self::wait_for`] tells how far.
    ///
    /// # Errors
    /// When the file can neither be used nor replaced, or no thread can be started.
    pub fn open(
        path: &Path,
        log: Arc<dyn EventLog>,
        export_line: ExportLine,
    ) -> Result<(Self, Opening), OpenReadModelError> {
        let (projector, opening) = Projector::open(path, log.as_ref())
            .map_err(|error| OpenReadModelError(error.to_string()))?;
        let (to_follower, inbox) = sync_channel(INBOX);
        let readers = Arc::new(Readers::new(path.to_owned(), to_follower.clone()));
        let wishes = Arc::new(Wishes::default());
        wishes
            .published
            .store(log.head().sequence.0, Ordering::Release);
        let (sender, position) = watch::channel(Position {
            sequence: projector.reached(),
            is_catching_up: true,
            trouble: None,
        });
        let follower = Follower {
            path: path.to_owned(),
            log: Arc::clone(&log),
            projector: Some(projector),
            readers: Arc::clone(&readers),
            inbox,
            wishes: Arc::clone(&wishes),
            position: sender,
            rebuilds: 0,
        };
        let follower = thread::Builder::new()
            .name("control-db".into())
            .spawn(move || follower.run())
            .map_err(|error| OpenReadModelError(error.to_string()))?;
        let control_db = Self {
            readers,
            to_follower,
            wishes,
            position,
            follower: Some(follower),
            log,
            export_line,
        };
        Ok((control_db, opening))
    }

    /// Tells it of events that were appended; never waits.
    pub fn publish(&self, events: Arc<[RecordedEvent]>) {
        if let Some(last) = events.last() {
            let last = last.sequence.0;
            self.wishes.published.fetch_max(last, Ordering::AcqRel);
            // What does not fit is read from the log, by the number alone.
            let _ = self.to_follower.try_send(Message::Published(events));
        }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.readers.path()
    }

    /// How far it has followed the log.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position.borrow().clone()
    }

    /// The same, once it has caught up, or when the deadline comes.
    pub async fn settled_position(&self, deadline: Deadline) -> Position {
        let mut position = self.position.clone();
        let settled = position.wait_for(|it| !it.is_catching_up);
        // What is waited for is a lock's guard.
        let _ = tokio::time::timeout_at(deadline.instant(), async { settled.await.is_ok() }).await;
        self.position()
    }

    /// Waits until every answer has seen event `sequence`.
    ///
    /// # Errors
    /// When the deadline comes first.
    pub async fn wait_for(&self, sequence: Sequence, deadline: Deadline) -> Result<(), Behind> {
        let mut position = self.position.clone();
        let reached = position.wait_for(|it| it.sequence >= sequence);
        match tokio::time::timeout_at(deadline.instant(), reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Behind {
                wanted: sequence,
                position: self.position(),
            }),
        }
    }

    /// One page of events.
    ///
    /// # Errors
    /// When the cursor is not of this list, or the file does not answer.
    pub async fn list_events(
        &self,
        filter: EventFilter,
        page: PageRequest,
    ) -> Result<Page<ShownEvent>, ListError> {
        let window = page.window(List::Events, filter.order)?;
        let (log, export_line) = (Arc::clone(&self.log), self.export_line);
        self.ask(move |connection| {
            let found = events::list(connection, &filter, &window)?;
            Ok(Page {
                items: texts::shown(log.as_ref(), export_line, &found.items)?,
                next_cursor: found.next_cursor,
                as_of: found.as_of,
            })
        })
        .await
    }

    /// The event with this sequence.
    ///
    /// # Errors
    /// When neither the file nor the log answers.
    pub async fn event(&self, sequence: Sequence) -> Result<Option<ShownEvent>, ListError> {
        let (log, export_line) = (Arc::clone(&self.log), self.export_line);
        self.ask(move |connection| {
            if !events::exists(connection, sequence)? {
                return Ok(None);
            }
            Ok(texts::shown(log.as_ref(), export_line, &[sequence])?.pop())
        })
        .await
    }

    /// The texts of events that SQL on the history shows and the file does not hold.
    #[must_use]
    pub fn event_texts(&self) -> EventTexts {
        EventTexts::of(Arc::clone(&self.log))
    }

    /// What caused the event with this sequence, the nearest cause first; at most
    /// [`MAX_CAUSES`].
    ///
    /// # Errors
    /// When the file does not answer.
    pub async fn causes(&self, sequence: Sequence) -> Result<Vec<Cause>, ListError> {
        self.ask(move |it| causes::of(it, sequence)).await
    }

    /// One page of jobs.
    ///
    /// # Errors
    /// When the cursor is not of this list, or the file does not answer.
    pub async fn list_jobs(
        &self,
        filter: JobFilter,
        page: PageRequest,
    ) -> Result<Page<Job>, ListError> {
        let window = page.window(List::Jobs, filter.order)?;
        self.ask(move |it| jobs::list(it, &filter, &window)).await
    }

    /// The job with this id.
    ///
    /// # Errors
    /// When the file does not answer.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, ListError> {
        self.ask(move |it| jobs::load(it, id)).await
    }

    /// One page of the databases that are not removed.
    ///
    /// # Errors
    /// When the cursor is not of this list, or the file does not answer.
    pub async fn list_databases(
        &self,
        filter: DatabaseFilter,
        page: PageRequest,
    ) -> Result<Page<Database>, ListError> {
        let window = page.window(List::Databases, filter.order)?;
        self.ask(move |it| databases::list(it, &filter, &window))
            .await
    }

    /// One page of tokens.
    ///
    /// # Errors
    /// When the cursor is not of this list, or the file does not answer.
    pub async fn list_tokens(
        &self,
        filter: TokenFilter,
        page: PageRequest,
    ) -> Result<Page<ShownToken>, ListError> {
        let window = page.window(List::Tokens, filter.order)?;
        self.ask(move |it| tokens::list(it, &filter, &window)).await
    }

    /// Asks a question of the whole file.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, ListError> {
        self.whole(self.readers.ask(question)).await?
    }

    /// Does `reading` once the file holds all that the log held when it was opened. What was read
    /// counts only if the file was not built again meanwhile: events may have been missing.
    ///
    /// # Errors
    /// When the file is being built.
    pub async fn whole<T>(&self, reading: impl Future<Output = T>) -> Result<T, ListError> {
        let caught_up = tokio::time::timeout(CATCH_UP_WAIT, self.whole_generation()).await;
        let generation = caught_up.map_err(|_| self.being_built())?;
        let read = reading.await;
        let is_whole = !self.position.borrow().is_catching_up;
        if is_whole && self.readers.generation() == generation {
            return Ok(read);
        }
        Err(self.being_built())
    }

    /// The generation of a file that is not being built; waits until it has been.
    async fn whole_generation(&self) -> u64 {
        let mut position = self.position.clone();
        loop {
            let generation = self.readers.generation();
            // What is waited for is a lock's guard, which must not be held while the file is read.
            let caught_up = position.wait_for(|it| !it.is_catching_up).await.is_ok();
            if caught_up && generation == self.readers.generation() {
                return generation;
            }
            tokio::task::yield_now().await;
        }
    }

    fn being_built(&self) -> ListError {
        let Position {
            sequence, trouble, ..
        } = self.position();
        let published = self.wishes.published.load(Ordering::Acquire);
        let trouble = trouble.map_or(String::new(), |reason| format!("; {reason}"));
        ListError::Unavailable {
            reason: format!(
                "control.db is being rebuilt: event {sequence} of {published}{trouble}"
            ),
        }
    }
}

impl Drop for ControlDb {
    /// Ends the thread between two groups; the next start goes on from there.
    fn drop(&mut self) {
        self.wishes.close.store(true, Ordering::Release);
        // A full inbox wakes the thread as well.
        let _ = self.to_follower.try_send(Message::Wake);
        if let Some(follower) = self.follower.take()
            && follower.join().is_err()
        {
            tracing::error!("the thread of control.db panicked");
        }
    }
}
