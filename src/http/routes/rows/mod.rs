//! Rows of a table without SQL.
pub(crate) mod many;
pub(crate) mod one;
pub(crate) mod postgrest;
pub(crate) mod value;
