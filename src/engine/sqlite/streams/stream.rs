//! Streams: results of any size, in pieces, as fast as the client reads them.
//!
//! A statement that is being read keeps its connection, and with it a thread: SQLite cannot be put
//! aside half-way. So each stream has a thread of its own, from a number of threads that is apart
//! from those of other statements: streams that stall starve streams alone, and those only until
//! their deadlines. The deadline covers the whole stream, waiting for its reader included.
use crate::clock::Deadline;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::Call;
use crate::engine::sql::pipe::{Inlet, NotTaken, pipe};
use crate::engine::sql::row_stream::StreamEnd;
use crate::engine::sql::{Cancellation, Form, Params, Statement, ValuePart};
use crate::engine::sql::{QueryAnswer, QueryError, RowStream, Streamed, Target};
use crate::engine::sqlite::executor::SqliteExecutor;
use crate::engine::sqlite::open::open_database::OpenDatabase;
use crate::engine::sqlite::readers::snapshot::CountedSnapshot;
use crate::engine::sqlite::statement::first_word::begins_like_a_write;
use crate::engine::sqlite::{Answer, ExecutionLimits, SqlError};
use crate::shares;
use crate::shares::{Held, Pass};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Pieces in the pipe are no larger than this, whatever a row has.
const LARGEST_PIECE_BYTES: usize = 128 << 10;

/// How often a read that yields to writes looks whether it has to.
const LOOK_AT_WAL: Duration = Duration::from_millis(100);

impl SqliteExecutor {
    /// Runs one statement like [`Self::query`], but streams the rows of one that only reads,
    /// written as `rows` says.
    ///
    /// # Errors
    /// Before the first piece, as [`Self::query`]; also when there are too many streams.
    pub async fn stream(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        rows: &Form,
        statement: Statement,
    ) -> Result<Streamed, QueryError> {
        // With rows of parameters it is answered whole: its runs see one moment together.
        let is_list = matches!(statement.params, Params::List(_));
        if !is_list && !begins_like_a_write(&statement.sql) {
            let reading = Call {
                form: *rows,
                ..*call
            };
            let read = self.read_rows(guard, target, reading, Reading::Rows(statement.clone()));
            match read.await {
                Err(QueryError::ReadOnly) if call.may_write => {}
                other => return other,
            }
        }
        let whole = self.query(guard, target, call, statement).await;
        whole.map(Streamed::Whole)
    }

    /// Reads bytes of a value, in pieces.
    ///
    /// # Errors
    /// As [`Self::stream`].
    pub async fn read_value(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        part: ValuePart,
    ) -> Result<Streamed, QueryError> {
        self.read_rows(guard, target, *call, Reading::Value(part))
            .await
    }

