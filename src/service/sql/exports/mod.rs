//! Exports: what leaves a database as a file.
pub mod files;
pub mod rows;
