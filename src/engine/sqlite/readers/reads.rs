//! Reads: here, when they are known to be short; else on a thread of their own.
//!
//! Handing a point read to a thread costs more than the read itself. So a statement that was short
//! on a thread runs where its request is served, under a slice of a millisecond; one that runs out
//! of it is cut and starts over on a thread, which a read survives.
//!
//! That it was short does not protect other requests: the same text may be long with other
//! parameters, and the client chooses both. What protects others is its program, which is bounded
//! in every way but time (`Bounds`), so that the slice cuts it wherever it is; and a database whose
//! statement was cut does without this class for a while, so that texts made for being cut take
//! little of the thread's time.
use super::latency_class::LatencyClass;
use super::shared_read::SharedRead;
use crate::clock::WorkTime;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::Call;
use crate::engine::sql::{Cancellation, Statement};
use crate::engine::sql::{QueryAnswer, QueryError};
use crate::engine::sqlite::executor::SqliteExecutor;
use crate::engine::sqlite::open::open_database::OpenDatabase;
use crate::engine::sqlite::threads::on_thread::limits_of;
use crate::engine::sqlite::{Answer, Bounds, ExecutionLimits, Slice, SqlError, SqliteConnection};
use std::sync::Arc;
use std::time::Duration;

/// Most parameters of a statement that runs here; to give it more takes time of its own.
const MOST_PARAMETERS: usize = 500;

/// After a statement was cut, its database has reads on threads only, for as long as this many
/// slices.
const SLICES_WITHOUT: u32 = 50;

impl SqliteExecutor {
    /// Runs a statement on a reader. [`QueryError::ReadOnly`] when it is no read.
    pub(crate) async fn read(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
        statement: &Statement,
    ) -> Result<QueryAnswer, QueryError> {
        if let Some(LatencyClass::Fast(bounds)) = open.classifier.of(&statement.sql)
            && let Some(done) = self.read_here(bounds, guard, open, call, statement)
        {
            return done;
        }
        // In a box: short reads and writes would carry the room for its state along.
        Box::pin(self.read_on_thread(guard, open, call, statement)).await
    }

    /// Runs a short read on this thread. `None` when it has to run elsewhere.
    fn read_here(
        &self,
        bounds: Bounds,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
        statement: &Statement,
    ) -> Option<Result<QueryAnswer, QueryError>> {
        if statement.params.len() > MOST_PARAMETERS || open.is_without_fast_class() {
            return None;
        }
        let mut reader = SharedRead::take(open, guard)?;
        if reader.wants_large_cache() {
            self.give_large_cache(&mut reader);
        }
        let most = self.config.inline_slice;
        let sqlite = reader.sqlite();
        sqlite.set_limits(ExecutionLimits {
            deadline: call.deadline,
            cancellation: None,
            slice: Some(if bounds.sorts() {
                Slice::of(most / 4)
            } else {
                Slice::of_work(most)
            }),
            may_wait: false,
        });
        let result = sqlite.run_within(bounds, statement, &call.form);
        sqlite.clear_limits();
        match result {
            Ok(answer) => {
                reader.keep();
                Some(finished(Ok(answer), call))
            }
            // A value that is too long for here, a lock, whatever it is: a read can be run again.
            Err(error) => {
                if error == SqlError::SliceOver {
                    open.suspend_fast_class(most * SLICES_WITHOUT);
                }
                let epoch = open.classifier.epoch();
                open.classifier
                    .learn(epoch, &statement.sql, Some(LatencyClass::Slow));
                // Its pages go back to the system.
                tokio::task::spawn_blocking(move || drop(reader));
                None
            }
        }
    }

    /// Gives a busy reader a large page cache, or takes one back for the next time.
    fn give_large_cache(&self, reader: &mut SharedRead) {
        if let Some(large_cache) = self.open.large_cache() {
            reader.widen(large_cache);
        } else if let Some(closing) = self.open.take_unused_large_reader() {
            tokio::task::spawn_blocking(move || drop(closing));
        }
    }

    async fn read_on_thread(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
        statement: &Statement,
    ) -> Result<QueryAnswer, QueryError> {
        let turn = open.turn(call.deadline).await?;
        let read = ReadOnThread {
            open: Arc::clone(open),
            guard: guard.clone(),
            statement: statement.clone(),
            call: *call,
            inline_after: self.config.inline_after,
            inline_slice: self.config.inline_slice,
        };
        let result = self.on_thread(&open.breaker, call, move |cancellation| {
            let result = read.run(cancellation);
            drop(turn); // the next reader may go on
            result
        });
        finished(result.await?, call)
    }
}

pub(crate) fn finished(
    result: Result<Answer, SqlError>,
    call: &Call,
) -> Result<QueryAnswer, QueryError> {
    result
        .map(Into::into)
        .map_err(|error| error.for_caller(call.timeout))
}

/// A read on its way to a thread.
struct ReadOnThread {
    open: Arc<OpenDatabase>,
    guard: SharedGuard,
    statement: Statement,
    call: Call,
    inline_after: Duration,
    inline_slice: Duration,
}

impl ReadOnThread {
    fn run(self, cancellation: Arc<Cancellation>) -> Result<Answer, SqlError> {
        let mut reader = self.open.reader()?;
        let epoch = self.open.classifier.epoch();
        reader.set_limits(limits_of(&self.call, cancellation));
        let work = WorkTime::start();
        let result = reader.run(&self.statement, &self.call.form);
        let worked = work.elapsed();
        reader.clear_limits();
        if let Ok(answer) = &result {
            // Busy processors make it wait, and say nothing about it; a disk does.
            let is_short = worked <= self.inline_after && answer.elapsed <= self.inline_slice;
            let (classifier, sql) = (&self.open.classifier, &self.statement.sql);
            let class = match classifier.of(sql) {
                _ if !is_short => LatencyClass::Slow,
                // A text that comes once is not worth a look.
                None | Some(LatencyClass::Slow | LatencyClass::Proven) => LatencyClass::Short,
                Some(LatencyClass::Short) => self.class_of_program(&reader),
                Some(known @ (LatencyClass::Fast(_) | LatencyClass::Unbounded)) => known,
            };
            classifier.learn(epoch, sql, Some(class));
        }
        self.open.rest(reader);
        drop(self.open);
        drop(self.guard); // last, after all handles
        result
    }

    /// Where a read that was short belongs by its program. A thread that has not prepared it
    /// yet has to, which takes as long as it takes to have it explained.
    fn class_of_program(&self, reader: &SqliteConnection) -> LatencyClass {
        let work = WorkTime::start();
        let bounds = reader.bounds_of(&self.statement.sql);
        match bounds {
            Some(bounds) if work.elapsed() <= self.inline_slice => LatencyClass::Fast(bounds),
            _ => LatencyClass::Unbounded,
        }
    }
}
