//! The dialect in which rows are asked for: PostgREST's, from the parameters of a request to what
//! they say. Nothing here knows a schema.
pub(crate) mod ast;
mod filters;
mod order;
mod query;
mod scan;
mod select;

pub use self::ast::RowsQuery;
