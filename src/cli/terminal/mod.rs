//! What the terminal gets to see: data, remarks and tables.
pub(crate) mod output;
pub(crate) mod table;
