//! Imports of rows into one table.
//!
//! A thread reads the file and makes batches of rows; each batch is one turn of the writer, so that
//! others have theirs in between. Rows of an import that is kept whole or not at all wait in a table
//! beside, and take one turn in the end. How far it has come is kept in the database itself, in the
//! transaction that writes the rows: after a crash it goes on there, and no row is written twice.
mod batches;
mod csv;
mod input;
mod json;
mod kinds;
mod position;
mod row;
mod run;
mod source;
mod target;
mod turns;

pub use batches::MAX_BATCH_ROWS;
pub use input::MAX_RECORD_BYTES;
pub use run::{ImportCall, discard, finish, import_rows};
pub use source::MAX_COLUMNS;
pub use turns::TableImportError;
