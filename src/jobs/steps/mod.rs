//! The steps that kinds of jobs are made of.
pub(super) mod files;
pub(super) mod imports;
pub(super) mod loads;
pub(super) mod worker;
