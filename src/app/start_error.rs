//! Why the gateway does not start.
use crate::control::SubmitError;
use crate::data::LayoutError;
use crate::event_log::ReadError;
use crate::event_log::disk::OpenError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the forge does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error("cannot use the data folder {}", folder.display())]
    DataFolder {
        folder: PathBuf,
        /// What was seen.
        source: io::Error,
    },
    /// The folders in the data folder cannot be used as they are.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A folder above the data folder keeps the workers' user out.
    #[error(
        "the workers' user {user}:{group} cannot pass the folder {}: let it pass \
         (`chmod o+x {}`), put the data folder elsewhere (DBFORGE_DATA_DIR), or let workers run as \
         a user that can pass (DBFORGE_WORKER_USER)", folder.display(), folder.display()
    )]
    Impassable {
        /// The first one, seen from the root.
        folder: PathBuf,
        user: u32,
        group: u32,
    },
    /// No process can be started as the workers' user.
    #[error(
        "this program cannot be started as the workers' user {user}:{group}: its file has to be \
         executable for that user (`chmod o+x`), or set DBFORGE_WORKER_USER"
    )]
    UnusableUser {
        user: u32,
        group: u32,
        /// What was seen.
        source: io::Error,
    },
    /// The event log does not open.
    #[error(transparent)]
    EventLog(#[from] OpenError),
    /// The event log cannot be read to its end.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// The read model cannot be opened.
    #[error("cannot open the read model control.db: {0}")]
    ControlDb(String),
    /// The first commands were not taken.
    #[error("cannot initialize the forge: {0}")]
    NotInitialized(#[from] SubmitError),
    /// The chosen runtime cannot be used.
    #[error("{0}")]
    Runtime(String),
    /// The root token cannot be read or kept.
    #[error(transparent)]
    RootToken(#[from] RootTokenError),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}; set DBFORGE_LISTEN to use another address")]
    Listen {
        address: SocketAddr,
        /// What was seen.
        source: io::Error,
    },
    /// The system gives no threads to answer with.
    #[error("cannot start the HTTP threads")]
    Threads(#[source] io::Error),
    /// The ticker does not start.
    #[error("cannot start the ticker: {0}")]
    Ticker(String),
}

/// Why the root token is unavailable.
#[derive(Debug, thiserror::Error)]
#[error("the root token in {} could not be {action}", file.display())]
pub struct RootTokenError {
    pub file: PathBuf,
    /// What was tried.
    pub action: &'static str,
    /// What was seen.
    pub source: io::Error,
}
