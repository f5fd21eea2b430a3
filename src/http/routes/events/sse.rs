//! Events as they happen: server-sent events, pulled from the log by sequence.
//!
//! Nothing is queued for a reader: each reads on from the last sequence it was sent, whenever the
//! present becomes another and its connection has room.
use crate::clock::Deadline;
use crate::control::Present;
use crate::domain::ids::{DatabaseId, JobId, Sequence};
use crate::http::Gateway;
use crate::http::middleware::admission::no_room;
use crate::http::middleware::auth::{Accepted, Caller};
use crate::http::response::error::Problem;
use crate::http::response::reply::Marked;
use crate::http::routes::jobs::view::{ProgressView, live_progress};
use crate::projections::control_db::{
    Behind, EventFilter, Order, PageRequest, QueryError, ShownEvent,
};
use crate::shares::{Held, Kind, Pass, Place};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Events that a stream has in memory at once.
const CHUNK: usize = 100;
/// Between two looks of one stream: what happens within it is sent together, so that many streams
/// beside many writes cost a bounded number of looks.
pub(crate) const GATHER: Duration = Duration::from_millis(20);
/// How long a look waits for the read model to see what has happened.
const READ_MODEL_WAIT: Duration = Duration::from_secs(5);
/// Databases of which a stream remembers whether the token covers them.
const REMEMBERED: usize = 10_000;
/// Said first: that the stream is open, and that a client comes back after a second, not after
/// the three or more that are usual.
const OPENING: &str = "retry: 1000\n\n";
/// How often a stream of a job's looks how far its step is: as often as the step says so.
const PROGRESS_LOOK: Duration = Duration::from_millis(500);
/// Said when there is nothing to say.
const SILENCE: &str = ":\n\n";

/// Whether a request asks for a stream.
pub(crate) fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT);
    let mut words = accepted
        .iter()
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','));
    words.any(|it| {
        let essence = it.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("text/event-stream")
    })
}

/// The last event that a client has seen of a stream that broke off.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<Option<Sequence>, Problem> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    // A browser that has seen none yet sends an empty one.
    if text.is_empty() {
        return Ok(None);
    }
    let sequence = text.parse().map(Sequence);
    sequence
        .map(Some)
        .map_err(|_| Problem::invalid("`Last-Event-ID` is the sequence of an event, a number."))
}

impl Gateway {
    /// Answers with the events that a filter lets through and the caller's token covers, from
    /// behind `filter.after` on, until the caller goes or an event of `last_kinds` was sent. A
    /// stream that has last kinds is of the filter's job, and tells how far that one is, too.
    ///
    /// # Errors
    /// When there are as many streams as the gateway takes, or `after` is behind the end.
    pub(crate) fn stream(
        self: &Arc<Self>,
        caller: Caller,
        filter: EventFilter,
        last_kinds: &'static [&'static str],
    ) -> Result<Response, Problem> {
        let pass = Pass::here().ok_or_else(|| Problem::internal("a stream has no pass"))?;
        let room = Place::take(&pass, Kind::Streams).map_err(|refused| {
            no_room(&pass, Kind::Streams, refused)
                .hint("GET /v1/events?after=<sequence>&wait=30 asks without a stream")
        })?;
        let changes = self.control.changes();
        let head = changes.borrow().head.sequence;
        let sent = filter.after.unwrap_or(head);
        if sent > head {
            return Err(Problem::invalid(format!(
                "The log ends at {head}: there is no event {sent} to go on from."
            )));
        }
        let reader = Reader {
            sent,
            watched: filter.job.filter(|_| !last_kinds.is_empty()),
            told: None,
            filter: EventFilter {
                order: Order::Ascending,
                ..filter
            },
            last_kinds,
            covered: HashMap::new(),
            silent_until: Deadline::after(self.config.stream_silence),
            next_look: Deadline::after(Duration::ZERO),
            has_ended: false,
            gateway: self.clone(),
            caller,
            changes,
            room,
        };
        let opening = stream::iter([Ok::<_, Infallible>(Bytes::from_static(OPENING.as_bytes()))]);
        let events = stream::unfold(reader, |mut it| async {
            let text = it.next().await?.into_bytes();
            let mut held = Held::of(it.room.pass().clone());
            held.grow_in_time(text.len()).await;
            Some((Ok(held.keep(text)), it))
        });
        let body = Body::from_stream(futures_util::StreamExt::chain(opening, events));
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        // Proxies that gather answers would hold events back.
        let unbuffered = [("x-accel-buffering", "no")];
        Ok((StatusCode::OK, headers, unbuffered, body)
            .into_response()
            .seen(head))
    }
}

