//! One transaction of several requests: what it holds, and until when.
use crate::clock::timestamp::Timestamp;
use crate::clock::{Clock, Deadline};
use crate::data::SharedGuard;
use crate::data::transactions::Room;
use crate::domain::ids::{DatabaseId, TokenId};
use crate::engine::sql::QueryError;
use crate::engine::sql::{Form, Statement};
use crate::engine::sql::{TransactionEnd, TransactionError, TransactionMode};
use crate::engine::sqlite::open::open_database::OpenDatabase;
use crate::engine::sqlite::readers::snapshot::Snapshot;
use crate::engine::sqlite::statement::savepoint::{
    End, ForeignKeys, in_savepoint, run_all, run_in_savepoint,
};
use crate::engine::sqlite::writer::lease::LentWriter;
use crate::engine::sqlite::{Answer, Hold, Savepoints, SqlError, SqliteConnection};
use crate::shares;
use crate::shares::Pass;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// One transaction. Its requests run one after another.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) id: String,
    pub(crate) database: DatabaseId,
    pub(crate) owner: Option<TokenId>,
    pub(crate) mode: TransactionMode,
    idle: Duration,
    times: Mutex<Times>,
    /// Whether snapshots of its database have to end.
    wal_is_long: Arc<AtomicBool>,
    end: OnceLock<TransactionEnd>,
    /// Of the request that began it: while it is open, its token has something under way.
    _pass: Option<Pass>,
    inside: Arc<tokio::sync::Mutex<Option<Inside>>>,
}

/// A moment by two clocks; it has come when either says so. The wall clock is what was promised,
/// and may be set back; the other cannot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    pub(crate) deadline: Deadline,
}

#[derive(Debug)]
struct Times {
    /// Requests that are being worked on: meanwhile it is not idle.
    users: usize,
    idle_until: Moment,
    ends: Moment,
}

/// What an open transaction has in hand.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) held: Held,
    pub(crate) open: Arc<OpenDatabase>,
    /// Whether a statement of it changed the schema.
    pub(crate) changes_schema: bool,
    /// Those that its client made.
    pub(crate) savepoints: Savepoints,
    pub(crate) _room: Room,
    /// Last: what is behind the gate is out of hand.
    pub(crate) guard: SharedGuard,
}

/// The connection that it runs on.
#[derive(Debug)]
pub(crate) enum Held {
    /// None yet.
    Nothing,
    /// A reader that sees one moment.
    Snapshot(Snapshot),
    /// The writer.
    Writer(LentWriter),
}

/// The statements of one request of a transaction.
#[derive(Debug, Clone)]
pub(crate) struct InnerRequest {
    pub(crate) statements: Vec<Statement>,
    pub(crate) form: Form,
    /// Whether all of them are kept in the transaction, or none. Else those before the first
    /// failure are.
    pub(crate) together: bool,
    pub(crate) may_write: bool,
}

/// A transaction with whose connection one request is alone.
pub(crate) struct Entered {
    place: Option<OwnedMutexGuard<Option<Inside>>>,
    transaction: Arc<Transaction>,
}

/// A request of a transaction. Its end is the moment from which the transaction is idle.
pub(crate) struct Use<'t> {
    transaction: &'t Transaction,
    clock: &'t dyn Clock,
}

impl Moment {
    pub(crate) fn after(wait: Duration, now: Timestamp) -> Self {
        Self {
            at: now.after(wait),
            deadline: Deadline::after(wait),
        }
    }

    fn has_come(&self, now: Timestamp) -> bool {
        self.at <= now || self.deadline.has_passed()
    }
}

impl Transaction {
    pub(crate) fn new(
        id: String,
        owner: Option<TokenId>,
        mode: TransactionMode,
        [idle, total]: [Duration; 2],
        now: Timestamp,
        inside: Inside,
    ) -> Self {
        Self {
            id,
            database: inside.guard.database(),
            owner,
            mode,
            idle,
            times: Mutex::new(Times {
                users: 0,
                idle_until: Moment::after(idle, now),
                ends: Moment::after(total, now),
            }),
            wal_is_long: Arc::clone(&inside.open.wal_is_long),
            end: OnceLock::new(),
            _pass: Pass::here(),
            inside: Arc::new(tokio::sync::Mutex::new(Some(inside))),
        }
    }

    /// When it ends, if no request comes, and at the latest.
    pub(crate) fn ends(&self) -> (Moment, Moment) {
        let times = self.times();
        (times.idle_until, times.ends)
    }

