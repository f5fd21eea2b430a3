//! Terminal output: data, remarks, tables.
pub(crate) mod confirm;
pub(crate) mod output;
pub(crate) mod plural;
pub(crate) mod table;
