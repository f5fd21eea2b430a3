//! Tables and rows as the legacy API knows them: small questions, asked as any client's SQL.
//!
//! Identifiers are quoted, values bound, and pieces of SQL that clients send are looked at; nothing
//! here is a way around access lock, limits or scopes.
mod asking;
mod contents;
mod new_table;
mod piece;
mod rows;

pub use self::contents::{
    ColumnFacts, IndexFacts, SchemaFacts, TableDescription, TableFacts, describe, schema,
};
pub use self::new_table::{NewColumn, NewIndex, NewTable, create_table};
pub use self::rows::{RowOrder, RowSelection, insert_rows, select_rows};
