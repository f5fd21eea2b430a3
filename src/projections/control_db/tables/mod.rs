//! The tables of the read model, one file each: what they follow, and how they are searched.
pub(crate) mod causes;
pub(crate) mod databases;
pub(crate) mod events;
pub(crate) mod jobs;
mod past_names;
pub(crate) mod tokens;
