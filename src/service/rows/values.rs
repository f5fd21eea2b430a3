//! Single values as raw bytes.
use super::RowsRef;
use crate::data::rows::{self, NewBytes, ValueBytes, ValueFacts, ValueName, WRITTEN_HERE_BYTES};
use crate::data::uploads::Upload;
use crate::data::{QueryError, Target};
use crate::domain::token::Scope;
use crate::engine::sql::{ValueOrder, ValueWay, ValueWritten};
use crate::runtime::child::{ChildError, ChildFailureCode, ChildLimits, ChildOrder};
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::sql::{LivingRows, RunError};
use crate::shares::{FairLimiter, with_pass_of_here};
use crate::worker::Operation;
use bytes::Bytes;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Processes that write a value at once, and requests that wait for one.
static WRITERS: LazyLock<Arc<FairLimiter>> = LazyLock::new(|| FairLimiter::new(4, 64));

/// How long one may take: past it nothing is kept.
const TIME: Duration = Duration::from_secs(600);
/// Bytes of address space of one, besides those of the value; the allocator reserves one in
/// advance, of which little is used.
const MEMORY_BYTES: u64 = 2 << 30;
/// How often a value that is written whole is in memory: as a parameter, in its row, and where its
/// row is worked on.
const TIMES_IN_MEMORY: u64 = 5;
/// Bytes that its files may have beyond those of the database: the log of writes has every page,
/// and what is in it already.
const MORE_FILE_BYTES: u64 = 2 << 30;
/// Files that it has open: those of a database, and one more.
const OPEN_FILES: u64 = 64;

/// The value of a column.
#[derive(Debug, Clone, Copy)]
pub struct ValueRef<'r> {
    /// Of which row.
    pub row: RowsRef<'r>,
    /// The column.
    pub column: &'r str,
}

impl<'r> ValueRef<'r> {
    fn name(&self) -> ValueName<'r> {
        ValueName {
            table: self.row.table,
            key: self.row.key.unwrap_or_default(),
            column: self.column,
        }
    }
}

/// Bytes of a value on their way to a client.
pub enum ValueAnswer {
    /// They are there.
    Whole(Bytes),
    /// They come in pieces.
    Pieces(LivingRows),
}

impl Service {
    /// What is known of a value.
    ///
    /// # Errors
    /// When the caller may not, or there is no such database, table, column or row.
    pub async fn value_facts(
        self: &Arc<Self>,
        caller: &Caller,
        of: ValueRef<'_>,
    ) -> Result<ValueFacts, RunError> {
        caller.sql_access()?;
        let entered = self.enter(caller, of.row.database).await?;
        let (guard, target) = (&entered.guard, &entered.target);
        Ok(rows::value_facts(&self.data, guard, target, of.name()).await?)
    }

    /// Reads bytes of a value.
    ///
    /// # Errors
    /// As [`Self::value_facts`]; when the value has changed since.
    pub async fn read_value(
        self: &Arc<Self>,
        caller: &Caller,
        of: ValueRef<'_>,
        facts: &ValueFacts,
        part: (u64, u64),
    ) -> Result<ValueAnswer, RunError> {
        caller.sql_access()?;
        let entered = self.enter(caller, of.row.database).await?;
        let (guard, target) = (&entered.guard, &entered.target);
        let read = rows::read_value(&self.data, guard, target, of.name(), facts, part).await?;
        Ok(match read {
            ValueBytes::Whole(bytes) => ValueAnswer::Whole(bytes),
            ValueBytes::Pieces(pieces) => {
                ValueAnswer::Pieces(self.end_with_database(guard.database(), pieces))
            }
        })
    }

    /// Gives a value the bytes of an upload, which is removed then. Needs the scope `write`. Once it
    /// has begun it goes on to its end, whether its caller waits for it or not.
    ///
    /// # Errors
    /// As [`Self::value_facts`]; when the value has none of the marks.
    pub async fn write_value(
        self: &Arc<Self>,
        caller: &Caller,
        of: ValueRef<'_>,
        upload: Arc<Upload>,
        (is_text, if_match): (bool, Vec<String>),
    ) -> Result<(), RunError> {
        caller.require(Scope::Write)?;
        let service = Arc::clone(self);
        let caller = caller.clone();
        let database = of.row.database.to_owned();
        let name = of.name();
        let (table, key) = (name.table.to_owned(), name.key.to_owned());
        let column = name.column.to_owned();
        let writing = with_pass_of_here(async move {
            let name = ValueName {
                table: &table,
                key: &key,
                column: &column,
            };
            let file = service.data.uploads().file(upload.id);
            let new = NewBytes {
                file: &file,
                size: upload.bytes,
                is_text,
                if_match,
            };
            let written = service.write_file(&caller, &database, name, new).await;
            let uploads = service.data.uploads().clone();
            let removed = tokio::task::spawn_blocking(move || uploads.remove(upload.id)).await;
            if let Ok(Err(error)) = removed {
                tracing::warn!(%error, "failed to remove an upload");
            }
            written
        });
        let ended = tokio::spawn(writing).await;
        ended.map_err(|error| QueryError::Broken {
            reason: error.to_string(),
        })?
    }

    async fn write_file(
        self: &Arc<Self>,
        caller: &Caller,
        database: &str,
        name: ValueName<'_>,
        new: NewBytes<'_>,
    ) -> Result<(), RunError> {
        let _place = match new.size > WRITTEN_HERE_BYTES {
            true => Some(WRITERS.take().await.map_err(|_| QueryError::Overloaded {
                what: "writing a long value",
            })?),
            false => None,
        };
        let entered = self.enter(caller, database).await?;
        let (guard, target) = (&entered.guard, &entered.target);
        let perform = |order| self.write_in_child(target, order);
        let written = rows::write_value(&self.data, guard, target, name, new, perform);
        Ok(written.await?)
    }

    async fn write_in_child(
        &self,
        target: &Target,
        order: ValueOrder,
    ) -> Result<ValueWritten, QueryError> {
        let in_memory = match order.way {
            ValueWay::Room { .. } => 0,
            ValueWay::Blob | ValueWay::Text => order.size * TIMES_IN_MEMORY,
        };
        let order = ChildOrder {
            limits: ChildLimits {
                memory_bytes: MEMORY_BYTES + in_memory,
                cpu_seconds: TIME.as_secs(),
                file_bytes: order
                    .size_bytes
                    .saturating_mul(2)
                    .saturating_add(MORE_FILE_BYTES),
                open_files: OPEN_FILES,
            },
            folder: order.folder.clone(),
            operation: Operation::WriteValue {
                engine: target.engine.to_owned(),
                order,
            },
        };
        let written = self
            .children
            .run(&order, tokio::time::sleep(TIME), |_| {})
            .await;
        written.map_err(|error| match error {
            ChildError::Stopped => QueryError::timeout(TIME),
            ChildError::Failed(failure) => match failure.code {
                ChildFailureCode::QuotaExceeded => QueryError::QuotaExceeded,
                ChildFailureCode::OutOfMemory => QueryError::Overloaded {
                    what: "memory for a value of this size",
                },
                _ => QueryError::Broken {
                    reason: failure.detail,
                },
            },
            ChildError::Died { .. } => QueryError::Unavailable {
                reason: "the process that wrote the value was killed; look whether the value is \
                         there, and send it again",
            },
            ChildError::NotRun(error) => QueryError::Broken {
                reason: error.to_string(),
            },
        })
    }
}
