//! The beginning of a worker's program: locks the database's folder, sets bounds, and becomes the
//! program.
use crate::clock::Deadline;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use rustix::process::{
    Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit, umask,
};
use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long the folder's lock is waited for: a program that was killed holds it until the kernel
/// has taken it away, with all of its processes.
const LOCK_TIME: Duration = Duration::from_secs(5);
/// How often it is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// What is to run, and within which bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOrder {
    /// The file whose lock the program holds for as long as one of its processes lives.
    pub lock: PathBuf,
    /// Most bytes of data of each process.
    pub data_bytes: Option<u64>,
    /// What is removed once the lock is held.
    pub leftovers: Vec<PathBuf>,
    /// The process with which the program ends.
    pub parent: Option<ExecParent>,
    /// The program and its arguments.
    pub command: Vec<OsString>,
}

/// A process with which another one ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecParent {
    pub process: u32,
    /// What the kernel sends at its end.
    pub signal: Signal,
}

/// Why the program does not run.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// A program on the same folder, in whatever container, would corrupt it.
    #[error(
        "the database's folder is in use: another process has held the lock on {} for {} s; \
         stop that process, then start the worker again",
        lock.display(), LOCK_TIME.as_secs()
    )]
    InUse {
        /// The lock's file.
        lock: PathBuf,
    },
    /// The gateway that started it is gone.
    #[error("the gateway that started it has ended")]
    Orphaned,
    /// The system refuses.
    #[error("cannot {action} {what}: {source}")]
    Io {
        action: &'static str,
        /// A file or a program.
        what: String,
        /// What it said.
        source: io::Error,
    },
    /// There is nothing to start.
    #[error("no program is named after `--`")]
    NoProgram,
}

/// Becomes the program.
///
/// The process stays the same one: what stops, watches or outlives it sees the program itself.
///
/// # Errors
/// When the program does not run.
pub fn exec(order: &ExecOrder) -> Result<Infallible, ExecError> {
    let (program, arguments) = order.command.split_first().ok_or(ExecError::NoProgram)?;
    if let Some(parent) = order.parent {
        end_with(parent)?;
    }
    // What it writes is the database's, and no one else's.
    umask(Mode::from_raw_mode(0o077));
    let lock = lock(&order.lock)?;
    for leftover in &order.leftovers {
        remove(leftover)?;
    }
    bound(Resource::Core, 0, "core dumps")?;
    if let Some(bytes) = order.data_bytes {
        bound(Resource::Data, bytes, "data")?;
    }
    // Held by the program and its children from here on.
    rustix::io::fcntl_setfd(&lock, rustix::io::FdFlags::empty())
        .map_err(|errno| failed("keep the lock on", &order.lock, errno.into()))?;
    let source = Command::new(program).args(arguments).exec();
    Err(ExecError::Io {
        action: "start",
        what: format!("`{}`", program.display()),
        source,
    })
}

/// Sees to it that this process is told of the end of its parent.
fn end_with(parent: ExecParent) -> Result<(), ExecError> {
    set_parent_process_death_signal(Some(parent.signal)).map_err(|errno| ExecError::Io {
        action: "end with",
        what: "the gateway".to_owned(),
        source: errno.into(),
    })?;
    // It may have ended before that was asked for.
    let current = getppid().map(|it| it.as_raw_pid().unsigned_abs());
    if current == Some(parent.process) {
        Ok(())
    } else {
        Err(ExecError::Orphaned)
    }
}

/// Takes the lock, and writes into its file which process has it.
fn lock(file: &Path) -> Result<File, ExecError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = open(file, flags, Mode::from_raw_mode(0o600));
    let mut opened =
        File::from(opened.map_err(|errno| failed("open the lock", file, errno.into()))?);
    let deadline = Deadline::after(LOCK_TIME);
    loop {
        match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK | Errno::INTR) if !deadline.has_passed() => {
                std::thread::sleep(LOCK_INTERVAL);
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => {
                return Err(ExecError::InUse {
                    lock: file.to_owned(),
                });
            }
            Err(errno) => return Err(failed("lock", file, errno.into())),
        }
    }
    let written = opened
        .set_len(0)
        .and_then(|()| writeln!(opened, "{}", std::process::id()));
    match written {
        // A full disk keeps no database from its start: only the name of the process is missing.
        Ok(()) => Ok(opened),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(opened),
        Err(error) => Err(failed("write to the lock", file, error)),
    }
}

fn remove(leftover: &Path) -> Result<(), ExecError> {
    match fs::remove_file(leftover) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", leftover, error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn bound(resource: Resource, most: u64, what: &str) -> Result<(), ExecError> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(resource, limit).map_err(|errno| ExecError::Io {
        action: "limit",
        what: what.to_owned(),
        source: errno.into(),
    })
}

fn failed(action: &'static str, file: &Path, source: io::Error) -> ExecError {
    ExecError::Io {
        action,
        what: file.display().to_string(),
        source,
    }
}
