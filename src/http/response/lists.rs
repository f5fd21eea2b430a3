//! Lists in pages: their parameters, their bounds, their shape.
use super::error::{ErrorCode, Problem};
use super::refusals::sentence;
use super::reply;
use super::reply::Marked;
use crate::clock::Deadline;
use crate::control::Present;
use crate::domain::ids::Sequence;
use crate::http::Gateway;
use crate::http::extract::forms::SequenceNumber;
use crate::projections::control_db::{Behind, MAX_PAGE, Order, Page, PageRequest, QueryError};
use crate::shares::waiting;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// Rows of a page when nobody says how many.
const DEFAULT_PAGE: usize = 50;
/// How long a list waits for the read model to see what was already answered.
const LIST_WAIT: Duration = Duration::from_secs(5);
/// Pages that are read for one answer when the caller's token leaves rows out. Past it the answer
/// is shorter than asked for, with a cursor.
const PAGES_READ: usize = 20;

/// Which way a list runs.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    /// The oldest first.
    #[default]
    Asc,
    /// The newest first.
    Desc,
}

impl From<Option<Direction>> for Order {
    fn from(direction: Option<Direction>) -> Self {
        match direction.unwrap_or_default() {
            Direction::Asc => Self::Ascending,
            Direction::Desc => Self::Descending,
        }
    }
}

/// Which page of a list without filters is wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParameters {
    /// Most rows of the page: 1 to 1000, else 50.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<usize>,
    /// The `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
    /// `asc` for the oldest first, `desc` for the newest.
    #[param(inline)]
    pub(crate) order: Option<Direction>,
    /// Answer once the log has reached this sequence.
    pub(crate) min_sequence: Option<SequenceNumber>,
}

/// One page.
#[derive(Serialize, ToSchema)]
pub(crate) struct List<T> {
    data: Vec<T>,
    /// Asks for the next page; null behind the last.
    next_cursor: Option<String>,
    /// The sequence at which the first page was read.
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
pub(crate) fn state_page<T>(
    all: impl DoubleEndedIterator<Item = T>,
    id_of: impl Fn(&T) -> String,
    asked: &PageRequest,
    order: Order,
    as_of: Sequence,
) -> Page<T> {
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
    Page {
        next_cursor: items.last().filter(|_| goes_on).map(&id_of),
        items,
        as_of,
    }
}

/// What `?limit=` and `?cursor=` ask for.
pub(crate) fn page_request(
    limit: Option<usize>,
    cursor: Option<String>,
) -> Result<PageRequest, Problem> {
    let limit = limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::invalid(format!(
            "`limit` is 1 to {MAX_PAGE}; {limit} is outside."
        )));
    }
    // `cursor=` is how some clients ask for the first page.
    let cursor = cursor.filter(|it| !it.is_empty());
    Ok(PageRequest { limit, cursor })
}

/// Reads pages until there are as many rows as asked for that the caller may see.
pub(crate) async fn visible_page<T, F>(
    asked: PageRequest,
    is_visible: impl Fn(&T) -> bool,
    mut read: impl FnMut(PageRequest) -> F,
) -> Result<Page<T>, Problem>
where
    F: Future<Output = Result<Page<T>, QueryError>>,
{
    let limit = asked.limit;
    let mut page = read(asked).await?;
    page.items.retain(&is_visible);
    for _ in 1..PAGES_READ {
        if page.items.len() >= limit || page.next_cursor.is_none() {
            break;
        }
        let rest = PageRequest {
            limit: limit - page.items.len(),
            cursor: page.next_cursor.take(),
        };
        let next = read(rest).await?;
        page.next_cursor = next.next_cursor;
        page.items
            .extend(next.items.into_iter().filter(&is_visible));
    }
    Ok(page)
}

/// The one of `all` whose word is `word`.
pub(crate) fn known_word<T: Copy>(
    parameter: &str,
    word: &str,
    all: &[T],
    word_of: impl Fn(T) -> &'static str,
) -> Result<T, Problem> {
    let found = all.iter().copied().find(|it| word_of(*it) == word);
    found.ok_or_else(|| {
        let words: Vec<_> = all.iter().map(|it| word_of(*it)).collect();
        Problem::invalid(format!("`{parameter}` does not know the word `{word}`."))
            .hint(format!("it knows {}", words.join(", ")))
    })
}

impl Gateway {
    /// What is true now, once the lists have seen it as well.
    pub(crate) async fn listed_at(
        &self,
        min_sequence: Option<SequenceNumber>,
    ) -> Result<Arc<Present>, Problem> {
        let present = self.present_at(min_sequence).await?;
        let deadline = Deadline::after(LIST_WAIT);
        let listed = self.control_db.wait_for(present.head.sequence, deadline);
        waiting(listed).await?;
        Ok(present)
    }
}

impl From<Behind> for Problem {
    fn from(behind: Behind) -> Self {
        tracing::warn!(
            trouble = behind.position.trouble,
            "a list was given up: {behind}"
        );
        Self::new(ErrorCode::SequenceNotReached, sentence(&behind))
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::InvalidCursor => Self::invalid(sentence(&error))
                .hint("send the `next_cursor` of the same list, with the same parameters"),
            QueryError::Unavailable { .. } => {
                tracing::warn!(%error, "a list was not read");
                Self::new(ErrorCode::Overloaded, "The lists cannot be read now.")
                    .hint("a narrower filter is less work")
            }
        }
    }
}
