//! Who may go on to a route: there is room, and the caller has not all of it.
//!
//! A request passes three places. While its body arrives it waits. Then it is worked on, in one of
//! the few places for that. Once it has to wait for something it gives that place up, and waits
//! until its answer is there: for a turn at a database, for the end of a job, for the next event.
//! Each caller has a share of both rooms.
pub(crate) mod request_body;
pub(crate) mod share;
pub(crate) mod token_ends;
pub(crate) mod usage;

use self::share::Share;
use crate::http::Gateway;
use crate::http::response::error::{ErrorCode, Problem};
use crate::shares::{self, Cut, Holder, Kind, Pass, Refused, scoped};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use std::net::IpAddr;
use std::pin::pin;

impl Gateway {
    /// Reads a request's body and does its work, when there is room for it; gives it up when it
    /// takes too long, has nowhere to wait, or its token is no longer accepted.
    ///
    /// # Errors
    /// When it is given up.
    pub(crate) async fn within_bounds<F: Future<Output = Response>>(
        &self,
        pass: Pass,
        request: Request,
        work: impl FnOnce(Request) -> F,
    ) -> Result<Response, Problem> {
        let leaving = Leaving(&pass);
        // Pinned before it is wrapped: each wrapper would copy its two kilobytes.
        let work = pin!(async {
            let (request, _held) = self.with_whole_body(request).await?;
            let begun = pass.begin_to_work();
            begun.map_err(|it| no_room(&pass, Kind::Working, it))?;
            Ok(work(request).await)
        });
        let limit = self.config.request_timeout;
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
                format!("The work did not end within {} s.", limit.as_secs_f64()),
            )
            .because("its time was over"))
        })
    }

    /// Whose share a request without a token is of: that of the address it comes from. Only what
    /// trusted proxies say of it is believed.
    pub(crate) fn source(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let forwarded = headers.get_all("x-forwarded-for").iter();
        // What is no text cannot be an address, either.
        let forwarded = forwarded.map(|it| it.to_str().unwrap_or_default());
        peer.map(|peer| self.config.trusted_proxies.client(peer, forwarded))
    }
}

/// A request that gives its place back however it ends.
struct Leaving<'p>(&'p Pass);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The answer when there is no place.
pub(crate) fn no_room(pass: &Pass, kind: Kind, refused: Refused) -> Problem {
    let (rooms, account) = (pass.rooms(), pass.account());
    let most = rooms.most(kind);
    let (are, what) = match kind {
        Kind::Working => ("are being worked on", "requests"),
        Kind::Waiting => ("wait", "requests"),
        Kind::Forwarded => ("are under way through proxies", "requests"),
        Kind::Streams => ("are open", "event streams"),
        Kind::Bytes => return no_memory(),
    };
    match refused {
        Refused::Full => Problem::new(
            ErrorCode::Overloaded,
            format!("{most} {what} {are}; that is as many as this gateway takes."),
        ),
        Refused::ShareTaken => {
            let (caller, help) = words_for(account.holder());
            Problem::new(
                ErrorCode::RateLimited,
                format!(
                    "{} {what} of this {caller} {are}; that is its share of {most}.",
                    account.has(kind),
                ),
            )
            .of_share(Share::of(kind, rooms, account))
            .hint(format!("send fewer at a time; {help}"))
        }
    }
}

/// The answer on a connection that is there for probes alone.
pub(crate) fn no_connection() -> Problem {
    Problem::new(
        ErrorCode::Overloaded,
        "Every connection that this gateway takes is busy; only probes are answered.",
    )
    .hint("come back with a new connection")
}

/// The answer when there is no memory for a body or an answer.
pub(crate) fn no_memory() -> Problem {
    let (_, help) = words_for(shares::holder());
    Problem::new(
        ErrorCode::Overloaded,
        "Requests, statements and answers in memory have taken all that there is for this caller.",
    )
    .hint(format!(
        "read the answers that were asked for, ask for smaller ones, or for ?format=ndjson; {help}"
    ))
}

/// The answer to a request that was not gone on with.
fn cut_off(pass: &Pass, cut: Cut) -> Problem {
    match cut {
        Cut::NoRoom(refused) => no_room(pass, Kind::Waiting, refused),
        Cut::TokenEnded => token_ended(),
    }
}

/// The answer when a token ends before its request does.
pub(crate) fn token_ended() -> Problem {
    Problem::new(
        ErrorCode::Unauthenticated,
        "The token was revoked or has expired while this request was under way.",
    )
    .hint("send it again with another token; look first whether a change was kept")
}

/// What a caller is called, and what helps it where it has its share.
fn words_for(holder: Holder) -> (&'static str, &'static str) {
    match holder {
        Holder::Address(_) => ("address", "a request with a token counts for its token"),
        Holder::Internal | Holder::Root | Holder::Token(_) => {
            ("token", "GET /v1/usage shows a token's share")
        }
    }
}
