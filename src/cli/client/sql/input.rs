//! SQL from the standard input.
use crate::cli::exit::{Exit, Failure, OrExit};
use std::io::{IsTerminal, Read};

/// More than the gateway accepts, so that the gateway refuses a statement that is too long.
const LARGEST_STATEMENT: u64 = 16 << 20;

pub(super) fn read_statement(asked_for: bool) -> Result<String, Failure> {
    let input = std::io::stdin();
    if !asked_for && input.is_terminal() {
        return Err(Failure::new(Exit::Usage, "no statement given")
            .hint("pass it as an argument, or pipe it in"));
    }
    let mut statement = String::new();
    input
        .lock()
        .take(LARGEST_STATEMENT)
        .read_to_string(&mut statement)
        .or_exit(Exit::Usage, "cannot read the statement")?;
    Ok(statement)
}
