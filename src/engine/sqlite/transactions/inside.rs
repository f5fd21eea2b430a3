//! What an open transaction holds, and how the statements of one request run on it.
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::{Form, Keep, Statement, TransactionPlace};
use crate::engine::sqlite::open::open_database::OpenDatabase;
use crate::engine::sqlite::readers::snapshot::Snapshot;
use crate::engine::sqlite::statement::savepoint::{
    End, ForeignKeys, in_savepoint, run_all, run_in_savepoint,
};
use crate::engine::sqlite::writer::lease::WriterLease;
use crate::engine::sqlite::{Answer, ExecutionLimits, Savepoints, SqlError, SqliteConnection};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What an open transaction has in hand.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) held: Held,
    pub(crate) open: Arc<OpenDatabase>,
    /// Whether a statement of it changed the schema.
    pub(crate) changes_schema: bool,
    /// Those that its client made.
    pub(crate) savepoints: Savepoints,
    /// Given back with it.
    pub(crate) place: Arc<dyn TransactionPlace>,
    /// Last: dropped after all handles.
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
    Writer(WriterLease),
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

impl Inside {
    /// Runs the statements of a request. Blocks.
    ///
    /// # Errors
    /// The first failure, with the place of its statement, of which nothing is left.
    pub(crate) fn run(
        &mut self,
        request: &InnerRequest,
        limits: ExecutionLimits,
    ) -> Result<Vec<Answer>, (usize, SqlError)> {
        if let Held::Nothing = self.held {
            let snapshot = Snapshot::begin(&self.open, limits.clone());
            self.held = Held::Snapshot(snapshot.map_err(|error| (0, error))?);
        }
        let savepoints = &mut self.savepoints;
        let answers = match &mut self.held {
            Held::Nothing => unreachable!("it was given a snapshot"),
            Held::Snapshot(it) => run_on_reader(it.sqlite(), request, limits, savepoints),
            Held::Writer(it) => run_on_writer(it.sqlite(), request, limits, savepoints),
        }?;
        self.changes_schema |= answers.iter().any(|it| it.changes_schema);
        Ok(answers)
    }

    /// Makes everything lasting. Blocks.
    ///
    /// # Errors
    /// What SQLite says; [`Self::is_over`] tells whether the transaction goes on.
    pub(crate) fn commit(&mut self, limits: ExecutionLimits) -> Result<(), SqlError> {
        let Held::Writer(writer) = &mut self.held else {
            return Ok(()); // it has read
        };
        let sqlite = writer.sqlite();
        if sqlite.has_deferred_violations() {
            return Err(SqlError::DeferredForeignKey);
        }
        if self.changes_schema {
            // Before as well: nothing runs by what was learned of the schema that is going.
            self.open.classifier.forget_all();
        }
        sqlite.set_limits(limits);
        // The WAL needs no look: it had room when the writer was lent, no other request has written
        // since, and a transaction that writes a page again writes over it there. So it grows by
        // no more than the pages that the size limit allows, most of them before this.
        let committed = sqlite.command("COMMIT;");
        sqlite.clear_limits();
        if committed.is_ok() {
            self.open.commits.fetch_add(1, Ordering::Release);
            self.open.keep_wal_short(sqlite);
        }
        if self.changes_schema {
            self.open.classifier.forget_all();
        }
        if committed == Err(SqlError::OutcomeUnknown) {
            self.open.breaker.disk_failed();
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
    limits: ExecutionLimits,
    savepoints: &mut Savepoints,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    let before = savepoints.clone();
    if request.together {
        savepoints.fix();
    }
    sqlite.set_limits(limits);
    let result = run_with_savepoints(sqlite, request, savepoints);
    sqlite.clear_limits();
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
    limits: ExecutionLimits,
    savepoints: &mut Savepoints,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    if !request.may_write {
        let only_reads = sqlite.command("PRAGMA query_only = 1;");
        only_reads.map_err(|error| (0, error))?;
    }
    let result = if request.together {
        run_together(sqlite, request, limits, savepoints)
    } else {
        run_one_by_one(sqlite, request, &limits, savepoints)
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
    limits: ExecutionLimits,
    savepoints: &mut Savepoints,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    let before = savepoints.clone();
    savepoints.fix();
    let result = in_savepoint(sqlite, |sqlite| {
        sqlite.set_limits(limits);
        let result = run_with_savepoints(sqlite, request, savepoints);
        sqlite.clear_limits();
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
    limits: &ExecutionLimits,
    savepoints: &mut Savepoints,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    let (statements, form) = (&request.statements, &request.form);
    run_all(sqlite, statements, form, |sqlite, index| {
        let statement = &statements[index];
        sqlite.set_limits(limits.clone());
        let done = sqlite.run_savepoint(statement, form, savepoints);
        sqlite.clear_limits();
        if let Some(done) = done {
            return done;
        }
        let one = std::slice::from_ref(statement);
        let at_commit = ForeignKeys::AtCommit;
        let result = run_in_savepoint(
            sqlite,
            one,
            form,
            limits.clone(),
            at_commit,
            Keep::default(),
        );
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
