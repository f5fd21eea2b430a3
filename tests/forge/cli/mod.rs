//! The command line, run as a program.
mod commands;
mod files;
mod gateway;
mod help;
mod history;
mod interrupted;
mod logs;
mod plans;
mod replay;
mod serve;
mod waiting;
mod whole_inputs;
mod worker;
