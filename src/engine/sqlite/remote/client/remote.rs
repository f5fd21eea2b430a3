//! One database that its worker answers: its connections, and what is known of it.
use super::link::{Link, Unanswered};
use crate::clock::Deadline;
use crate::domain::ids::DatabaseId;
use crate::engine::sql::{QueryError, Schema, StatementCounter};
use crate::engine::sqlite::remote::wire::line::Line;
use crate::engine::sqlite::remote::wire::messages::{Hello, Purpose, Said};
use crate::engine::sqlite::remote::wire::{RUN_FOLDER, SOCKET, VERSION};
use crate::locks::Mutex;
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::runtime::{self, Handle};
use uuid::Uuid;

/// How long a request waits for a worker that is being started, if its own time is not over before:
/// one that ended is back within a second.
const STARTING: Duration = Duration::from_secs(2);
/// How often it is tried meanwhile.
const TRY_EVERY: Duration = Duration::from_millis(10);
/// A worker that took a connection answers its first frame at once, unless its processor is taken.
const GREETING: Duration = Duration::from_secs(2);

/// So much longer than a statement may take its answer is waited for: the worker answers for a late
/// one itself, and ends where that one does not stop.
pub(super) const LATE: Duration = Duration::from_secs(1);

/// A database that its worker answers.
#[derive(Debug)]
pub(super) struct Remote {
    database: DatabaseId,
    folder: PathBuf,
    /// One connection for each tokio runtime that asks: an answer wakes no other thread.
    links: Mutex<Vec<(runtime::Id, Arc<Link>)>>,
    connecting: tokio::sync::Mutex<()>,
    /// Its schema under the worker's number for it.
    pub(super) schema: Mutex<Option<(u64, Arc<Schema>)>>,
    pub(super) counter: Mutex<StatementCounter>,
    pub(super) last_used: AtomicU64,
    /// Whether there were connections that are for one thing each.
    had_lines: AtomicBool,
}

impl Remote {
    pub(super) fn new(database: DatabaseId, folder: PathBuf, counter: StatementCounter) -> Self {
        Self {
            database,
            folder,
            links: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            schema: Mutex::default(),
            counter: Mutex::new(counter),
            last_used: AtomicU64::new(0),
            had_lines: AtomicBool::new(false),
        }
    }

    /// The connection of this tokio runtime, made where there is none.
    ///
    /// # Errors
    /// [`QueryError::Starting`] when the worker does not answer in time.
    pub(super) async fn link(&self, deadline: Deadline) -> Result<Arc<Link>, QueryError> {
        if let Some(link) = self.link_of_here() {
            return Ok(link);
        }
        let _turn = self.connecting.lock().await;
        if let Some(link) = self.link_of_here() {
            return Ok(link);
        }
        let line = self.line(Purpose::Requests, deadline).await?;
        let link = Arc::new(Link::new(line));
        let mut links = self.links.lock();
        links.retain(|(_, link)| !link.has_ended());
        links.push((Handle::current().id(), Arc::clone(&link)));
        Ok(link)
    }

    fn link_of_here(&self) -> Option<Arc<Link>> {
        let here = Handle::current().id();
        let links = self.links.lock();
        let found = links
            .iter()
            .find(|(of, link)| *of == here && !link.has_ended());
        found.map(|(_, link)| Arc::clone(link))
    }

    /// A connection for one purpose.
    ///
    /// # Errors
    /// [`QueryError::Starting`] when the worker does not answer in time.
    pub(super) async fn line(
        &self,
        purpose: Purpose,
        deadline: Deadline,
    ) -> Result<Line, QueryError> {
        let patience = Deadline::after(STARTING).min(deadline);
        loop {
            let connected = tokio::time::timeout(GREETING, self.connect(purpose)).await;
            match connected {
                Ok(Ok(line)) => {
                    let is_one = purpose == Purpose::One;
                    self.had_lines.fetch_or(is_one, Ordering::AcqRel);
                    return Ok(line);
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    tracing::debug!(database.id = %self.database, %error, "a worker is not asked");
                }
                Ok(Err(_)) | Err(_) => {}
            }
            if patience.has_passed() {
                return Err(QueryError::Starting);
            }
            tokio::time::sleep(TRY_EVERY.min(patience.remaining())).await;
        }
    }

    /// Connects once.
    pub(super) async fn connect(&self, purpose: Purpose) -> io::Result<Line> {
        connect(&self.folder, self.database, purpose).await
    }

    /// How many connections for requests are open.
    pub(super) fn connections(&self) -> usize {
        let links = self.links.lock();
        links.iter().filter(|(_, link)| !link.has_ended()).count()
    }

    /// Whether the worker may be at work for this gateway.
    pub(super) fn is_asked(&self) -> bool {
        self.had_lines.load(Ordering::Acquire) || self.connections() > 0
    }

    /// Closes connections on which nothing is under way. Returns whether there were any.
    pub(super) fn close_idle(&self) -> bool {
        let mut links = self.links.lock();
        let before = links.len();
        links.retain(|(_, link)| Arc::strong_count(link) > 1 || !link.is_idle());
        links.len() < before
    }

    /// Closes all connections for requests.
    pub(super) fn close(&self) {
        self.links.lock().clear();
        *self.schema.lock() = None;
    }

    pub(super) fn used(&self, now: u64) {
        self.last_used.store(now, Ordering::Relaxed);
    }
}

async fn connect(folder: &Path, database: DatabaseId, purpose: Purpose) -> io::Result<Line> {
    // The path of a socket may have 107 bytes, and that of a data folder more.
    let run = rustix::fs::open(
        folder.join(RUN_FOLDER),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", run.as_raw_fd());
    let mut line = Line::new(UnixStream::connect(path).await?);
    let hello = Hello {
        version: VERSION,
        database,
        purpose,
    };
    line.say(0, &hello, &[]).await?;
    let frame = line.hear().await?;
    match frame.read()? {
        Said::Ready => Ok(line),
        Said::NotThis { version } => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("it speaks version {version}, or serves another database"),
        )),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Asks the worker that serves the database in `folder` whether it answers. Blocks.
///
/// # Errors
/// When it does not.
pub fn ask_worker(folder: &Path) -> io::Result<()> {
    let tokio = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asked = async {
        let asked = connect(folder, DatabaseId(Uuid::nil()), Purpose::Health);
        tokio::time::timeout(GREETING, asked).await
    };
    match tokio.block_on(asked) {
        Ok(answered) => answered.map(drop),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// What is told where a request has no answer. `may_have_kept`: it may have changed something.
pub(super) fn unanswered(end: Unanswered, may_have_kept: bool) -> QueryError {
    match end {
        Unanswered::Farewell => QueryError::Unavailable {
            reason: "its worker was ended for a statement that does not stop; nothing of this one \
                     was kept",
        },
        Unanswered::Lost if may_have_kept => QueryError::Lost,
        Unanswered::Lost => QueryError::Unavailable {
            reason: "its worker ended; it is being started again",
        },
        Unanswered::NoRoom => QueryError::NoRoom,
        Unanswered::Full => QueryError::Overloaded {
            what: "the database's worker",
        },
    }
}

pub(super) fn broken(error: io::Error) -> QueryError {
    tracing::warn!(%error, "a worker's answer cannot be read");
    unexpected()
}

pub(super) fn unexpected() -> QueryError {
    QueryError::Broken {
        reason: "the database's worker said something unexpected".to_owned(),
    }
}
