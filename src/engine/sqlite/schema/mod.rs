//! A database's schema: read when it has changed, kept as long as it has not.
mod answer;
mod cache;
mod reader;
mod tables;

pub(crate) use cache::{SchemaCache, next_version};
