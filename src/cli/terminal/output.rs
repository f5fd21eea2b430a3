//! The only writer to the terminal: data to the standard output, remarks to the standard error.
use crate::cli::exit::{Exit, Failure};
use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};

/// Writes a line of data.
pub(crate) fn line(text: impl fmt::Display) -> Result<(), Failure> {
    let mut lines = Lines::begin();
    lines.line(text)?;
    lines.end()
}

/// Writes text that contains its own line breaks.
pub(crate) fn text(text: impl fmt::Display) -> Result<(), Failure> {
    write!(io::stdout().lock(), "{text}").map_err(|error| unwritable(&error))
}

/// Writes a remark. An error is ignored: there is nowhere to report it.
pub(crate) fn note(text: impl fmt::Display) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Writes the error and the hint of a failed command.
pub(crate) fn failure(failure: &Failure) {
    if let Some(error) = &failure.error {
        note(format_args!("dbforge: {error:#}"));
    }
    if let Some(hint) = &failure.hint {
        note(format_args!("  hint: {hint}"));
    }
}

/// Writes many lines of data, buffered.
pub(crate) struct Lines(BufWriter<StdoutLock<'static>>);

impl Lines {
    /// Locks the standard output until [`Self::end`].
    pub(crate) fn begin() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.0, "{text}").map_err(|error| unwritable(&error))
    }

    /// Writes bytes that contain their own line breaks.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).map_err(|error| unwritable(&error))
    }

    /// Flushes the buffer.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|error| unwritable(&error))
    }
}

/// A reader such as `head` may close the pipe early; the command then ends silently.
fn unwritable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Failure::told(Exit::Unavailable)
    } else {
        let message = format_args!("cannot write the output: {error}");
        Failure::new(Exit::Unavailable, message)
    }
}
