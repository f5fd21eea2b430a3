//! The connections of one database, and who has them.
use super::error::of_connecting;
use super::schema::known::KnownSchema;
use super::session::Session;
use super::text::Remains;
use super::values::Types;
use crate::clock::{Deadline, Stopwatch};
use crate::engine::access_lock::SharedGuard;
use crate::engine::postgres::client::{ClientError, Connection, Login, Stopper};
use crate::engine::postgres::roles::{APP, DATABASE, OWNER, READER, RoleSecrets};
use crate::engine::sql::QueryError;
use crate::locks::Mutex;
use crate::shares;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Statements that run on one database at a time: more gain nothing on the processors that a worker
/// has, and each has a process there.
const STATEMENTS: usize = 8;

/// Transactions of several requests that may be open on one database: each has a connection.
const TRANSACTIONS: usize = 6;

/// Streams of one database at a time.
const STREAMS: usize = 4;

/// Statements of one database that may wait for a connection.
const WAITING: usize = 512;

/// How long a server that is starting is waited for.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// How often it is tried meanwhile.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Past its deadline and this much more, the process that runs a statement is ended: a function may
/// swallow the cancellation.
pub(super) const GRACE: Duration = Duration::from_millis(250);

/// How long the server may take for what takes no time: signing in, ending a process, resetting a
/// session.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that was not used for so long is closed: it has a process in the worker.
const IDLE: Duration = Duration::from_secs(60);

/// Settings of each session. They stand above those that a role may set for itself, so that values
/// have the forms that are read here. The gateway itself keeps the time of statements.
const SETTINGS: &[(&str, &str)] = &[
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("standard_conforming_strings", "on"),
    ("client_min_messages", "error"),
    ("search_path", "\"$user\", public"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("client_connection_check_interval", "2s"),
];

/// Whose rights a connection has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    App,
    Reader,
}

impl Role {
    /// Of requests that may write, or not.
    pub(super) fn of(may_write: bool) -> Self {
        if may_write { Self::App } else { Self::Reader }
    }
}

/// What a connection is for. Each has a number of them of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Statement,
    Transaction,
    Stream,
}

/// The connections of one database.
#[derive(Debug)]
pub(super) struct Pool {
    /// The folder that its server listens in.
    folder: Arc<Path>,
    secrets: Arc<RoleSecrets>,
    pub(super) types: Types,
    pub(super) schema: KnownSchema,
    statements: Arc<Semaphore>,
    transactions: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    waiting: AtomicUsize,
    open: Arc<AtomicUsize>,
    idle: Mutex<Vec<Idle>>,
    is_closed: AtomicBool,
    /// Where connections live and are mended, whichever thread has asked for them.
    tokio: Handle,
}

#[derive(Debug)]
struct Idle {
    role: Role,
    session: Session,
    since: Stopwatch,
    counted: Counted,
}

/// Counts an open connection.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn one(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection for one request or transaction. Dropped, it is brought back to what it was, whatever
/// it is in the middle of.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Arc<Pool>,
    role: Role,
    held: Option<Held>,
    /// What its statements may have left in the session.
    remains: Remains,
}

/// In this order it is let go.
#[derive(Debug)]
struct Held {
    session: Session,
    counted: Counted,
    _permit: OwnedSemaphorePermit,
    _guard: SharedGuard,
}

impl Pool {
    pub(super) fn new(folder: Arc<Path>, secrets: RoleSecrets, tokio: Handle) -> Self {
        Self {
            folder,
            secrets: Arc::new(secrets),
            types: Types::default(),
            schema: KnownSchema::default(),
            statements: Arc::new(Semaphore::new(STATEMENTS)),
            transactions: Arc::new(Semaphore::new(TRANSACTIONS)),
            streams: Arc::new(Semaphore::new(STREAMS)),
            waiting: AtomicUsize::new(0),
            open: Arc::default(),
            idle: Mutex::default(),
            is_closed: AtomicBool::new(false),
            tokio,
        }
    }

