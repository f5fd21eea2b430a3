//! How a command fails: its exit code, its error and its hint.
use std::fmt;
use std::process::ExitCode;

/// What `--help` says about exit codes.
pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  refused: the gateway refused the request, or the job failed
  2  usage: invalid command line, value or setting
  3  unavailable: the gateway is unreachable, answers 5xx or does not start; a job did not
     finish in time; a file cannot be read
  4  damage: log verify, replay or doctor found damage
130  interrupted with Ctrl-C
141  the reader of the output, such as `head`, closed it
`health` and `worker health` exit with 0 or 1, as container runtimes expect; `serve` exits with
130 when it receives a second stop signal.";

/// Why a command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The gateway refused the request, or the job failed.
    Refused = 1,
    /// Invalid command line, value or setting.
    Usage = 2,
    /// Something the command needs is missing or unreachable.
    Unavailable = 3,
    /// Stored data is damaged.
    Damage = 4,
    /// Ctrl-C: 128 and the number of SIGINT, as shells say it.
    Interrupted = 130,
    /// The reader of the output has closed it: 128 and the number of SIGPIPE, as shells say it.
    OutputClosed = 141,
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
    /// The gateway's part of the error, if it answered.
    pub(super) answered: Option<Answered>,
}

/// What only an answer of the gateway has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    /// The HTTP status.
    pub(super) status: u16,
    /// The error code; empty if another server answered.
    pub(super) code: String,
    pub(super) request_id: Option<String>,
}

impl Failure {
    /// A failure with a message.
    pub(super) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            error: Some(anyhow::anyhow!("{message}")),
            hint: None,
            answered: None,
        }
    }

    /// A failure that the command's output already reports.
    pub(super) fn told(exit: Exit) -> Self {
        Self {
            exit,
            error: None,
            hint: None,
            answered: None,
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
            answered: None,
        })
    }
}
