//! Rows that a worker sends while it reads them, on a connection of their own.
use super::link::Unanswered;
use super::remote::{LATE, Remote, broken, unanswered, unexpected};
use crate::clock::Deadline;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::pipe::{Inlet, NotTaken, pipe};
use crate::engine::sql::row_stream::StreamEnd;
use crate::engine::sql::{
    Call, Cancellation, Counters, QueryAnswer, QueryError, RowStream, Streamed,
};
use crate::engine::sqlite::remote::wire::line::Line;
use crate::engine::sqlite::remote::wire::messages::{Purpose, Said, Wanted};
use crate::engine::sqlite::remote::wire::values::with_bodies;
use crate::shares::{self, Held, Pass};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Asks for a stream, and waits for its first piece.
pub(super) async fn begin(
    remote: &Remote,
    guard: &SharedGuard,
    call: &Call,
    wanted: &Wanted<'_>,
    may_have_kept: bool,
) -> Result<Streamed, QueryError> {
    let lost = || unanswered(Unanswered::Lost, may_have_kept);
    let mut line = remote.line(Purpose::One, call.deadline).await?;
    let asked = async {
        line.say(1, wanted, &[]).await.map_err(|_| lost())?;
        line.hear().await.map_err(|_| lost())
    };
    let last = call.deadline.extended(LATE).instant();
    let frame = shares::running(tokio::time::timeout_at(last, asked)).await;
    let frame = frame.map_err(|_| QueryError::timeout(call.timeout))??;
    match frame.read().map_err(broken)? {
        Said::Rows => {}
        Said::Answers(answers) => {
            let mut answers = with_bodies(answers, frame.body.clone()).map_err(broken)?;
            return answers.pop().map(Streamed::Whole).ok_or_else(unexpected);
        }
        Said::Failed(failure) => return Err(failure.error),
        _ => return Err(unexpected()),
    }
    let (inlet, outlet, tap) = pipe();
    let cancellation = Arc::new(Cancellation::default());
    let given_up = Arc::new(Notify::new());
    let told = Arc::clone(&given_up);
    let tell: Arc<dyn Fn() + Send + Sync> = Arc::new(move || told.notify_one());
    cancellation.when_cancelled(Some(&tell));
    let pieces = Pieces {
        line,
        inlet,
        deadline: call.deadline,
        timed_out: QueryError::timeout(call.timeout),
        _guard: guard.clone(),
    };
    let pass = Pass::here();
    tokio::spawn(async move {
        tokio::select! {
            () = given_up.notified() => {}
            () = pieces.pass_on(pass) => {}
        }
    });
    RowStream::new(outlet, tap, cancellation).begun().await
}

/// What takes pieces from the worker to the client. The socket holds the worker back.
struct Pieces {
    line: Line,
    inlet: Inlet<StreamEnd>,
    deadline: Deadline,
    timed_out: QueryError,
    /// The files are not moved while they are read.
    _guard: SharedGuard,
}

impl Pieces {
    async fn pass_on(mut self, pass: Option<Pass>) {
        let last = self.deadline.extended(LATE).instant();
        let end = tokio::time::timeout_at(last, self.pass_on_pieces(pass)).await;
        match end {
            Ok(Some(Ok(end))) => self.inlet.end(Ok(end)),
            Ok(Some(Err(error))) => self.inlet.break_off(Err(error)),
            // Nothing reads any more.
            Ok(None) => {}
            Err(_) => self.inlet.break_off(Err(self.timed_out)),
        }
    }

    /// The end of the stream; `None` when nothing reads it.
    async fn pass_on_pieces(&mut self, pass: Option<Pass>) -> Option<StreamEnd> {
        loop {
            let Ok(frame) = self.line.hear().await else {
                return Some(Err(unanswered(Unanswered::Lost, false)));
            };
            match frame.read() {
                Ok(Said::Piece) => {
                    let piece = counted(pass.clone(), frame.body).await;
                    match self.inlet.put(piece, self.deadline).await {
                        Ok(()) => {}
                        Err(NotTaken::Late) => return Some(Err(self.timed_out.clone())),
                        Err(NotTaken::Unread) => return None,
                    }
                }
                Ok(Said::End) => return Some(Ok(nothing_more())),
                Ok(Said::Failed(failure)) => return Some(Err(failure.error)),
                Ok(_) => return Some(Err(unexpected())),
                Err(error) => return Some(Err(broken(error))),
            }
        }
    }
}

/// A piece that is counted among the bytes in memory until it was sent.
async fn counted(pass: Option<Pass>, piece: Bytes) -> Bytes {
    let Some(pass) = pass else {
        return piece;
    };
    let mut held = Held::of(pass);
    held.grow_in_time(piece.len()).await;
    held.with(piece)
}

/// What stands behind the last piece: nothing, since all rows are in pieces.
fn nothing_more() -> QueryAnswer {
    QueryAnswer {
        body: Bytes::new(),
        row_count: 0,
        rows_affected: 0,
        truncated: false,
        elapsed: Duration::ZERO,
        counters: Counters::default(),
        hidden: Vec::new(),
    }
}
