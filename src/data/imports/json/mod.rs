//! JSON: values one after another, rows of a table, and what our own exports write around them.
mod own_export;
mod reader;
mod rows;
mod values;

pub(super) use own_export::{LastLine, columns_line, last_line};
pub(super) use reader::JsonReader;
pub(super) use rows::{Keys, each_key, each_value, read_row};
pub(super) use values::with_value;
