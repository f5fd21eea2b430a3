//! One line for each request, where `DBFORGE_ACCESS_LOG` is on.
use crate::clock::{Milliseconds, Stopwatch};
use crate::domain::ids::RequestId;
use crate::telemetry::ACCESS;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

/// What is shown as the status of a request whose client went away before it was answered: nginx's.
const ABANDONED: u16 = 499;

/// Where the name of a request's token is put once it is known.
#[derive(Debug, Clone, Default)]
pub(super) struct TokenName(Arc<OnceLock<String>>);

impl TokenName {
    pub(super) fn tell(&self, name: String) {
        // A request has one token.
        let _ = self.0.set(name);
    }
}

/// The line of a request. It is written when this is dropped: when the answer was sent, or when
/// the client has gone.
#[derive(Debug)]
pub(super) struct AccessLine {
    since: Stopwatch,
    request: RequestId,
    method: Method,
    /// As it was sent, without its query: that may hold a token.
    path: String,
    client: Option<IpAddr>,
    database: Option<String>,
    token: TokenName,
    status: Option<u16>,
    bytes: u64,
    is_sent: bool,
}

impl AccessLine {
    /// Begins the line of a request, which is given the place for its token's name.
    pub(super) fn begin(
        request: &mut Request,
        since: Stopwatch,
        id: RequestId,
        client: Option<IpAddr>,
        database: Option<String>,
    ) -> Box<Self> {
        let token = TokenName::default();
        request.extensions_mut().insert(token.clone());
        Box::new(Self {
            since,
            request: id,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            client,
            database,
            token,
            status: None,
            bytes: 0,
            is_sent: false,
        })
    }

    /// Follows the answer until it is sent.
    pub(super) fn follow(mut self: Box<Self>, response: Response) -> Response {
        self.status = Some(response.status().as_u16());
        response.map(|body| Body::new(Followed { body, line: self }))
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        let status = self.status.unwrap_or(ABANDONED);
        tracing::info!(
            target: ACCESS,
            {
            http.method = %self.method,
            http.path = self.path,
            http.status = status,
            bytes = self.bytes,
            duration_ms = Milliseconds(self.since.elapsed()).number(),
            database.name = self.database,
            token.name = self.token.0.get(),
            client.address = self.client.map(tracing::field::display),
            request.id = %self.request,
            abandoned = !self.is_sent
            },
            "request"
        );
    }
}

/// A body that is counted as it is sent.
struct Followed {
    body: Body,
    line: Box<AccessLine>,
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(task));
        match &frame {
            Some(Ok(frame)) => {
                self.line.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Some(Err(_)) => {}
            None => self.line.is_sent = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        // The last piece of a body whose length is known is not asked for what comes behind it.
        self.line.is_sent |= self.body.is_end_stream();
    }
}
