//! Starts children, hears them, and ends them.
use super::order::{ChildFailure, ChildFailureCode, ChildOrder, ChildProgress, ChildReply};
use rustix::process::Signal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, Command};

/// The longest line that is read of a child. Its texts are bounded, but a child that was taken over
/// writes what it wants.
const LONGEST_LINE: u64 = 64 << 10;
/// Bytes of its standard error that the log shows.
const SHOWN_ERROR: u64 = 4 << 10;

/// Starts children of one program.
#[derive(Debug, Clone)]
pub struct ChildStarter {
    program: PathBuf,
    user: Option<(u32, u32)>,
}

/// Why there is no result of a child.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It says so itself.
    #[error(transparent)]
    Failed(#[from] ChildFailure),
    /// It was told to stop, and is gone.
    #[error("the operation was stopped")]
    Stopped,
    /// It died.
    #[error("the process that reads the file died: {how}")]
    Died {
        /// By which signal, or with which exit code.
        how: String,
    },
    /// It could not be started, or not be heard.
    #[error("a process to read the file with could not be run: {0}")]
    NotRun(#[from] io::Error),
}

impl ChildStarter {
    /// Starts `program`, as `user` (user and group) where the gateway is root.
    #[must_use]
    pub fn new(program: PathBuf, user: Option<(u32, u32)>) -> Self {
        Self { program, user }
    }

    /// Starts this program: also after its file was replaced by that of the next version.
    #[must_use]
    pub fn of_this_program(user: Option<(u32, u32)>) -> Self {
        Self::new(Path::new("/proc/self/exe").to_owned(), user)
    }

    /// Runs one order to its end. Dropped, or when `stop` comes first, the child is killed.
    ///
    /// # Errors
    /// When there is no result.
    pub async fn run<T: DeserializeOwned>(
        &self,
        order: &ChildOrder<impl Serialize>,
        stop: impl Future<Output = ()>,
        mut progress: impl FnMut(ChildProgress),
    ) -> Result<T, ChildError> {
        let mut child = self.start(&order.folder)?;
        let mut line = serde_json::to_vec(order).map_err(io::Error::from)?;
        line.push(b'\n');
        // Kept open: its end tells the child that its gateway is gone.
        let mut input = child.stdin.take().ok_or_else(no_pipe)?;
        let output = child.stdout.take().ok_or_else(no_pipe)?;
        let replies = async {
            // One that died at once is told from its end.
            let _ = input.write_all(&line).await;
            last_reply(output, &mut progress).await
        };
        let reply = tokio::select! {
            biased;
            () = stop => None,
            reply = replies => Some(reply),
        };
        let Some(reply) = reply else {
            child.kill().await?;
            return Err(ChildError::Stopped);
        };
        match reply {
            Ok(Some(reply)) => {
                // What it says last stands on its own.
                child.kill().await?;
                reply.map_err(ChildError::Failed)
            }
            Ok(None) => {
                let said = said_last(&mut child).await;
                let status = child.wait().await?;
                if !said.is_empty() {
                    tracing::warn!(said, "a child process died");
                }
                Err(died(status))
            }
            Err(error) => {
                child.kill().await?;
                Err(error.into())
            }
        }
    }

    fn start(&self, folder: &Path) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(["worker", "perform"])
            .env_clear()
            // SQLite puts its temporary files there.
            .env("SQLITE_TMPDIR", folder)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C in the gateway's terminal is for the gateway.
            .process_group(0)
            .kill_on_drop(true);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command.spawn()
    }
}

/// What a child says last; `None` when it ends without that.
async fn last_reply<T: DeserializeOwned>(
    output: impl AsyncRead + Unpin,
    progress: &mut impl FnMut(ChildProgress),
) -> io::Result<Option<Result<T, ChildFailure>>> {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut output).take(LONGEST_LINE);
        if bounded.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        match serde_json::from_slice::<ChildReply<T>>(&line) {
            Ok(ChildReply::Progress(now)) => progress(now),
            Ok(ChildReply::Done(result)) => return Ok(Some(Ok(result))),
            Ok(ChildReply::Failed(failure)) => return Ok(Some(Err(failure))),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

async fn said_last(child: &mut Child) -> String {
    let mut said = Vec::new();
    if let Some(errors) = child.stderr.take() {
        let _ = errors.take(SHOWN_ERROR).read_to_end(&mut said).await;
    }
    String::from_utf8_lossy(&said).trim().to_owned()
}

fn died(status: ExitStatus) -> ChildError {
    let is = |signal: Signal| status.signal() == Some(signal.as_raw());
    let failed = |code, detail: &str| ChildError::Failed(ChildFailure::new(code, detail));
    if is(Signal::XFSZ) {
        failed(
            ChildFailureCode::QuotaExceeded,
            "the file would become larger than the database may be",
        )
    } else if is(Signal::XCPU) {
        failed(
            ChildFailureCode::Refused,
            "the file takes more processor time than an import may use",
        )
    } else if is(Signal::ABORT) {
        // What an allocation that fails does.
        failed(
            ChildFailureCode::OutOfMemory,
            "the file takes more memory than an import may use",
        )
    } else {
        ChildError::Died {
            how: status.to_string(),
        }
    }
}

fn no_pipe() -> io::Error {
    io::Error::other("the process has no pipe")
}
