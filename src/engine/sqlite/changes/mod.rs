//! Changes that have the writer alone: migrations, and tables that are made anew.
pub(crate) mod exclusive;
mod migration;
mod migration_text;
mod tables;
mod violations;
