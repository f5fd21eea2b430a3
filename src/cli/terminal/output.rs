//! The one place that writes to the terminal: data to the standard output, remarks to the
//! standard error.
use crate::cli::exit::{Exit, Failure};
use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};

/// Writes a line of data.
pub(crate) fn line(text: impl fmt::Display) -> Result<(), Failure> {
    let mut lines = Lines::begin();
    lines.line(text)?;
    lines.end()
}

/// Writes data that ends its own lines.
pub(crate) fn text(text: impl fmt::Display) -> Result<(), Failure> {
    write!(io::stdout().lock(), "{text}").map_err(|error| unwritable(&error))
}

/// Writes a remark. One that cannot be written has nobody who misses it.
pub(crate) fn note(text: impl fmt::Display) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Writes many lines of data, few of them at a time to the system.
pub(crate) struct Lines(BufWriter<StdoutLock<'static>>);

impl Lines {
    /// Nobody else writes data until the end.
    pub(crate) fn begin() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.0, "{text}").map_err(|error| unwritable(&error))
    }

    /// Writes bytes that end their own lines.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).map_err(|error| unwritable(&error))
    }

    /// Writes what is left in memory.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|error| unwritable(&error))
    }
}

/// A reader such as `head` that has seen enough is not news; the command ends without a word.
fn unwritable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Failure::told(Exit::Unavailable)
    } else {
        let message = format_args!("the output cannot be written: {error}");
        Failure::new(Exit::Unavailable, message)
    }
}
