//! Answers what is in a database.
use super::cache::Moment;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::{Call, QueryError, Schema, Target};
use crate::engine::sqlite::ExecutionLimits;
use crate::engine::sqlite::executor::SqliteExecutor;
use crate::engine::sqlite::open::open_database::OpenDatabase;
use crate::engine::sqlite::threads::on_thread::limits_of;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl SqliteExecutor {
    /// The schema as it is committed now.
    ///
    /// # Errors
    /// As for a statement; [`QueryError::PayloadTooLarge`] when it is too large to be told.
    pub async fn schema(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
    ) -> Result<Arc<Schema>, QueryError> {
        let open = self.open_behind(guard, target)?;
        let look_every = self.config.look_every;
        if let Some(schema) = open.schema.fresh(now(&open), look_every) {
            return Ok(schema);
        }
        if let Some(schema) = self.schema_seen_here(&open, call) {
            return Ok(schema);
        }
        // In a box: calls that find the schema unchanged need no room for this future.
        Box::pin(self.schema_on_thread(guard, open, call)).await
    }

    /// Looks on this thread whether it has changed: a page in memory tells.
    fn schema_seen_here(&self, open: &Arc<OpenDatabase>, call: &Call) -> Option<Arc<Schema>> {
        let mut reader = open.resting_reader()?;
        reader.set_limits(ExecutionLimits {
            deadline: call.deadline,
            cancellation: None,
            slice: None,
            may_wait: false,
        });
        let unchanged = open.schema.unchanged(now(open), &mut reader);
        reader.clear_limits();
        open.rest(reader);
        unchanged.ok().flatten()
    }

    async fn schema_on_thread(
        &self,
        guard: &SharedGuard,
        open: Arc<OpenDatabase>,
        call: &Call,
    ) -> Result<Arc<Schema>, QueryError> {
        let turn = open.turn(call.deadline).await?;
        let (reads, guard, call_of_it) = (Arc::clone(&open), guard.clone(), *call);
        let read = self.on_thread(&open.breaker, call, move |cancellation| {
            let read = || {
                let mut reader = reads.reader()?;
                reader.set_limits(limits_of(&call_of_it, cancellation));
                let now = now(&reads);
                let schema = match reads.schema.unchanged(now, &mut reader) {
                    // Another one that waited has read it.
                    Ok(Some(schema)) => Ok(schema),
                    Ok(None) => reads.schema.read(now, &mut reader),
                    Err(error) => Err(error),
                };
                reader.clear_limits();
                reads.rest(reader);
                schema
            };
            let result = read();
            drop(reads);
            drop(guard); // last, after all handles
            drop(turn);
            result
        });
        read.await?.map_err(|error| error.for_caller(call.timeout))
    }
}

fn now(open: &OpenDatabase) -> Moment {
    Moment {
        commits: open.commits.load(Ordering::Acquire),
        micros: open.micros(),
    }
}
