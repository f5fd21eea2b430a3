//! Brings the rows of a file into a table.
use crate::jobs::Step;
use crate::jobs::steps::imports;

pub(super) const STEPS: &[Step] = &[imports::IMPORT_ROWS, imports::FORGET_POSITION];
