//! Events as they happen, as server-sent events.
use super::error::Problem;
use super::reply::Marked;
use super::views::job::ProgressView;
use crate::domain::ids::Sequence;
use crate::projections::control_db::ShownEvent;
use crate::service::watch::{EventFeed, FeedItem};
use crate::shares::Held;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use std::convert::Infallible;
use std::fmt::Write;

/// Said first: that the stream is open, and that a client comes back after a second, not after
/// the three or more that are usual.
const OPENING: &str = "retry: 1000\n\n";
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
///
/// # Errors
/// When it is no sequence.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<Option<Sequence>, Problem> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    // What is no text is no number either.
    let text = value.to_str().unwrap_or("?").trim();
    // A browser that has seen none yet sends an empty one.
    if text.is_empty() {
        return Ok(None);
    }
    let sequence = text.parse().map(Sequence);
    sequence
        .map(Some)
        .map_err(|_| Problem::invalid("`Last-Event-ID` must be a sequence number."))
}

/// Answers with what a feed sends, until it is over.
pub(crate) fn answer(feed: EventFeed, head: Sequence) -> Response {
    let opening = stream::iter([Ok::<_, Infallible>(Bytes::from_static(OPENING.as_bytes()))]);
    let events = stream::unfold(feed, |mut feed| async {
        let text = written(feed.next().await?).into_bytes();
        let mut held = Held::of(feed.pass().clone());
        held.grow_in_time(text.len()).await;
        Some((Ok(held.keep(text)), feed))
    });
    let body = Body::from_stream(futures_util::StreamExt::chain(opening, events));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    // Proxies that gather answers would hold events back.
    let unbuffered = [("x-accel-buffering", "no")];
    (StatusCode::OK, headers, unbuffered, body)
        .into_response()
        .seen(head)
}

fn written(item: FeedItem) -> String {
    let mut text = String::new();
    match item {
        FeedItem::Silence => text.push_str(SILENCE),
        FeedItem::Progress(progress) => {
            let view = ProgressView::from(progress);
            let view = serde_json::to_string(&view).expect("texts and numbers become JSON");
            // No event, so it has no id.
            write!(text, "event: progress\ndata: {view}\n\n").expect("a text takes more text");
        }
        FeedItem::Events(events) => events
            .iter()
            .for_each(|event| write_event(&mut text, event)),
    }
    text
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
