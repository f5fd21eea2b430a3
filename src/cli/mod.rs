//! The command line of `dbforge`.
mod client;
mod command_line;
mod completion;
mod data_dir;
mod doctor;
mod exit;
mod log;
mod replay;
mod serve;
mod serving_worker;
mod terminal;
mod token;
mod worker;

pub use self::command_line::{declaration, main};
pub use self::exit::Exit;
