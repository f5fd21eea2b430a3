//! How a command ends: its exit code, and what is said on the standard error.
use super::terminal::output;
use std::fmt;
use std::process::ExitCode;

/// What `--help` says about exit codes.
pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  refused: the gateway said no, or the job it began failed
  2  usage: the command line or a setting cannot be used
  3  unavailable: the gateway does not answer, answers 5xx or does not start; a job is not done
     in time; a file cannot be read
  4  damage: log verify, replay or doctor found something broken
`health` and `worker health` end with 0 or 1, as container engines expect it; `serve` ends with
130 when it is told twice to stop.";

/// Why a command did not do what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The gateway said no, or the job it began failed.
    Refused = 1,
    /// The command line or a setting cannot be used.
    Usage = 2,
    /// Something that is needed is not there, or not now.
    Unavailable = 3,
    /// Something that was kept is not what it was.
    Damage = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The end of a command that did not do what it was told.
#[derive(Debug)]
pub(super) struct Failure {
    /// What sort of end.
    pub(super) exit: Exit,
    /// What happened, its causes behind it; none where the command's output says it already.
    pub(super) error: Option<anyhow::Error>,
    /// What to do next.
    pub(super) hint: Option<String>,
}

impl Failure {
    /// An end with a sentence.
    pub(super) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            error: Some(anyhow::anyhow!("{message}")),
            hint: None,
        }
    }

    /// An end whose reason stands in the command's output.
    pub(super) fn told(exit: Exit) -> Self {
        Self {
            exit,
            error: None,
            hint: None,
        }
    }

    /// Says what to do next.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says on the standard error what there is to say.
    pub(super) fn report(&self) {
        if let Some(error) = &self.error {
            output::note(format_args!("dbforge: {error:#}"));
        }
        if let Some(hint) = &self.hint {
            output::note(format_args!("  hint: {hint}"));
        }
    }
}

/// Gives an error of any sort the exit code that it means here.
pub(super) trait OrExit<T> {
    /// Ends the command with `exit` where this is an error, and says what was being done.
    fn or_exit(self, exit: Exit, doing: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit, doing: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            exit,
            error: Some(error.into().context(doing.to_string())),
            hint: None,
        })
    }
}
