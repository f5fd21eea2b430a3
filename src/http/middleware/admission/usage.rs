//! What a caller has under way, and how much that may be.
use super::share::Share;
use crate::http::Gateway;
use crate::http::extract::{NoParameters, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::service::caller::Caller;
use crate::shares::{Account, Kind, Rooms};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What this token has under way.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct CallerUsage {
    /// Requests that are worked on.
    working: ShareView,
    /// Requests that wait: for their own bodies, for turns, for events and the ends of jobs.
    waiting: ShareView,
    /// Event streams that are open.
    event_streams: ShareView,
    /// Bytes of requests and answers that are in the gateway's memory.
    buffered_bytes: ShareView,
}

/// One caller's part of something that there is so much of.
#[derive(Serialize, ToSchema)]
#[schema(as = Share)]
struct ShareView {
    /// What this token has now.
    used: usize,
    /// How much of it this token may have at this moment. It is less where others have more.
    share: usize,
    /// How much there is for all.
    limit: usize,
}

/// Show your share
///
/// What this token has under way, and how much it may have. A token alone may use three quarters of
/// what the gateway takes; others always find some. Past its share a token gets 429
/// `rate_limited`, and where the gateway has no more, everyone gets 503 `overloaded`; bytes in memory
/// that are too many are 503 in both cases. This route itself always has room.
#[utoipa::path(get, path = "/v1/usage", tag = "health",
    responses((status = 200, body = CallerUsage)))]
pub(in crate::http) async fn show_usage(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    let (rooms, account) = (&gateway.rooms, gateway.accounts.of(caller.holder()));
    let usage = CallerUsage {
        working: share(rooms, &account, Kind::Working),
        waiting: share(rooms, &account, Kind::Waiting),
        event_streams: share(rooms, &account, Kind::Streams),
        buffered_bytes: share(rooms, &account, Kind::Bytes),
    };
    let mut response = reply::json(StatusCode::OK, &usage);
    Share::of(Kind::Working, rooms, &account).note(response.headers_mut());
    Ok(response)
}

fn share(rooms: &Rooms, account: &Account, kind: Kind) -> ShareView {
    ShareView {
        used: account.has(kind),
        share: rooms.share(kind, account),
        limit: rooms.most(kind),
    }
}
