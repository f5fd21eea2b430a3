//! SQL from the standard input or a file, whole or not at all.
use crate::cli::exit::{Exit, Failure, OrExit};
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;

/// Held in memory before it is sent. The gateway's own limit, `DBFORGE_MAX_BODY_BYTES`, is lower.
const LARGEST: u64 = 1 << 30;

/// Reads a statement from the standard input; `asked_for` by `-`, else only from a pipe or a file.
pub(super) fn read_statement(asked_for: bool) -> Result<String, Failure> {
    let input = std::io::stdin();
    if !asked_for && input.is_terminal() {
        return Err(Failure::new(Exit::Usage, "no statement given")
            .hint("pass it as an argument, or pipe it in"));
    }
    whole(input.lock(), LARGEST, "statement")
}

/// Reads a script from a file; `-` is the standard input.
pub(super) fn read_script(file: &Path) -> Result<String, Failure> {
    if file == Path::new("-") {
        return whole(std::io::stdin().lock(), LARGEST, "script");
    }
    let opened = File::open(file).or_exit(Exit::Usage, "cannot read the script")?;
    whole(opened, LARGEST, "script")
}

/// Reads to the end. A part of a script is another script, so more than `limit` bytes are an error.
fn whole(input: impl Read, limit: u64, what: &str) -> Result<String, Failure> {
    let mut text = String::new();
    input
        .take(limit.saturating_add(1))
        .read_to_string(&mut text)
        .or_exit(Exit::Usage, format_args!("cannot read the {what}"))?;
    if text.len() as u64 > limit {
        let message = format_args!("the {what} is larger than {limit} bytes; nothing was run");
        return Err(Failure::new(Exit::Usage, message).hint("divide it into several scripts"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_read_whole_or_refused() {
        let script = "SELECT 1; SELECT 2";
        assert_eq!(whole(script.as_bytes(), 18, "script").unwrap(), script);
        let refused = whole(script.as_bytes(), 17, "script").unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        let text = refused.error.unwrap().to_string();
        assert_eq!(text, "the script is larger than 17 bytes; nothing was run");
    }
}
