//! The command line, run as a program.
mod files;
mod gateway;
mod help;
mod history;
mod plans;
mod replay;
mod serve;
mod waiting;
mod worker;