    async fn read_rows(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: Call,
        reading: Reading,
    ) -> Result<Streamed, QueryError> {
        let open = self.open_behind(guard, target)?;
        // A request that comes while others stall is refused soon.
        let patience = Deadline::after(self.config.stream_patience).min(call.deadline);
        let turn = open.streams.take(patience).await?;
        let slot = self.stream_threads.take(&open.breaker, patience).await;
        let slot = slot.ok_or(QueryError::Overloaded {
            what: "a thread for streams",
        })?;
        let counted = call
            .yields_to_writes
            .then(|| Arc::new(CountedSnapshot::of(&open)));
        let watched = counted.clone();
        let (inlet, outlet, tap) = pipe();
        let cancellation = Arc::new(Cancellation::default());
        let rows = RowStream::new(outlet, tap.clone(), Arc::clone(&cancellation));
        let pass = Pass::here();
        let ended = pass.as_ref().map(|it| it.account().ended().clone());
        let ended = ended.unwrap_or_default();
        let read = RowsOnThread {
            open,
            guard: guard.clone(),
            reading,
            call,
            cancellation: Arc::clone(&cancellation),
        };
        let in_use = slot.occupy();
        let thread = tokio::task::spawn_blocking(move || {
            in_use.begins();
            let result = shares::on_thread(pass, || read.run(&inlet));
            drop(counted);
            drop(turn);
            drop(in_use);
            match result {
                Err(SqlError::Timeout) => inlet.break_off(Err(QueryError::timeout(call.timeout))),
                result => {
                    let end = result.map(QueryAnswer::from);
                    inlet.end(end.map_err(|error| error.for_caller(call.timeout)));
                }
            }
        });
        let deadline = call.deadline.instant();
        let last = call.deadline.extended(self.config.stuck_grace).instant();
        // Apart from the stream: a stream whose client has stalled or gone is not polled.
        tokio::spawn(async move {
            let mut thread = thread;
            let in_time = async |thread: &mut JoinHandle<()>| {
                if tokio::time::timeout_at(deadline, &mut *thread)
                    .await
                    .is_ok()
                {
                    return None;
                }
                let overdue = slot.overdue();
                let is_back = tokio::time::timeout_at(last, thread).await.is_ok();
                (!is_back).then_some(overdue)
            };
            let late = tokio::select! {
                late = in_time(&mut thread) => late,
                () = ended.cancelled() => {
                    cancellation.cancel();
                    tap.break_off(Err(QueryError::TokenEnded));
                    in_time(&mut thread).await
                }
                () = has_to_yield(watched) => {
                    cancellation.cancel();
                    tap.break_off(Err(QueryError::YieldedToWrites));
                    in_time(&mut thread).await
                }
            };
            if let Some(mut overdue) = late {
                cancellation.cancel();
                overdue.look();
                tap.break_off(Err(QueryError::timeout(call.timeout)));
                overdue.watch().await;
            }
        });
        rows.begun().await
    }
}

/// Comes back when a snapshot has kept the WAL from being truncated for too long.
async fn has_to_yield(counted: Option<Arc<CountedSnapshot>>) {
    let Some(counted) = counted else {
        return std::future::pending().await;
    };
    while !counted.has_to_end() {
        tokio::time::sleep(LOOK_AT_WAL).await;
    }
}

/// A piece, once there is room for it. Blocks.
fn keep_in_time(
    piece: Vec<u8>,
    deadline: Deadline,
    cancellation: &Cancellation,
) -> Result<Bytes, SqlError> {
    let mut held = Held::default();
    while held.grow(piece.len()).is_err() {
        if cancellation.is_cancelled() {
            return Err(SqlError::Cancelled);
        }
        if deadline.has_passed() {
            return Err(SqlError::Timeout);
        }
        std::thread::sleep(shares::LOOK);
    }
    Ok(held.keep(piece))
}

/// What a stream reads.
enum Reading {
    Rows(Statement),
    Value(ValuePart),
}

/// A stream on its way to a thread.
struct RowsOnThread {
    open: Arc<OpenDatabase>,
    guard: SharedGuard,
    reading: Reading,
    call: Call,
    cancellation: Arc<Cancellation>,
}

impl RowsOnThread {
    fn run(self, inlet: &Inlet<StreamEnd>) -> Result<Answer, SqlError> {
        let deadline = self.call.deadline;
        let mut reader = self.open.reader()?;
        reader.set_limits(ExecutionLimits {
            deadline,
            cancellation: Some(Arc::clone(&self.cancellation)),
            slice: None,
            may_wait: true,
        });
        let send = |written: Vec<u8>| {
            let mut written = keep_in_time(written, deadline, &self.cancellation)?;
            while !written.is_empty() {
                let piece = written.split_to(written.len().min(LARGEST_PIECE_BYTES));
                inlet.push(piece, deadline).map_err(|it| match it {
                    NotTaken::Late => SqlError::Timeout,
                    NotTaken::Unread => SqlError::Cancelled,
                })?;
            }
            Ok(())
        };
        let result = match &self.reading {
            Reading::Rows(statement) => reader.stream(statement, &self.call.form, send),
            Reading::Value(part) => reader.send_value(part, send),
        };
        reader.clear_limits();
        self.open.rest(reader);
        drop(self.open);
        drop(self.guard); // last, after all handles
        result
    }
}
