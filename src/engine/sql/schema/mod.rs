//! What is in a database: its tables, views, columns, keys, indexes and triggers.
mod affinity;
mod dialect;
mod facts;
mod naming;

pub use affinity::Affinity;
pub use dialect::SqlDialect;
pub use facts::{
    Column, ForeignKey, Generated, INTERNAL_TABLES, Index, IndexColumn, IndexOrigin, Schema, Table,
    TableKind, Trigger,
};
pub use naming::{nearest, quoted};