    /// How it has to end now, if it has to.
    pub(crate) fn expired(&self, now: Timestamp) -> Option<TransactionEnd> {
        let times = self.times();
        if times.ends.has_come(now) {
            Some(TransactionEnd::OutOfTime)
        } else if times.users == 0 && times.idle_until.has_come(now) {
            Some(TransactionEnd::Idle)
        } else if self.mode != TransactionMode::Immediate
            && self.wal_is_long.load(Ordering::Acquire)
        {
            Some(TransactionEnd::TooOld)
        } else {
            None
        }
    }

    /// A request of it begins.
    pub(crate) fn used<'t>(&'t self, clock: &'t dyn Clock) -> Use<'t> {
        self.times().users += 1;
        Use {
            transaction: self,
            clock,
        }
    }

    /// Says how it ends; whoever has its connection at the moment lets go of it then.
    pub(crate) fn ends_as(&self, end: TransactionEnd) {
        let _ = self.end.set(end);
    }

    /// Waits until no other request has its connection.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        deadline: Deadline,
    ) -> Result<Entered, TransactionError> {
        let waiting = Arc::clone(&self.inside).lock_owned();
        let place = shares::waiting(tokio::time::timeout_at(deadline.instant(), waiting)).await;
        let place = place.map_err(|_| TransactionError::Query(QueryError::Locked))?;
        let end = match self.end.get() {
            None if place.is_some() => None,
            end => Some(end.copied().unwrap_or(TransactionEnd::Broken)),
        };
        let entered = Entered {
            transaction: Arc::clone(self),
            place: Some(place),
        };
        match end {
            None => Ok(entered),
            Some(end) => Err(TransactionError::Ended(end)),
        }
    }

    /// Lets go of what it holds, rolling back what was not committed, unless a request has it:
    /// that one does then. On a thread that may block, where there is one.
    pub(crate) fn let_go(&self) {
        let Ok(mut place) = Arc::clone(&self.inside).try_lock_owned() else {
            return;
        };
        let inside = place.take();
        if inside.is_none() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(tokio) => drop(tokio.spawn_blocking(move || drop(inside))),
            Err(_) => drop(inside),
        }
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Runs the statements of a request. Blocks.
    ///
    /// # Errors
    /// The first failure, with the place of its statement, of which nothing is left.
    pub(crate) fn run(
        &mut self,
        request: &InnerRequest,
        hold: Hold,
    ) -> Result<Vec<Answer>, (usize, SqlError)> {
        if let Held::Nothing = self.held {
            let snapshot = Snapshot::begin(&self.open, hold.clone());
            self.held = Held::Snapshot(snapshot.map_err(|error| (0, error))?);
        }
        let savepoints = &mut self.savepoints;
        let answers = match &mut self.held {
            Held::Nothing => unreachable!("it was given a snapshot"),
            Held::Snapshot(it) => run_on_reader(it.sqlite(), request, hold, savepoints),
            Held::Writer(it) => run_on_writer(it.sqlite(), request, hold, savepoints),
        }?;
        self.changes_schema |= answers.iter().any(|it| it.changes_schema);
        Ok(answers)
    }

    /// Makes everything lasting. Blocks.
    ///
    /// # Errors
    /// What SQLite says; [`Self::is_over`] tells whether the transaction goes on.
    pub(crate) fn commit(&mut self, hold: Hold) -> Result<(), SqlError> {
        let Held::Writer(writer) = &mut self.held else {
            return Ok(()); // it has read
        };
        let sqlite = writer.sqlite();
        if sqlite.has_deferred_violations() {
            return Err(SqlError::DeferredForeignKey);
        }
        if self.changes_schema {
            // Before as well: nothing runs by what was learned of the schema that is going.
            self.open.lanes.forget_all();
        }
        sqlite.hold(hold);
        // The WAL needs no look: it had room when the writer was lent, nobody else has written
        // since, and a transaction that writes a page again writes over it there. So it grows by
        // no more than the pages that the size limit allows, most of them before this.
        let committed = sqlite.command("COMMIT;");
        sqlite.release();
        if committed.is_ok() {
            self.open.commits.fetch_add(1, Ordering::Release);
            writer.keep_wal_short();
        }
        if self.changes_schema {
            self.open.lanes.forget_all();
        }
        if committed == Err(SqlError::OutcomeUnknown) {
            self.open.bench.the_disk_failed();
        }
        committed
    }

    /// Whether the last statement ended the transaction, or its connection must not be used again.
    pub(crate) fn is_over(&mut self) -> bool {
        let ended = |it: &SqliteConnection| it.is_spoiled() || it.is_autocommit();
        match &mut self.held {
            Held::Nothing => false,
            Held::Snapshot(it) => ended(it.sqlite()),
            Held::Writer(it) => ended(it.sqlite()),
        }
    }
}

