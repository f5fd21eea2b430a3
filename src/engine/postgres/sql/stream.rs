//! Streams: results of any size, in pieces, as fast as the client reads them.
//!
//! Rows go out as they come. A client that does not read has the pipe filled, then the gateway does
//! not read the socket, and the server waits. The deadline covers the whole stream.
use super::error::Asked;
use super::executor::PostgresExecutor;
use super::pool::{Lease, Purpose, Role};
use super::session::Outlet;
use super::text::Nature;
use super::work::within;
use crate::clock::Deadline;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::executor::Call;
use crate::engine::sql::pipe::{Inlet, NotTaken, pipe};
use crate::engine::sql::row_stream::StreamEnd;
use crate::engine::sql::{Cancellation, Form, QueryError, RowStream, Statement, Streamed, Target};
use crate::shares::{self, Held, Pass};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// About how many bytes the first piece has: few, so that it is on its way at once.
const FIRST_PIECE_BYTES: usize = 4 << 10;

/// About how many bytes each other piece has.
const PIECE_BYTES: usize = 64 << 10;

/// Pieces in the pipe are no larger than this, whatever a row has.
const LARGEST_PIECE_BYTES: usize = 128 << 10;

impl PostgresExecutor {
    /// Streams the rows of a statement that only reads.
    pub(super) async fn read_rows(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        rows: &Form,
        statement: Statement,
    ) -> Result<Streamed, QueryError> {
        let pool = self.pool(guard, target)?;
        let role = Role::of(call.may_write);
        let leased = pool.lease(guard, role, Purpose::Stream, call.deadline);
        let lease = leased.await?;
        let (inlet, outlet, tap) = pipe();
        let cancellation = Arc::new(Cancellation::default());
        let stopped = CancellationToken::new();
        let stop = stopped.clone();
        let on_cancel: Arc<dyn Fn() + Send + Sync> = Arc::new(move || stop.cancel());
        cancellation.when_cancelled(Some(&on_cancel));
        let stream = RowStream::new(outlet, tap, cancellation);
        let pass = Pass::here();
        let reading = Reading {
            lease,
            call: *call,
            form: *rows,
            statement,
            inlet,
            stopped,
        };
        // Apart from the stream: one whose client has stalled or gone is not polled.
        let spawned = reading.run();
        let spawned = async move {
            match pass {
                Some(pass) => shares::scoped(pass, spawned).await,
                None => spawned.await,
            }
        };
        pool.spawn(spawned);
        stream.begun().await
    }
}

/// A stream on its way.
struct Reading {
    lease: Lease,
    call: Call,
    form: Form,
    statement: Statement,
    inlet: Inlet<StreamEnd>,
    /// Cancelled when the rest is no longer wanted.
    stopped: CancellationToken,
}

impl Reading {
    async fn run(mut self) {
        let nature = Nature::of(&self.statement.sql);
        let asked = Asked {
            timeout: self.call.timeout,
            may_write: self.call.may_write,
            begins_like_a_read: true,
            keeps_at_once: false,
        };
        self.lease.may_leave(nature.remains);
        let stopper = self.lease.stopper();
        let pool = Arc::clone(self.lease.pool());
        let ended = Pass::here().map(|pass| pass.account().ended().clone());
        let ended = ended.unwrap_or_default();
        let mut pieces = Pieces {
            inlet: &self.inlet,
            deadline: self.call.deadline,
            timeout: self.call.timeout,
            max_bytes: self.form.max_bytes,
            sent_bytes: 0,
        };
        let (session, types) = self.lease.session_and_types();
        let work = session.run(&self.statement, &nature, &self.form, types, &mut pieces);
        let end = tokio::select! {
            end = within(self.call.deadline, &pool, stopper, work) => {
                end.map_err(|failure| failure.for_caller(&asked))
            }
            // What it is in the middle of is stopped when its connection is let go.
            () = self.stopped.cancelled() => Err(QueryError::timeout(self.call.timeout)),
            () = ended.cancelled() => Err(QueryError::TokenEnded),
        };
        drop(self.lease);
        match end {
            Err(error @ (QueryError::Timeout { .. } | QueryError::TokenEnded)) => {
                self.inlet.break_off(Err(error));
            }
            end => self.inlet.end(end),
        }
    }
}

/// Sends an answer in pieces of whole rows, as far as rows are not huge.
struct Pieces<'r> {
    inlet: &'r Inlet<StreamEnd>,
    deadline: Deadline,
    timeout: Duration,
    max_bytes: usize,
    sent_bytes: usize,
}

impl Outlet for Pieces<'_> {
    async fn after_row(&mut self, out: &mut Vec<u8>) -> Result<(), QueryError> {
        let enough = match self.sent_bytes {
            0 => FIRST_PIECE_BYTES,
            _ => PIECE_BYTES,
        };
        let bytes = self.sent_bytes.saturating_add(out.len());
        if bytes > self.max_bytes {
            return Err(QueryError::ResultTooLarge {
                limit: format!("{} bytes", self.max_bytes),
            });
        }
        if out.len() < enough {
            return Ok(());
        }
        self.sent_bytes = bytes;
        let mut held = Held::default();
        held.grow_in_time(out.len()).await;
        let written = std::mem::replace(out, Vec::with_capacity(PIECE_BYTES));
        let mut written: Bytes = held.keep(written);
        while !written.is_empty() {
            let piece = written.split_to(written.len().min(LARGEST_PIECE_BYTES));
            let put = self.inlet.put(piece, self.deadline).await;
            put.map_err(|not_taken| match not_taken {
                NotTaken::Late => QueryError::timeout(self.timeout),
                NotTaken::Unread => QueryError::NotTakenInTime,
            })?;
        }
        Ok(())
    }

    fn held(&mut self) -> Held {
        Held::default() // each piece has its own
    }
}
