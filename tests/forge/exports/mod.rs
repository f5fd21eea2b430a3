//! What leaves a database as a file.
mod rows;
