//! Exports: the rows of a table or a query as they are read, and whole databases as files.
//!
//! An export never holds its database for longer than reading takes, however slow its client is:
//! what the client has not taken yet waits in a file.
mod bounds;
mod files;
mod form;
mod kept;
#[cfg(feature = "parquet")]
mod parquet;
mod rows;
mod spill;
mod store;
mod tables;

pub use bounds::ExportBounds;
pub use form::ExportForm;
pub use kept::{ExportedFile, FileInMaking, Resumption};
pub use rows::{ExportSource, ExportedRows, RowExportStopper};
pub(super) use store::Exports;
