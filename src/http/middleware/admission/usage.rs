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

/// Current usage of this token.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct CallerUsage {
    /// Requests being processed.
    working: ShareView,
    /// Requests waiting: for their bodies, locks, events or jobs.
    waiting: ShareView,
    /// Open event streams.
    event_streams: ShareView,
    /// Bytes of requests and responses in memory.
    buffered_bytes: ShareView,
}

/// A share of a limited resource.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageShare)]
struct ShareView {
    /// Used by this token now.
    used: usize,
    /// Available to this token now; shrinks when others use more.
    share: usize,
    /// Available in total.
    limit: usize,
}

/// Show usage and limits
///
/// Current usage and limits of this token. One token may use up to three quarters of each resource.
/// Beyond its share it gets 429 `rate_limited`; when a resource is exhausted, all get 503
/// `overloaded`. Too many bytes in memory are 503 in both cases. This route is always answered.
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
