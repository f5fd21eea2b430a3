//! Data in and out: imports, exports, dumps, loads, migrations, the schema.
pub(in crate::cli) mod dump;
pub(in crate::cli) mod export;
mod file_names;
pub(in crate::cli) mod import;
mod interrupt;
mod job;
pub(in crate::cli) mod load;
pub(in crate::cli) mod migrate;
mod output_file;
mod progress_bar;
pub(in crate::cli) mod schema;
