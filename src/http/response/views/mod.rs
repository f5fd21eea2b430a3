//! Things as the API shows them, where several routes do.

pub(crate) mod database;
pub(crate) mod job;
pub(crate) mod plan;
pub(crate) mod token;
