//! Rows that are sent while they are read.
use super::cancellation::Cancellation;
use super::error::QueryError;
use super::pipe::{Next, Outlet, Tap};
use super::query::QueryAnswer;
use bytes::Bytes;
use std::future::poll_fn;
use std::sync::Arc;

/// What a streamed statement answers with.
#[derive(Debug)]
pub enum Streamed {
    /// It was over before there was a first piece, or it was a write: the whole answer.
    Whole(QueryAnswer),
    /// Its rows, as they come.
    Rows(RowStream),
}

/// The body of an answer in pieces. Dropped before its end, it ends the statement.
#[derive(Debug)]
pub struct RowStream {
    first: Option<Bytes>,
    outlet: Outlet<StreamEnd>,
    tap: Tap<StreamEnd>,
    cancellation: Arc<Cancellation>,
    is_over: bool,
}

/// Ends a stream from outside.
#[derive(Debug)]
pub struct StreamStopper {
    cancellation: Arc<Cancellation>,
    tap: Tap<StreamEnd>,
}

/// The rest of a stream, or why there is none.
pub(crate) type StreamEnd = Result<QueryAnswer, QueryError>;

impl RowStream {
    /// What comes out of `outlet`, which `tap` closes. `cancellation` is cancelled with it.
    pub(crate) fn new(
        outlet: Outlet<StreamEnd>,
        tap: Tap<StreamEnd>,
        cancellation: Arc<Cancellation>,
    ) -> Self {
        Self {
            first: None,
            outlet,
            tap,
            cancellation,
            is_over: false,
        }
    }

    /// Waits for the first piece. What ends before it is a whole answer.
    pub(crate) async fn begun(mut self) -> Result<Streamed, QueryError> {
        match self.step().await {
            Next::Piece(first) => {
                self.first = Some(first);
                Ok(Streamed::Rows(self))
            }
            Next::End(end) => end.map(Streamed::Whole),
            Next::Lost => Err(lost()),
        }
    }

    /// Ends it from outside, also while it is not being read.
    #[must_use]
    pub fn stopper(&self) -> StreamStopper {
        StreamStopper {
            cancellation: Arc::clone(&self.cancellation),
            tap: self.tap.clone(),
        }
    }

    /// The next piece of the body; `None` behind the last.
    ///
    /// # Errors
    /// Why the stream ends here; nothing comes behind it.
    pub async fn next(&mut self) -> Option<Result<Bytes, QueryError>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        if self.is_over {
            return None;
        }
        let end = match self.step().await {
            Next::Piece(piece) => return Some(Ok(piece)),
            Next::End(end) => end,
            Next::Lost => Err(lost()),
        };
        self.is_over = true;
        end.map(|rest| rest.body)
            .map(|rest| (!rest.is_empty()).then_some(rest))
            .transpose()
    }

    async fn step(&self) -> Next<StreamEnd> {
        poll_fn(|context| self.outlet.poll_next(context)).await
    }
}

impl StreamStopper {
    /// Ends the statement, and tells its reader why. Pieces that were not read yet are dropped.
    pub fn stop(&self, error: QueryError) {
        self.cancellation.cancel();
        self.tap.break_off(Err(error));
    }
}

impl Drop for RowStream {
    fn drop(&mut self) {
        self.cancellation.cancel();
    }
}

fn lost() -> QueryError {
    QueryError::Broken {
        reason: "the thread of this stream ended".to_owned(),
    }
}
