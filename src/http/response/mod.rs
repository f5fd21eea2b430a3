//! Answers: problems, lists, jobs, rows, JSON.

pub(crate) mod error;
pub(crate) mod event_stream;
pub(crate) mod files;
pub(crate) mod job_answers;
pub(crate) mod lists;
pub(crate) mod pieces;
pub(crate) mod problems;
pub(crate) mod refusals;
pub(crate) mod reply;
pub(crate) mod row_answers;
pub(crate) mod row_problems;
pub(crate) mod rows;
pub(crate) mod views;
