//! Streams of rows, printed as they arrive.
use crate::cli::client::connection::client::Client;
use crate::cli::client::connection::request::{Problem, Request};
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use crate::cli::terminal::output::Lines;
use serde::Deserialize;
use serde_json::Value;
use std::io::{BufRead, BufReader};

/// Printed after rows that were truncated at `--max-rows`.
pub(super) const MORE_ROWS: &str = "output truncated; raise --max-rows";

/// Start of the last line of NDJSON. No row starts like this.
const SUMMARY_LINE: &[u8] = br#"{"row_count":"#;

/// Start of the line that reports an error. No row starts like this.
const ERROR_LINE: &[u8] = br#"{"error":"#;

#[derive(Deserialize)]
struct ErrorLine {
    error: Value,
}

impl Client {
    /// Prints NDJSON until its last line, the summary.
    pub(crate) fn print_ndjson(&self, request: Request) -> Result<(), Failure> {
        if self.print_lines(request)?.starts_with(SUMMARY_LINE) {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Unavailable,
            "the stream of rows ended before its summary: rows are missing",
        ))
    }

    /// Prints CSV until its end.
    pub(crate) fn print_csv(&self, request: Request) -> Result<(), Failure> {
        self.print_lines(request).map(drop)
    }

    /// Prints the lines of an answer until its end, and returns the last one.
    fn print_lines(&self, request: Request) -> Result<Vec<u8>, Failure> {
        let answer = self.ask(request)?;
        let is_cut = (answer.headers().get("x-dbforge-truncated"))
            .is_some_and(|value| value.as_bytes() == b"true");
        let body = answer.into_body().into_reader();
        let mut body = BufReader::new(body);
        let mut lines = Lines::begin();
        let (mut line, mut last) = (Vec::new(), Vec::new());
        loop {
            std::mem::swap(&mut line, &mut last);
            line.clear();
            match body.read_until(b'\n', &mut line) {
                Ok(0) => {
                    lines.end()?;
                    if is_cut {
                        output::note(MORE_ROWS);
                    }
                    return Ok(last);
                }
                Ok(_) if line.starts_with(ERROR_LINE) => {
                    lines.end()?;
                    return Err(told_in(&line));
                }
                Ok(_) => lines.bytes(&line)?,
                Err(error) => {
                    lines.end()?;
                    let message = format!("the stream of rows was interrupted: {error}");
                    return Err(Failure::new(Exit::Unavailable, message)
                        .hint("use --format ndjson to see why, or raise --timeout"));
                }
            }
        }
    }
}

/// The failure that the last line of a stream reports.
fn told_in(line: &[u8]) -> Failure {
    let told: Option<ErrorLine> = serde_json::from_slice(line).ok();
    let problem = told.map(|it| it.error).unwrap_or_default();
    let status = problem["status"].as_u64();
    let status = status.and_then(|it| u16::try_from(it).ok()).unwrap_or(500);
    Problem::of_answer(status, &problem.to_string()).into_answered()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_stream_that_broke_off_is_how_the_command_ends() {
        let line = br#"{"error":{"status":422,"detail":"Too long.","code":"statement_timeout"}}"#;
        let failure = told_in(line);
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.error.unwrap().to_string(), "Too long.");
        assert_eq!(failure.answered.unwrap().code, "statement_timeout");
    }
}
