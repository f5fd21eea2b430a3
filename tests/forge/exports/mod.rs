//! What leaves a database as a file.
mod command_line;
mod rows;
mod soak;
mod whole;
