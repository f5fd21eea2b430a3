//! From what a request says and a schema to statements: identifiers are quoted, values bound. The
//! one place that knows how SQL spells them; where engines differ, `spelling.rs` does.
mod conditions;
mod embeds;
mod identity;
mod order;
mod outputs;
mod raw;
mod read;
mod relations;
mod scope;
mod spelling;
mod text;
mod write;

pub(super) use self::identity::{ColumnSet, Identity, NewKey};
pub use self::order::cursor::NextPage;
pub(super) use self::order::cursor::next_page;
pub(super) use self::raw::{NewValue, ValueOf};
pub(super) use self::read::{Page, PageForm, count, long_value, page};
pub(super) use self::text::Sql;
pub use self::write::Conflict;
pub(super) use self::write::{InsertPlan, OneRow, Returning, delete, insert, no_change, update};
