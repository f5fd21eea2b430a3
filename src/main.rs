//! The program: the gateway, what runs inside its workers, and the commands for both.
use std::process::ExitCode;

fn main() -> ExitCode {
    dbforge::cli::main()
}