/// Why a stream ends before its reader goes.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error(transparent)]
    Behind(#[from] Behind),
    #[error(transparent)]
    Unread(#[from] QueryError),
}

/// One stream.
struct Reader {
    gateway: Arc<Gateway>,
    caller: Caller,
    filter: EventFilter,
    /// Behind an event of one of these kinds there is nothing more to send.
    last_kinds: &'static [&'static str],
    /// Everything up to here was sent, or is not for this reader.
    sent: Sequence,
    /// The job whose progress is told, and what was told last.
    watched: Option<JobId>,
    told: Option<ProgressView>,
    changes: watch::Receiver<Arc<Present>>,
    covered: HashMap<DatabaseId, bool>,
    silent_until: Deadline,
    next_look: Deadline,
    has_ended: bool,
    room: Place,
}

impl Reader {
    /// What to send next; `None` when the stream is over.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.has_ended || self.gateway.stopping.is_cancelled() {
                return None;
            }
            let present = self.changes.borrow_and_update().clone();
            let now = self.gateway.control.clock().now();
            let patience = match self.caller.still_accepted(&present.state, now) {
                Accepted::No => return None,
                Accepted::For(left) => left,
                Accepted::Always => Duration::MAX,
            };
            if present.head.sequence > self.sent {
                let text = self.read(present.head.sequence).await;
                let text = text
                    .inspect_err(|error| tracing::warn!(%error, "an event stream broke off"))
                    .ok()?;
                if !text.is_empty() {
                    return Some(self.spoken(text));
                }
                if self.silent_until.has_passed() {
                    return Some(self.spoken(SILENCE.into()));
                }
                continue;
            }
            if let Some(text) = self.progress(&present) {
                return Some(self.spoken(text));
            }
            let nap = self.watched.map_or(Duration::MAX, |_| PROGRESS_LOOK);
            let is_over = |end| present.head.time >= end;
            if self.filter.until.is_some_and(is_over) {
                return None;
            }
            let silence = self.silent_until.remaining();
            let change =
                tokio::time::timeout(silence.min(patience).min(nap), self.changes.changed());
            tokio::select! {
                () = self.gateway.stopping.cancelled() => return None,
                () = self.room.pass().account().ended().cancelled() => return None,
                changed = change => match changed {
                    Ok(Ok(())) => tokio::time::sleep_until(self.next_look.instant()).await,
                    Ok(Err(_)) => return None,
                    Err(_) if self.silent_until.has_passed() => {
                        return Some(self.spoken(SILENCE.into()));
                    }
                    Err(_) => {}
                },
            }
        }
    }

    fn spoken(&mut self, text: String) -> String {
        self.silent_until = Deadline::after(self.gateway.config.stream_silence);
        text
    }

    /// How far the watched job's step says it is, where that is news. No event, so it has no id:
    /// whoever comes back is not told again.
    fn progress(&mut self, present: &Present) -> Option<String> {
        let job = present.state.job(self.watched?)?;
        let progress = live_progress(job, &self.gateway.live)?;
        let text = serde_json::to_string(&progress).ok()?;
        if self.told.as_ref() == Some(&progress) {
            return None;
        }
        self.told = Some(progress);
        Some(format!("event: progress\ndata: {text}\n\n"))
    }

    /// The next events up to `head` as text; none when they are for others.
    async fn read(&mut self, head: Sequence) -> Result<String, BrokenOff> {
        self.next_look = Deadline::after(GATHER);
        let gateway = self.gateway.clone();
        let in_time = Deadline::after(READ_MODEL_WAIT);
        gateway.control_db.wait_for(head, in_time).await?;
        let filter = EventFilter {
            after: Some(self.sent),
            ..self.filter.clone()
        };
        let chunk = PageRequest {
            limit: CHUNK,
            cursor: None,
        };
        let page = gateway.control_db.list_events(filter, chunk).await?;
        let last = page.items.last().map(|it| it.sequence);
        let mut text = String::new();
        for event in &page.items {
            if self.covers(event).await? {
                write_event(&mut text, event);
            }
            self.has_ended |= self.last_kinds.contains(&event.kind);
        }
        self.sent = match last {
            Some(last) if page.next_cursor.is_some() => last,
            _ => page.as_of,
        };
        Ok(text)
    }

    /// Whether the caller's token covers what an event is about. Only a token for every database
    /// sees what is about none.
    async fn covers(&mut self, event: &ShownEvent) -> Result<bool, QueryError> {
        if self.caller.covers_all() {
            return Ok(true);
        }
        let Some(database) = event.database else {
            return Ok(false);
        };
        if let Some(known) = self.covered.get(&database) {
            return Ok(*known);
        }
        let name = self.gateway.control_db.past_name(database).await?;
        let covers = name.is_some_and(|it| self.caller.covers(&it));
        if self.covered.len() >= REMEMBERED {
            self.covered.clear();
        }
        self.covered.insert(database, covers);
        Ok(covers)
    }
}

/// An event's line of an export holds no line breaks, so it is one `data:`.
fn write_event(text: &mut String, event: &ShownEvent) {
    let ShownEvent {
        sequence,
        kind,
        json,
        ..
    } = event;
    write!(text, "id: {sequence}\nevent: {kind}\ndata: {json}\n\n")
        .expect("a text takes more text");
}
