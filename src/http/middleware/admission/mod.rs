//! Admission control: limits on concurrent requests, overall and per caller.
//!
//! A request is first *waiting* while its body arrives, then *working* in one of a limited number of
//! slots. When it has to wait for something (a database lock, the end of a job, the next event), it
//! gives up its slot and is *waiting* again until it finishes. Each caller has a share of both.
pub(crate) mod packed_body;
pub(crate) mod request_body;
pub(crate) mod share;
pub(crate) mod token_ends;
pub(crate) mod usage;

use self::share::Share;
use crate::http::Gateway;
use crate::http::response::error::{ErrorCode, Problem};
use crate::shares::{self, Cut, Held, Holder, Kind, Pass, Refused, scoped};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

/// What becomes of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyUse {
    /// It is read whole.
    Read,
    /// It is read and discarded: the C++ client of the legacy API sends what is left in its memory.
    Ignored,
    /// It is read whole, and what it asks for may take long.
    ReadForLong,
    /// The route reads it as it arrives, however large it is.
    Streamed,
}

/// How long a request may take whose body or answer is a file: 8 GiB at 200 KiB/s.
const LONGEST_TRANSFER: Duration = Duration::from_secs(12 * 3600);

impl Gateway {
    /// Reads a request's body, or ignores it, and processes it within the limits. Aborts it when it takes too long,
    /// when no waiting slot is free, or when its token ends.
    ///
    /// # Errors
    /// When it was aborted or not admitted.
    pub(crate) async fn within_bounds<F: Future<Output = Response>>(
        &self,
        pass: Pass,
        request: Request,
        body: BodyUse,
        work: impl FnOnce(Request) -> F,
    ) -> Result<Response, Problem> {
        let leaving = Leaving(&pass);
        // Pinned before it is wrapped: each wrapper would copy its two kilobytes.
        let work = pin!(async {
            let (request, _held) = match body {
                BodyUse::Streamed => (request, Held::default()),
                BodyUse::Read | BodyUse::Ignored | BodyUse::ReadForLong => {
                    self.with_whole_body(request, body).await?
                }
            };
            let begun = pass.begin_to_work();
            begun.map_err(|error| no_room(&pass, Kind::Working, error))?;
            Ok(work(request).await)
        });
        let limit = match body {
            BodyUse::Streamed | BodyUse::ReadForLong => LONGEST_TRANSFER,
            BodyUse::Read | BodyUse::Ignored => self.config.request_timeout,
        };
        let mut all = pin!(tokio::time::timeout(limit, scoped(pass.clone(), work)));
        let answered = tokio::select! {
            biased;
            answered = &mut all => answered,
            cut = pass.cut() => Ok(Err(cut_off(&pass, cut))),
        };
        drop(leaving);
        answered.unwrap_or_else(|_| {
            Err(Problem::new(
                ErrorCode::TimedOut,
                format!(
                    "The request did not finish within {} s.",
                    limit.as_secs_f64()
                ),
            )
            .because("its time was over"))
        })
    }

    /// The client address whose share a request without a token uses. `X-Forwarded-For` counts only
    /// from trusted proxies.
    pub(crate) fn source(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let forwarded = headers.get_all("x-forwarded-for").iter();
        // A value that is not text is not an address.
        let forwarded = forwarded.map(|it| it.to_str().unwrap_or_default());
        peer.map(|peer| self.config.trusted_proxies.client(peer, forwarded))
    }
}

/// Releases the slot of a request, however it ends.
struct Leaving<'p>(&'p Pass);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The error when a limit is reached.
pub(crate) fn no_room(pass: &Pass, kind: Kind, refused: Refused) -> Problem {
    let (rooms, account) = (pass.rooms(), pass.account());
    let most = rooms.most(kind);
    let (are, what) = match kind {
        Kind::Working => ("being processed", "requests"),
        Kind::Waiting => ("waiting", "requests"),
        Kind::Forwarded => ("being processed for proxies", "requests"),
        Kind::Streams => ("open", "event streams"),
        Kind::Bytes => return no_memory(),
    };
    match refused {
        Refused::Full => Problem::new(
            ErrorCode::Overloaded,
            format!("Limit reached: {most} {what} {are}."),
        ),
        Refused::ShareTaken => {
            let (caller, help) = words_for(account.holder());
            Problem::new(
                ErrorCode::RateLimited,
                format!(
                    "This {caller} has reached its share: {} of {most} {what} {are}.",
                    account.has(kind),
                ),
            )
            .of_share(Share::of(kind, rooms, account))
            .hint(format!("send fewer at once; {help}"))
        }
    }
}

/// The error on a connection reserved for health checks.
pub(crate) fn no_connection() -> Problem {
    Problem::new(
        ErrorCode::Overloaded,
        "Connection limit reached; only health checks are answered.",
    )
    .hint("retry on a new connection")
}

/// The error when there is no memory for a request or response.
pub(crate) fn no_memory() -> Problem {
    let (_, help) = words_for(shares::holder());
    Problem::new(
        ErrorCode::Overloaded,
        "The memory limit for requests and responses of this caller is reached.",
    )
    .hint(format!(
        "read pending responses, request smaller ones, or use ?format=ndjson; {help}"
    ))
}

/// The error of an aborted request.
fn cut_off(pass: &Pass, cut: Cut) -> Problem {
    match cut {
        Cut::NoRoom(refused) => no_room(pass, Kind::Waiting, refused),
        Cut::TokenEnded => token_ended(),
    }
}

/// The error when a token ends before its request does.
pub(crate) fn token_ended() -> Problem {
    Problem::new(
        ErrorCode::Unauthenticated,
        "The token was revoked or expired during this request.",
    )
    .hint("retry with another token; check first whether the change took effect")
}

/// The word for a kind of caller, and a hint for when its share is used up.
fn words_for(holder: Holder) -> (&'static str, &'static str) {
    match holder {
        Holder::Address(_) => ("address", "requests with a token count towards that token"),
        Holder::Internal | Holder::Root | Holder::Token(_) => {
            ("token", "GET /v1/usage shows the limits")
        }
    }
}