    /// A connection, once one is free.
    ///
    /// # Errors
    /// When none is before the deadline, too many wait already, or the server does not answer.
    pub(super) async fn lease(
        self: &Arc<Self>,
        guard: &SharedGuard,
        role: Role,
        purpose: Purpose,
        deadline: Deadline,
    ) -> Result<Lease, QueryError> {
        let permit = self.permit(purpose, deadline).await?;
        let idle = self.take_idle(role);
        let (session, counted) = match idle {
            Some(idle) => (idle.session, idle.counted),
            None => (
                self.connect(role, deadline).await?,
                Counted::one(&self.open),
            ),
        };
        Ok(Lease {
            pool: Arc::clone(self),
            role,
            held: Some(Held {
                session,
                counted,
                _permit: permit,
                _guard: guard.clone(),
            }),
            remains: Remains::Nothing,
        })
    }

    async fn permit(
        &self,
        purpose: Purpose,
        deadline: Deadline,
    ) -> Result<OwnedSemaphorePermit, QueryError> {
        let (semaphore, what) = match purpose {
            Purpose::Statement => (&self.statements, "a connection to the database"),
            Purpose::Transaction => (&self.transactions, "a transaction on the database"),
            Purpose::Stream => (&self.streams, "a stream on the database"),
        };
        if let Ok(permit) = Arc::clone(semaphore).try_acquire_owned() {
            return Ok(permit);
        }
        let overloaded = QueryError::Overloaded { what };
        if purpose != Purpose::Statement {
            return Err(overloaded);
        }
        let Some(_waits) = Waits::begin(&self.waiting) else {
            return Err(overloaded);
        };
        let permit = Arc::clone(semaphore).acquire_owned();
        let permit = tokio::time::timeout_at(deadline.instant(), permit);
        match shares::waiting(permit).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(overloaded),
        }
    }

    fn take_idle(&self, role: Role) -> Option<Idle> {
        let mut idle = self.idle.lock();
        while let Some(place) = idle.iter().rposition(|idle| idle.role == role) {
            let found = idle.swap_remove(place);
            // Its server may have gone meanwhile.
            if found.session.connection.is_alive() {
                return Some(found);
            }
        }
        // The permits are those of both roles together: one of the other makes room.
        let most = STATEMENTS + TRANSACTIONS + STREAMS;
        let is_full = self.open.load(Ordering::Relaxed) >= most;
        let closed = is_full.then(|| idle.pop());
        drop(idle);
        drop(closed);
        None
    }

    async fn connect(&self, role: Role, deadline: Deadline) -> Result<Session, QueryError> {
        let patience = Deadline::after(CONNECT_PATIENCE).min(deadline);
        loop {
            match self.open(role_name(role), DATABASE).await {
                Ok(connection) => return Ok(Session::new(connection)),
                Err(error) => {
                    let error = of_connecting(error);
                    // One that was closed just now may not be gone yet.
                    let passes =
                        matches!(error, QueryError::Starting | QueryError::Overloaded { .. });
                    if !passes || patience.has_passed() {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(CONNECT_PAUSE).await;
        }
    }

    /// Opens a connection, on the runtime that outlives the request.
    async fn open(
        &self,
        role: &'static str,
        database: &'static str,
    ) -> Result<Connection, ClientError> {
        let (folder, secrets) = (Arc::clone(&self.folder), Arc::clone(&self.secrets));
        let opened = self.tokio.spawn(async move {
            let secret = match role {
                APP => &secrets.app,
                READER => &secrets.reader,
                _ => &secrets.owner,
            };
            let login = Login {
                role,
                secret,
                database,
                settings: SETTINGS,
            };
            tokio::time::timeout(PATIENCE, Connection::open(&folder, login)).await
        });
        match opened.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) => Err(ClientError::Io(std::io::ErrorKind::TimedOut.into())),
            Err(_) => Err(ClientError::Io(std::io::ErrorKind::Interrupted.into())),
        }
    }

    /// Ends the server's process for a connection, which nothing that runs in it can prevent.
    pub(super) async fn terminate(&self, stopper: &Stopper) {
        let process = stopper.process();
        let ended = async {
            let mut owner = Session::new(self.open(OWNER, DATABASE).await?);
            let sql = format!("SELECT pg_catalog.pg_terminate_backend({process})");
            let _ = owner.command(&sql).await;
            Ok::<_, ClientError>(())
        };
        match tokio::time::timeout(PATIENCE, ended).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "failed to end a statement in a worker"),
            Err(_) => tracing::warn!("a worker did not end a statement in time"),
        }
    }

    /// Closes what is idle, and keeps nothing from now on.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
    }

    /// Closes what was idle for long. Whether nothing is open any more.
    pub(super) fn close_idle(&self) -> bool {
        let mut closed = Vec::new();
        let mut idle = self.idle.lock();
        for place in (0..idle.len()).rev() {
            if idle[place].since.elapsed() >= IDLE {
                closed.push(idle.swap_remove(place));
            }
        }
        drop(idle);
        drop(closed);
        self.open.load(Ordering::Relaxed) == 0
    }

    /// Connections that are open.
    pub(super) fn open_connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The runtime that outlives requests.
    pub(super) fn runtime(&self) -> Handle {
        self.tokio.clone()
    }

    /// Runs work on the runtime that outlives the request.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tokio.spawn(work);
    }

    /// Streams that are open.
    pub(super) fn open_streams(&self) -> usize {
        STREAMS - self.streams.available_permits()
    }

    fn put_back(&self, role: Role, held: Held) {
        let mut idle = self.idle.lock();
        if !self.is_closed.load(Ordering::Acquire) {
            idle.push(Idle {
                role,
                session: held.session,
                since: Stopwatch::start(),
                counted: held.counted,
            });
        }
    }

    /// Brings a connection back to what it was, and keeps it.
    async fn mend(self: Arc<Self>, role: Role, mut held: Held, mut remains: Remains) {
        let session = &mut held.session;
        if session.connection.is_busy() {
            // What it was in the middle of may have left anything.
            remains = Remains::Anything;
            let stopper = session.connection.stopper().clone();
            let _ = tokio::time::timeout(GRACE, stopper.cancel()).await;
            if !matches!(
                tokio::time::timeout(GRACE, session.drain()).await,
                Ok(Ok(()))
            ) {
                self.terminate(&stopper).await;
                return;
            }
        }
        let reset = tokio::time::timeout(PATIENCE, session.reset(remains)).await;
        if matches!(reset, Ok(Ok(()))) && !session.connection.is_busy() {
            self.put_back(role, held);
        }
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::App => APP,
        Role::Reader => READER,
    }
}

