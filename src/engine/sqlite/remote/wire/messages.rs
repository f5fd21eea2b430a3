//! The requests of a gateway and the replies of a worker.
use super::values::{SaidAnswer, SaidStatement};
use crate::clock::Deadline;
use crate::domain::database::{Durability, Isolation};
use crate::domain::ids::DatabaseId;
use crate::engine::sql::{
    BatchError, BatchMode, Call, Form, Format, Int64Form, Keep, MigrateError, Migrated,
    NewMigration, QueryError, Shape, Table, TableChanged, TableCommand, TableError, Target,
    TransactionBatchError, TransactionEnd, TransactionError, TransactionMode, ValuePart,
};
use crate::engine::sqlite::Sqlite;
use crate::shares::Holder;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the worker may take to begin with what no client waits for.
const OUTSIDE_OF_CALLS: Duration = Duration::from_secs(2);

/// The first thing that is said on a connection.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::engine::sqlite::remote) struct Hello {
    /// [`super::VERSION`].
    pub(in crate::engine::sqlite::remote) version: u16,
    /// Which database is meant.
    pub(in crate::engine::sqlite::remote) database: DatabaseId,
    /// What the connection is for.
    pub(in crate::engine::sqlite::remote) purpose: Purpose,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine::sqlite::remote) enum Purpose {
    /// Many requests, each with a number.
    Requests,
    /// One stream, transaction or snapshot, with which it ends.
    One,
    /// To see whether the worker answers, whichever database it serves.
    Health,
}

/// What holds for a request, whatever it asks.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::engine::sqlite::remote) struct Heading {
    /// Whose share it takes.
    holder: Holder,
    durability: Durability,
    size_bytes: u64,
    /// What is left of its time: clocks of two processes need not agree.
    left: Duration,
    timeout: Duration,
    form: Form,
    may_write: bool,
    yields_to_writes: bool,
    keep: Keep,
}

/// What a gateway wants.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::engine::sqlite::remote) enum Wanted<'s> {
    Query(Heading, #[serde(borrow)] SaidStatement<'s>),
    Batch(Heading, BatchMode, #[serde(borrow)] Vec<SaidStatement<'s>>),
    /// The schema, unless it is the one of this number.
    Schema(Heading, u64),
    Migrate(Heading, NewMigration),
    ChangeTable(Heading, TableCommand),
    SuggestIndexes(Heading, &'s str),
    Stream(Heading, Form, #[serde(borrow)] SaidStatement<'s>),
    ReadValue(Heading, ValuePart),
    Begin(Heading, TransactionMode),
    /// In the transaction of the connection; whether its statements are kept together.
    Run(Heading, bool, #[serde(borrow)] Vec<SaidStatement<'s>>),
    Commit,
    RollBack(Duration),
    /// Another process reads the database for long.
    HoldSnapshot(Heading),
    /// The request of the frame's number is not waited for any more.
    Cancel,
    /// Close the database's files, within this time.
    Close(Duration),
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::engine::sqlite::remote) enum Said<'s> {
    /// The answer to a hello.
    Ready,
    /// It speaks another version, or serves another database.
    NotThis {
        version: u16,
    },
    Answers(#[serde(borrow)] Vec<SaidAnswer<'s>>),
    Failed(BatchError),
    /// The schema under a number of the worker's; no tables where it is the known one.
    Schema(u64, Option<Vec<Table>>),
    Migrated(Result<Migrated, MigrateError>),
    TableChanged(Result<TableChanged, TableError>),
    Suggested(Vec<String>),
    Done,
    /// Rows are coming: the connection is the stream's.
    Rows,
    /// The frame's body is a piece of them.
    Piece,
    /// Behind the last piece.
    End,
    Begun,
    Ran {
        #[serde(borrow)]
        answers: Result<Vec<SaidAnswer<'s>>, TransactionBatchError>,
        ended: Option<TransactionEnd>,
    },
    Over {
        result: Result<(), TransactionError>,
        ended: Option<TransactionEnd>,
    },
    /// The transaction ended by itself.
    Ended(TransactionEnd),
    /// So much was written since the snapshot that it has to end.
    TooOld,
    /// The worker ends since a statement does not: what is not answered was not kept.
    Farewell,
}

impl Heading {
    pub(in crate::engine::sqlite::remote) fn of(
        holder: Holder,
        target: &Target,
        call: &Call,
    ) -> Self {
        Self {
            holder,
            durability: target.durability,
            size_bytes: target.size_bytes,
            left: call.deadline.remaining(),
            timeout: call.timeout,
            form: call.form,
            may_write: call.may_write,
            yields_to_writes: call.yields_to_writes,
            keep: call.keep,
        }
    }

    /// For what is no request of a client's.
    pub(in crate::engine::sqlite::remote) fn outside_of_calls(target: &Target) -> Self {
        let form = Form {
            format: Format::default(),
            shape: Shape::default(),
            int64: Int64Form::default(),
            max_rows: 0,
            may_truncate: false,
            max_bytes: 0,
            escapes_formulas: false,
        };
        let call = Call {
            deadline: Deadline::after(OUTSIDE_OF_CALLS),
            timeout: OUTSIDE_OF_CALLS,
            form,
            may_write: false,
            yields_to_writes: false,
            keep: Keep::default(),
        };
        Self::of(Holder::Internal, target, &call)
    }

    pub(in crate::engine::sqlite::remote) fn holder(&self) -> Holder {
        self.holder
    }

    pub(in crate::engine::sqlite::remote) fn target(&self, database: DatabaseId) -> Target {
        Target {
            database,
            engine: Sqlite::NAME,
            isolation: Isolation::Worker,
            durability: self.durability,
            size_bytes: self.size_bytes,
        }
    }

    pub(in crate::engine::sqlite::remote) fn call(&self) -> Call {
        Call {
            deadline: Deadline::after(self.left),
            timeout: self.timeout,
            form: self.form,
            may_write: self.may_write,
            yields_to_writes: self.yields_to_writes,
            keep: self.keep,
        }
    }
}

/// A failure that no statement is to blame for, or the first.
pub(in crate::engine::sqlite::remote) fn failed(error: QueryError) -> Said<'static> {
    Said::Failed(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_as_they_were_said() {
        let timeout = QueryError::Timeout { timeout_ms: 7 };
        let broken = QueryError::Broken {
            reason: "seen".to_owned(),
        };
        let in_row = QueryError::InRow {
            index: 3,
            error: Box::new(QueryError::ReadOnly),
        };
        let overloaded = QueryError::Overloaded { what: "a thread" };
        for error in [timeout, broken, in_row, overloaded, QueryError::TokenEnded] {
            let bytes = postcard::to_stdvec(&error).unwrap();
            assert_eq!(postcard::from_bytes::<QueryError>(&bytes), Ok(error));
        }
        let row = |error| QueryError::InRow {
            index: 0,
            error: Box::new(error),
        };
        let bytes = postcard::to_stdvec(&row(row(QueryError::ReadOnly))).unwrap();
        let nested = postcard::from_bytes::<QueryError>(&bytes);
        assert!(nested.is_err(), "rows do not lie in each other");
        let after = postcard::to_stdvec(&row(QueryError::ReadOnly)).unwrap();
        assert!(postcard::from_bytes::<QueryError>(&after).is_ok());
    }
}
