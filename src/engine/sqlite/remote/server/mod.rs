//! The worker's side: answers for one database, with the executor that a gateway has for many.
mod one;
mod replies;
mod requests;
mod served;
mod session;

use super::wire::line::Line;
use super::wire::messages::{Hello, Purpose, Said};
use super::wire::{RUN_FOLDER, SOCKET, VERSION};
use crate::domain::ids::DatabaseId;
use crate::engine::DatabasesFolder;
use crate::engine::access_lock::AccessLocks;
use crate::engine::sqlite::threads::pool::WhenStuck;
use crate::engine::sqlite::{SqliteConfig, SqliteExecutor};
use crate::locks::Mutex;
use crate::shares::{Accounts, RoomSizes, Rooms};
use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;
use served::Served;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How long a connection may take to say what it is for.
const GREETING: Duration = Duration::from_secs(2);
/// Connections at a time: those of a gateway's threads, streams, transactions and snapshots.
const MOST_CONNECTIONS: usize = 256;
/// A wait behind a connection that was not accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);

/// What a worker serves, and within which bounds.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The database's folder, as this process sees it.
    pub folder: PathBuf,
    /// Which database lies there.
    pub database: DatabaseId,
    /// Bytes of answers in memory.
    pub answer_bytes: usize,
    /// The bounds of its SQL.
    pub sqlite: SqliteConfig,
}

/// Where a worker listens.
#[derive(Debug)]
pub struct WorkerListener(std::os::unix::net::UnixListener);

impl WorkerListener {
    /// Makes the socket in the folder, in the place of one that an earlier worker left.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn bind(folder: &Path) -> io::Result<Self> {
        // The path of a socket may have 107 bytes, and that of a data folder more.
        let run = rustix::fs::open(
            folder.join(RUN_FOLDER),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let socket = format!("/proc/self/fd/{}/{SOCKET}", run.as_raw_fd());
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = std::os::unix::net::UnixListener::bind(socket)?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }
}

/// Serves one database until `stop`. Runs in a tokio runtime of its own.
///
/// A statement that nothing stops ends the process: what is not answered then was not kept.
///
/// # Errors
/// When the system does not let it listen.
pub async fn serve(
    listener: WorkerListener,
    config: ServeConfig,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let listener = UnixListener::from_std(listener.0)?;
    let is_stuck = Arc::new(Notify::new());
    let told = Arc::clone(&is_stuck);
    let when_stuck = Some(WhenStuck::new(move || told.notify_one()));
    let locks = Arc::<AccessLocks>::default();
    let databases = DatabasesFolder::of_one(config.folder.clone());
    let served = Arc::new(Served {
        executor: Arc::new(SqliteExecutor::telling(
            when_stuck,
            config.sqlite,
            databases,
            Arc::clone(&locks),
        )),
        locks,
        database: config.database,
        rooms: Arc::new(Rooms::new(RoomSizes {
            working: usize::MAX / 8,
            waiting: usize::MAX / 8,
            streams: usize::MAX / 8,
            bytes: config.answer_bytes,
            forwarded: 0,
        })),
        accounts: Accounts::default(),
        replies: Mutex::default(),
    });
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = is_stuck.notified() => served.end_process().await,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) if connections.len() < MOST_CONNECTIONS => {
                    if is_allowed(&socket) {
                        connections.spawn(answer(Arc::clone(&served), socket));
                    }
                }
                // It is closed, and tries again.
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            },
        }
    }
    connections.shutdown().await;
    served.executor.close_all().await;
    Ok(())
}

/// Only its owner may pass the folder; this holds where that was opened by mistake.
fn is_allowed(socket: &UnixStream) -> bool {
    let own = geteuid().as_raw();
    socket
        .peer_cred()
        .is_ok_and(|peer| [0, own].contains(&peer.uid()))
}

async fn answer(served: Arc<Served>, socket: UnixStream) {
    let mut line = Line::new(socket);
    let greeted = tokio::time::timeout(GREETING, greet(&served, &mut line));
    let Ok(Ok(purpose)) = greeted.await else {
        return;
    };
    match purpose {
        Purpose::Requests => requests::answer(served, line).await,
        Purpose::One => one::answer(&served, line).await,
        Purpose::Health => {}
    }
}

async fn greet(served: &Served, line: &mut Line) -> io::Result<Purpose> {
    let frame = line.hear().await?;
    let hello: Hello = frame.read()?;
    let is_meant = hello.database == served.database || hello.purpose == Purpose::Health;
    if hello.version != VERSION || !is_meant {
        let version = VERSION;
        line.say(0, &Said::NotThis { version }, &[]).await?;
        return Err(io::ErrorKind::Unsupported.into());
    }
    line.say(0, &Said::Ready, &[]).await?;
    Ok(hello.purpose)
}