impl Lease {
    /// The connection.
    pub(super) fn session(&mut self) -> &mut Session {
        let held = self.held.as_mut();
        &mut held.expect("it is held until it is dropped").session
    }

    /// The connection, and the types of its database.
    pub(super) fn session_and_types(&mut self) -> (&mut Session, &Types) {
        let held = self.held.as_mut();
        let session = &mut held.expect("it is held until it is dropped").session;
        (session, &self.pool.types)
    }

    /// The pool that it is of.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// A statement is run that may leave something in the session.
    pub(super) fn may_leave(&mut self, remains: Remains) {
        self.remains = self.remains.max(remains);
    }

    /// Stops what it runs.
    pub(super) fn stopper(&mut self) -> Stopper {
        self.session().connection.stopper().clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut held) = self.held.take() else {
            return;
        };
        let connection = &mut held.session.connection;
        let is_whole = !connection.is_busy() && connection.status() == b'I';
        if is_whole && self.remains == Remains::Nothing {
            self.pool.put_back(self.role, held);
            return;
        }
        let (pool, role, remains) = (Arc::clone(&self.pool), self.role, self.remains);
        let tokio = pool.tokio.clone();
        tokio.spawn(pool.mend(role, held, remains));
    }
}

/// Counts a request that waits.
struct Waits<'w>(&'w AtomicUsize);

impl<'w> Waits<'w> {
    fn begin(waiting: &'w AtomicUsize) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let waits = Self(waiting);
        (before < WAITING).then_some(waits)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
