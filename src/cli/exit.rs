//! How a command fails: its exit code, its error and its hint.
use std::fmt;
use std::process::ExitCode;

/// What `--help` says about exit codes.
pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  refused: the gateway refused the request, or the job failed
  2  usage: invalid command line or setting
  3  unavailable: the gateway is unreachable, answers 5xx or does not start; a job did not
     finish in time; a file cannot be read
  4  damage: log verify, replay or doctor found damage
`health` and `worker health` exit with 0 or 1, as container engines expect; `serve` exits with
130 when it receives a second stop signal.";

/// Why a command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The gateway refused the request, or the job failed.
    Refused = 1,
    /// Invalid command line or setting.
    Usage = 2,
    /// Something the command needs is missing or unreachable.
    Unavailable = 3,
    /// Stored data is damaged.
    Damage = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failed command.
#[derive(Debug)]
pub(super) struct Failure {
    /// The exit code.
    pub(super) exit: Exit,
    /// The error with its causes; none if the command's output already reports it.
    pub(super) error: Option<anyhow::Error>,
    /// What to do next.
    pub(super) hint: Option<String>,
}

impl Failure {
    /// A failure with a message.
    pub(super) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            error: Some(anyhow::anyhow!("{message}")),
            hint: None,
        }
    }

    /// A failure that the command's output already reports.
    pub(super) fn told(exit: Exit) -> Self {
        Self {
            exit,
            error: None,
            hint: None,
        }
    }

    /// Adds what to do next.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Turns any error into a failure with an exit code.
pub(super) trait OrExit<T> {
    /// Fails with `exit` on an error; `doing` is put before it.
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
