//! What is asked of databases in SQL, and what comes back, whichever engine answers.
pub mod cancellation;
pub mod changes;
pub mod error;
pub mod executor;
pub mod form;
pub mod params;
pub mod pipe;
pub mod query;
pub(crate) mod redacted;
pub mod row_stream;
pub mod schema;
pub mod statistics;
pub mod transaction;
mod values;

pub use cancellation::Cancellation;
pub use changes::{
    Alteration, AppliedMigration, CheckDefinition, ColumnChange, ColumnDefinition,
    ForeignKeyDefinition, IndexDefinition, IndexPart, IndexedThing, MIGRATIONS_TABLE, MigrateError,
    Migrated, NewMigration, TableChange, TableChanged, TableCommand, TableDefinition, TableError,
    Violation, compare_migration_names, part_to_apply,
};
pub(crate) use error::at;
pub use error::{BatchError, QueryError, ScriptError, ServerRefusal};
pub(crate) use error::{HINT_OF_LONG_VALUES, VALUE_TOO_LONG};
pub use executor::{Call, ExecutorHealth, SqlExecutor, SqlTransaction};
pub(crate) use form::written;
pub use form::{BareColumns, Form, Format, Int64Form, Shape, object_template};
pub use params::{
    Excess, KeyedRows, ListBuilder, ListFault, MAX_LIST_VALUES, MAX_PARAMETER_ROWS, MAX_PARAMETERS,
    MAX_RUNS, Param, ParamRef, Params, ParamsList, Run,
};
pub use query::{
    Access, BatchMode, BatchStatement, Counters, InsertTarget, Keep, QueryAnswer, QueryOptions,
    QueryRequest, Statement, Target,
};
pub use row_stream::{RowStream, StreamStopper, Streamed};
pub use schema::{
    Affinity, Column, ForeignKey, Generated, INTERNAL_TABLES, Index, IndexColumn, IndexOrigin,
    Schema, SqlDialect, Table, TableKind, Trigger, nearest, quoted,
};
pub use statistics::{
    DatabaseUse, EndedStatement, NameOf, SqlStatistics, StatementCounter, StatementKind,
    StatementOutcome,
};
pub use transaction::{
    BegunTransaction, NewTransaction, TransactionBatchError, TransactionEnd, TransactionError,
    TransactionKey, TransactionMode, TransactionPlace,
};
pub use values::{ValueOrder, ValuePart, ValuePlace, ValueWay, ValueWritten};
