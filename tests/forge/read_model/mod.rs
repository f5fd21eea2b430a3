//! `control.db`: built from the log, searched page by page.
mod databases;
mod lists;
mod one_truth;
mod rebuild;
