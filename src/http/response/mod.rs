//! Answers: problems, lists, jobs, JSON.
pub(crate) mod error;
pub(crate) mod job_answers;
pub(crate) mod lists;
pub(crate) mod pieces;
pub(crate) mod refusals;
pub(crate) mod reply;
