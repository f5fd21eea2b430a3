//! Watches events as they happen, read by sequence through `control.db`.
//!
//! Nothing is queued for a reader: each reads on from the last sequence it was sent, whenever the
//! state changes and its connection has room.
use super::Service;
use super::caller::{Caller, TokenStanding};
use super::freshness::GATHER;
use super::jobs::JobProgress;
use crate::clock::Deadline;
use crate::control::CurrentState;
use crate::domain::ids::{DatabaseId, JobId, Sequence};
use crate::projections::control_db::{
    Behind, EventFilter, ListError, Order, PageRequest, ShownEvent,
};
use crate::shares::{Kind, Pass, Place, Refused};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Events that a feed has in memory at once.
const CHUNK: usize = 100;
/// How long a look waits for the read model to see what has happened.
const READ_MODEL_WAIT: Duration = Duration::from_secs(5);
/// Databases of which a feed remembers whether the token covers them.
const REMEMBERED: usize = 10_000;
/// How often a job's feed looks how far its step is: as often as the step says so.
const PROGRESS_LOOK: Duration = Duration::from_millis(500);

/// Which events a feed sends.
#[derive(Debug, Clone)]
pub struct FeedRequest {
    /// Which events. The feed resumes after `filter.after`, or starts with the next event.
    pub filter: EventFilter,
    /// An event of one of these kinds ends the feed. When there are any, the filter names a job,
    /// and the feed sends its progress, too.
    pub last_kinds: &'static [&'static str],
    /// How long the feed is silent before it sends a sign of life.
    pub silence: Duration,
}

/// Why there is no feed.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The limit of open feeds, or the caller's share of it, is reached.
    #[error("too many event streams are open")]
    NoRoom(Pass, Refused),
    /// The feed was asked to resume after an event that has not happened.
    #[error("cannot resume after event {after}: the last event is {head}")]
    AfterEnd {
        /// The last event.
        head: Sequence,
        /// Where it was to go on.
        after: Sequence,
    },
    /// The request runs outside of admission control.
    #[error("an event stream was opened outside of admission control")]
    NoPass,
}

/// What a feed sends next.
#[derive(Debug)]
pub enum FeedItem {
    /// Events that the filter lets through and the caller's token covers.
    Events(Vec<ShownEvent>),
    /// How far the watched job is. No event, so it has no sequence: a client that comes back is
    /// not told again.
    Progress(JobProgress),
    /// Nothing has happened for a while.
    Silence,
}

/// Why a feed ends before its reader goes.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error(transparent)]
    Behind(#[from] Behind),
    #[error(transparent)]
    Unread(#[from] ListError),
}

/// Events as they happen, until the caller goes, its token ends or the gateway stops.
pub struct EventFeed {
    service: Arc<Service>,
    caller: Caller,
    filter: EventFilter,
    last_kinds: &'static [&'static str],
    silence: Duration,
    /// Everything up to here was sent, or is not for this reader.
    sent: Sequence,
    /// The job whose progress is told, and what was told last.
    watched: Option<JobId>,
    told: Option<JobProgress>,
    changes: watch::Receiver<Arc<CurrentState>>,
    covered: HashMap<DatabaseId, bool>,
    silent_until: Deadline,
    next_look: Deadline,
    has_ended: bool,
    room: Place,
}

impl Service {
    /// Opens a feed of events. Returns the last event at its beginning as well.
    ///
    /// # Errors
    /// When there are as many as the gateway takes, or `after` is behind the end.
    pub fn watch(
        self: &Arc<Self>,
        caller: Caller,
        request: FeedRequest,
    ) -> Result<(EventFeed, Sequence), WatchError> {
        let FeedRequest {
            filter,
            last_kinds,
            silence,
        } = request;
        let pass = Pass::here().ok_or(WatchError::NoPass)?;
        let room = Place::take(&pass, Kind::Streams)
            .map_err(|refused| WatchError::NoRoom(pass.clone(), refused))?;
        let changes = self.control.changes();
        let head = changes.borrow().head.sequence;
        let sent = filter.after.unwrap_or(head);
        if sent > head {
            return Err(WatchError::AfterEnd { head, after: sent });
        }
        let feed = EventFeed {
            sent,
            watched: filter.job.filter(|_| !last_kinds.is_empty()),
            told: None,
            filter: EventFilter {
                order: Order::Ascending,
                ..filter
            },
            last_kinds,
            silence,
            covered: HashMap::new(),
            silent_until: Deadline::after(silence),
            next_look: Deadline::after(Duration::ZERO),
            has_ended: false,
            service: self.clone(),
            caller,
            changes,
            room,
        };
        Ok((feed, head))
    }
}

