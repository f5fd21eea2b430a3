//! Stored SQL taken apart, so that a part can be changed and all others keep their text.
pub(crate) mod create_table;
mod cursor;
pub(crate) mod edits;
pub(crate) mod piece;
pub(crate) mod stored;
pub(crate) mod tokens;
