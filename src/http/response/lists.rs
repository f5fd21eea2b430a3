//! Lists in pages: their shape, and the words that their filters take.
use super::error::Problem;
use super::reply::{self, Marked};
use crate::domain::ids::Sequence;
use crate::projections::control_db::{ListError, Order, Page, PageRequest};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct List<T> {
    data: Vec<T>,
    /// Cursor of the next page; null on the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// Event sequence number at which this page was read.
    as_of: u64,
}

/// The answer that shows a page.
pub(crate) fn page_answer<T, V: Serialize>(page: Page<T>, show: impl FnMut(T) -> V) -> Response {
    let list = List {
        data: page.items.into_iter().map(show).collect(),
        next_cursor: page.next_cursor,
        as_of: page.as_of.0,
    };
    reply::json(StatusCode::OK, &list).seen(page.as_of)
}

/// The answer that shows a page of rows which are JSON already.
pub(crate) fn page_of_texts<T>(page: Page<T>, text_of: impl Fn(&T) -> &str) -> Response {
    let frame = serde_json::to_string(&List {
        data: Vec::<()>::new(),
        next_cursor: page.next_cursor,
        as_of: page.as_of.0,
    });
    // The list is its first part.
    let Some((begin, end)) = frame.as_deref().ok().and_then(|it| it.split_once("[]")) else {
        return Problem::internal("a page has no list").into_response();
    };
    let texts = page.items.iter().map(|row| text_of(row).len() + 1);
    let mut body = Vec::with_capacity(begin.len() + texts.sum::<usize>() + end.len() + 2);
    body.extend_from_slice(begin.as_bytes());
    body.push(b'[');
    for (place, row) in page.items.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        body.extend_from_slice(text_of(row).as_bytes());
    }
    body.push(b']');
    body.extend_from_slice(end.as_bytes());
    reply::json_text(StatusCode::OK, body).seen(page.as_of)
}

/// A page of what the state itself holds, oldest first as it is given, by ids that grow.
///
/// # Errors
/// When the cursor is no id of this list.
pub(crate) fn state_page<T>(
    all: impl DoubleEndedIterator<Item = T>,
    id_of: impl Fn(&T) -> String,
    is_id: impl Fn(&str) -> bool,
    asked: &PageRequest,
    order: Order,
    as_of: Sequence,
) -> Result<Page<T>, Problem> {
    if asked.cursor.as_deref().is_some_and(|cursor| !is_id(cursor)) {
        return Err(ListError::InvalidCursor.into());
    }
    let is_behind = |it: &T| match (&asked.cursor, order) {
        (None, _) => true,
        (Some(cursor), Order::Ascending) => id_of(it) > *cursor,
        (Some(cursor), Order::Descending) => id_of(it) < *cursor,
    };
    let ordered: Box<dyn Iterator<Item = T> + '_> = match order {
        Order::Ascending => Box::new(all),
        Order::Descending => Box::new(all.rev()),
    };
    let mut items: Vec<T> = ordered.filter(is_behind).take(asked.limit + 1).collect();
    let goes_on = items.len() > asked.limit;
    items.truncate(asked.limit);
    Ok(Page {
        next_cursor: items.last().filter(|_| goes_on).map(&id_of),
        items,
        as_of,
    })
}

/// Whether a text is an id as it is shown.
pub(crate) fn is_uuid(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|id| id.to_string() == text)
}

/// The one of `all` whose word is `word`.
pub(crate) fn known_word<T: Copy>(
    parameter: &str,
    word: &str,
    all: &[T],
    word_of: impl Fn(T) -> &'static str,
) -> Result<T, Problem> {
    let found = all.iter().copied().find(|one| word_of(*one) == word);
    found.ok_or_else(|| {
        let words: Vec<_> = all.iter().map(|one| word_of(*one)).collect();
        Problem::invalid(format!("`{word}` is not a valid `{parameter}`."))
            .hint(format!("valid values: {}", words.join(", ")))
    })
}