impl EventFeed {
    /// Whose share it is of.
    #[must_use]
    pub fn pass(&self) -> &Pass {
        self.room.pass()
    }

    /// What to send next; `None` when the feed is over.
    pub async fn next(&mut self) -> Option<FeedItem> {
        let item = self.awaited().await?;
        self.silent_until = Deadline::after(self.silence);
        Some(item)
    }

    async fn awaited(&mut self) -> Option<FeedItem> {
        loop {
            if self.has_ended || self.service.stopping.is_cancelled() {
                return None;
            }
            let current = self.changes.borrow_and_update().clone();
            let now = self.service.control.clock().now();
            let token_left = match self.caller.standing(&current.state, now) {
                TokenStanding::Ended => return None,
                TokenStanding::Expires(left) => left,
                TokenStanding::Lasting => Duration::MAX,
            };
            if current.head.sequence > self.sent {
                let events = self.read(current.head.sequence).await;
                let events = events
                    .inspect_err(|error| tracing::warn!(%error, "event stream failed"))
                    .ok()?;
                if !events.is_empty() {
                    return Some(FeedItem::Events(events));
                }
                if self.silent_until.has_passed() {
                    return Some(FeedItem::Silence);
                }
                continue;
            }
            if let Some(progress) = self.progress(&current) {
                return Some(FeedItem::Progress(progress));
            }
            let nap = self.watched.map_or(Duration::MAX, |_| PROGRESS_LOOK);
            let is_over = |end| current.head.time >= end;
            if self.filter.until.is_some_and(is_over) {
                return None;
            }
            let silence = self.silent_until.remaining();
            let change =
                tokio::time::timeout(silence.min(token_left).min(nap), self.changes.changed());
            tokio::select! {
                () = self.service.stopping.cancelled() => return None,
                () = self.room.pass().account().ended().cancelled() => return None,
                changed = change => match changed {
                    Ok(Ok(())) => tokio::time::sleep_until(self.next_look.instant()).await,
                    Ok(Err(_)) => return None,
                    Err(_) if self.silent_until.has_passed() => {
                        return Some(FeedItem::Silence);
                    }
                    Err(_) => {}
                },
            }
        }
    }

    /// How far the watched job's step says it is, where that is news.
    fn progress(&mut self, current: &CurrentState) -> Option<JobProgress> {
        let job = current.state.job(self.watched?)?;
        let progress = JobProgress::live(job, &self.service.progress)?;
        if self.told.as_ref() == Some(&progress) {
            return None;
        }
        self.told = Some(progress.clone());
        Some(progress)
    }

    /// The next events up to `head`; none when they are for others.
    async fn read(&mut self, head: Sequence) -> Result<Vec<ShownEvent>, BrokenOff> {
        self.next_look = Deadline::after(GATHER);
        let service = self.service.clone();
        let in_time = Deadline::after(READ_MODEL_WAIT);
        service.control_db.wait_for(head, in_time).await?;
        let filter = EventFilter {
            after: Some(self.sent),
            ..self.filter.clone()
        };
        let chunk = PageRequest {
            limit: CHUNK,
            cursor: None,
        };
        let page = service.control_db.list_events(filter, chunk).await?;
        let last = page.items.last().map(|it| it.sequence);
        let mut events = Vec::with_capacity(page.items.len());
        for event in page.items {
            self.has_ended |= self.last_kinds.contains(&event.kind);
            if self.covers(&event).await? {
                events.push(event);
            }
        }
        self.sent = match last {
            Some(last) if page.next_cursor.is_some() => last,
            _ => page.as_of,
        };
        Ok(events)
    }

    /// Whether the caller's token covers what an event is about. Only a token for every database
    /// sees what is about none.
    async fn covers(&mut self, event: &ShownEvent) -> Result<bool, ListError> {
        if self.caller.covers_all() {
            return Ok(true);
        }
        let Some(database) = event.database else {
            return Ok(false);
        };
        if let Some(known) = self.covered.get(&database) {
            return Ok(*known);
        }
        let name = self.service.control_db.past_name(database).await?;
        let covers = name.is_some_and(|it| self.caller.covers(&it));
        if self.covered.len() >= REMEMBERED {
            self.covered.clear();
        }
        self.covered.insert(database, covers);
        Ok(covers)
    }
}
