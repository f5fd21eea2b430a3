//! Values: from PostgreSQL's texts to the forms of answers, and from parameters to its texts.
mod arrays;
mod bytes;
mod parameters;
mod types;
mod writing;

pub(super) use parameters::write_parameter;
pub(super) use types::{OwnType, Types};
pub(super) use writing::{csv, hidden, json, literal};
