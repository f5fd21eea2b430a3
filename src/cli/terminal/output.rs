//! The only writer to the terminal: data to the standard output, remarks to the standard error.
use crate::cli::exit::{Exit, Failure};
use crate::domain::printable::printable;
use serde_json::json;
use std::fmt;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Whether remarks are left out.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Leaves remarks out from now on.
pub(crate) fn be_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// Writes a remark. An error is ignored: there is nowhere to report it.
pub(crate) fn note(text: impl fmt::Display) {
    if !IS_QUIET.load(Ordering::Relaxed) {
        error_line(text);
    }
}

/// Whether remarks are shown on a terminal while the command runs.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal() && !IS_QUIET.load(Ordering::Relaxed)
}

/// Writes to the standard error. Of what a line quotes, only line breaks are not escaped.
pub(crate) fn error_line(text: impl fmt::Display) {
    let text = text.to_string();
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    drop(writeln!(io::stderr().lock(), "{}", lines.join("\n")));
}

/// Writes the error and the hint of a failed command, as text or as one JSON object.
pub(crate) fn failure(failure: &Failure, as_json: bool) {
    let Some(error) = &failure.error else {
        return;
    };
    let answered = failure.answered.as_ref();
    if as_json {
        error_line(json!({"error": {
            "detail": format!("{error:#}"),
            "code": answered.map(|it| &it.code).filter(|it| !it.is_empty()),
            "status": answered.map(|it| it.status),
            "request_id": answered.and_then(|it| it.request_id.as_ref()),
            "hint": failure.hint,
            "exit_code": failure.exit as u8,
        }}));
        return;
    }
    let code = answered.map(|it| it.code.clone());
    let request = answered.and_then(|it| it.request_id.as_ref());
    let marks: Vec<String> = (code.into_iter().filter(|it| !it.is_empty()))
        .chain(request.map(|it| format!("request {it}")))
        .collect();
    let marks = match marks.as_slice() {
        [] => String::new(),
        marks => format!(" ({})", marks.join(", ")),
    };
    error_line(format_args!("dbforge: {error:#}{marks}"));
    if let Some(hint) = &failure.hint {
        error_line(format_args!("  hint: {hint}"));
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
        Failure::told(Exit::OutputClosed)
    } else {
        let message = format_args!("cannot write the output: {error}");
        Failure::new(Exit::Unavailable, message)
    }
}
