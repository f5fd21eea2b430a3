//! Terminal output: data, remarks, tables.
pub(crate) mod output;
pub(crate) mod table;
