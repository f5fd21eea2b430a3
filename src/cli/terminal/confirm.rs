//! Asks the user at the terminal.
use crate::cli::exit::{Exit, Failure, OrExit};
use std::io::{self, IsTerminal, Write};

/// Asks for a yes, if a terminal is there to ask.
pub(crate) fn confirm(question: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Ok(());
    }
    let mut asked = io::stderr().lock();
    let mut answer = String::new();
    write!(asked, "{question} Type yes to go on: ")
        .and_then(|()| asked.flush())
        .and_then(|()| io::stdin().read_line(&mut answer))
        .or_exit(Exit::Unavailable, "cannot ask; use --yes")?;
    match answer.trim() {
        "yes" | "y" => Ok(()),
        _ => Err(Failure::new(Exit::Refused, "nothing was deleted")),
    }
}
