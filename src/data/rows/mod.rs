//! Rows without SQL: PostgREST's dialect on the tables of a database.
//!
//! `dialect/` reads what a request says, `build/` makes statements of it and of the schema, and
//! here they run as any client's do: nothing is a way around access lock, limits or scopes.
mod body;
mod build;
mod dialect;
mod error;
mod new_runs;
mod raw;
mod reading;
mod writing;

pub use self::body::{NewRows, RowChanges};
pub use self::build::{Conflict, NextPage};
pub use self::dialect::RowsQuery;
pub use self::error::RowsError;
pub use self::raw::{
    NewBytes, ValueBytes, ValueFacts, ValueKind, ValueName, WRITTEN_HERE_BYTES, read_value,
    value_facts, write_value,
};
pub use self::reading::{OneRowAnswer, RowsPage, RowsRead, read_one, read_page};
pub use self::writing::{RowsWritten, WriteAnswer, WriteForm, change, insert, remove};