/// Runs a request on a reader, where only savepoints leave anything.
fn run_on_reader(
    sqlite: &mut SqliteConnection,
    request: &InnerRequest,
    hold: Hold,
    savepoints: &mut Savepoints,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    let before = savepoints.clone();
    if request.together {
        savepoints.fix();
    }
    sqlite.hold(hold);
    let result = run_with_savepoints(sqlite, request, savepoints);
    sqlite.release();
    savepoints.unfix();
    // What needs the writer runs there from its beginning.
    if matches!(result, Err((_, SqlError::NeedsWriter))) || result.is_err() && request.together {
        *savepoints = before;
    }
    result
}

/// Runs a request on the writer. A request that may only read is held to it by SQLite: this
/// connection's authorizer would let it write.
fn run_on_writer(
    sqlite: &mut SqliteConnection,
    request: &InnerRequest,
    hold: Hold,
    savepoints: &mut Savepoints,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    if !request.may_write {
        let only_reads = sqlite.command("PRAGMA query_only = 1;");
        only_reads.map_err(|error| (0, error))?;
    }
    let result = if request.together {
        run_together(sqlite, request, hold, savepoints)
    } else {
        run_one_by_one(sqlite, request, &hold, savepoints)
    };
    if !request.may_write && sqlite.command("PRAGMA query_only = 0;").is_err() {
        sqlite.spoil();
    }
    result
}

/// Runs statements in a savepoint of the gateway's own, with those of the client inside of it.
fn run_together(
    sqlite: &mut SqliteConnection,
    request: &InnerRequest,
    hold: Hold,
    savepoints: &mut Savepoints,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    let before = savepoints.clone();
    savepoints.fix();
    let result = in_savepoint(sqlite, |sqlite| {
        sqlite.hold(hold);
        let result = run_with_savepoints(sqlite, request, savepoints);
        sqlite.release();
        // To release the gateway's own would release those that the client has left open in it.
        let end = match savepoints.count() == before.count() {
            true => End::Release,
            false => End::Leave,
        };
        result.map(|answers| (answers, end))
    });
    savepoints.unfix();
    if result.is_err() {
        *savepoints = before;
    }
    result
}

/// Runs each statement in a savepoint of its own, since it may fail after it has changed something.
/// Those about savepoints run outside of any.
fn run_one_by_one(
    sqlite: &mut SqliteConnection,
    request: &InnerRequest,
    hold: &Hold,
    savepoints: &mut Savepoints,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    let (statements, form) = (&request.statements, &request.form);
    run_all(sqlite, statements, form, |sqlite, index| {
        let statement = &statements[index];
        sqlite.hold(hold.clone());
        let done = sqlite.run_savepoint(statement, form, savepoints);
        sqlite.release();
        if let Some(done) = done {
            return done;
        }
        let one = std::slice::from_ref(statement);
        let at_commit = ForeignKeys::AtCommit;
        let result = run_in_savepoint(sqlite, one, form, hold.clone(), at_commit);
        let mut answers = result.map_err(|(_, error)| error)?;
        Ok(answers.pop().expect("one answer for one statement"))
    })
}

fn run_with_savepoints(
    sqlite: &mut SqliteConnection,
    request: &InnerRequest,
    savepoints: &mut Savepoints,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    let (statements, form) = (&request.statements, &request.form);
    run_all(sqlite, statements, form, |sqlite, index| {
        let statement = &statements[index];
        match sqlite.run_savepoint(statement, form, savepoints) {
            Some(done) => done,
            None => sqlite.run(statement, form),
        }
    })
}

impl Entered {
    /// Drops what the transaction holds: what was not committed is rolled back. Blocks.
    pub(crate) fn empty(&mut self) {
        if let Some(place) = &mut self.place {
            drop(place.take());
        }
    }
}

impl Deref for Entered {
    type Target = Inside;
    fn deref(&self) -> &Inside {
        let place = self.place.as_ref().expect("it is there until dropped");
        place.as_ref().expect("who was let in finds it whole")
    }
}

impl DerefMut for Entered {
    fn deref_mut(&mut self) -> &mut Inside {
        let place = self.place.as_mut().expect("it is there until dropped");
        place.as_mut().expect("who was let in finds it whole")
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(self.place.take());
        // Whoever ended it meanwhile found it taken.
        if self.transaction.end.get().is_some() {
            self.transaction.let_go();
        }
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let transaction = self.transaction;
        let mut times = transaction.times();
        times.users -= 1;
        times.idle_until = Moment::after(transaction.idle, self.clock.now());
    }
}
