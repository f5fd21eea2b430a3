//! A transaction of several requests: it has a connection of its own for as long as it is open.
//!
//! In front of each statement there is a savepoint, so that one that fails leaves nothing behind and
//! the transaction goes on.
use super::answer::RowWriter;
use super::error::{Asked, Failure};
use super::pool::{GRACE, Lease, Pool, Purpose, Role};
use super::session::no_copy;
use super::text::{self, Nature, SavepointStep};
use super::work::{run_one, within};
use crate::clock::Deadline;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::executor::{Call, SqlTransaction};
use crate::engine::sql::{
    Form, Keep, QueryAnswer, QueryError, ServerRefusal, Statement, TransactionBatchError,
    TransactionEnd, TransactionError, TransactionMode, TransactionPlace,
};
use crate::shares;
use crate::shares::Held;
use async_trait::async_trait;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// A commit that takes longer than this has a disk that does not answer.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

/// Most savepoints of a client's that may be open in one transaction.
const MOST_SAVEPOINTS: usize = 100;

/// One transaction. Its requests run one after another.
#[derive(Debug)]
pub(super) struct PostgresTransaction {
    inside: Arc<Mutex<Option<Inside>>>,
    end: Arc<OnceLock<TransactionEnd>>,
}

/// What it holds, in the order in which that is let go.
#[derive(Debug)]
struct Inside {
    lease: Lease,
    /// Whether its connection may write at all.
    may_write: bool,
    /// Whether there is a savepoint of ours, the innermost one.
    has_savepoint: bool,
    /// The client's own savepoints, the outermost first.
    savepoints: Vec<String>,
    /// A request is at work on it.
    is_at_work: bool,
    place: Arc<dyn TransactionPlace>,
}

/// A transaction with whose connection one request is alone.
struct Entered {
    lock: OwnedMutexGuard<Option<Inside>>,
    end: Arc<OnceLock<TransactionEnd>>,
}

impl PostgresTransaction {
    /// Begins one, which keeps `place` for as long as it is open.
    pub(super) async fn begin(
        pool: &Arc<Pool>,
        guard: &SharedGuard,
        call: &Call,
        mode: TransactionMode,
        place: Arc<dyn TransactionPlace>,
    ) -> Result<Self, TransactionError> {
        let may_write = call.may_write && mode != TransactionMode::ReadOnly;
        let role = Role::of(may_write);
        let leased = pool.lease(guard, role, Purpose::Transaction, call.deadline);
        let mut lease = leased.await?;
        lease.may_leave(text::Remains::Settings);
        let begin = match may_write {
            // Whether it may write is the role's setting: one that is full may not.
            true => "BEGIN ISOLATION LEVEL READ COMMITTED",
            false => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let stopper = lease.stopper();
        let begun = within(call.deadline, pool, stopper, lease.session().command(begin)).await;
        begun.map_err(|failure| failure.for_caller(&asked(call, false)))?;
        Ok(Self {
            inside: Arc::new(Mutex::new(Some(Inside {
                lease,
                may_write,
                has_savepoint: false,
                savepoints: Vec::new(),
                is_at_work: false,
                place,
            }))),
            end: Arc::default(),
        })
    }

    /// Waits until no other request has its connection.
    async fn enter(&self, deadline: Deadline) -> Result<Entered, TransactionError> {
        let waiting = Arc::clone(&self.inside).lock_owned();
        let lock = shares::waiting(tokio::time::timeout_at(deadline.instant(), waiting)).await;
        let lock = lock.map_err(|_| TransactionError::Query(QueryError::Locked))?;
        let end = match self.end.get() {
            None if lock.is_some() => None,
            end => Some(end.copied().unwrap_or(TransactionEnd::Broken)),
        };
        let entered = Entered {
            lock,
            end: Arc::clone(&self.end),
        };
        match end {
            None => Ok(entered),
            Some(end) => Err(TransactionError::Ended(end)),
        }
    }
}

fn asked(call: &Call, begins_like_a_read: bool) -> Asked {
    Asked {
        timeout: call.timeout,
        may_write: call.may_write,
        begins_like_a_read,
        keeps_at_once: false,
    }
}

impl Entered {
    fn inside(&mut self) -> &mut Inside {
        let inside = self.lock.as_mut();
        inside.expect("a transaction that is not over has what it holds")
    }

    /// Lets go of what it holds, and tells how it has ended.
    fn end(&mut self, end: TransactionEnd) {
        let Some(inside) = self.lock.take() else {
            return;
        };
        let _ = self.end.set(end);
        let place = Arc::clone(&inside.place);
        drop(inside);
        place.end(end);
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // The request was dropped in the middle of a statement.
        if self.lock.as_ref().is_some_and(|inside| inside.is_at_work) {
            self.end(TransactionEnd::Broken);
        }
        // Another request ended the transaction while this one held it.
        if self.end.get().is_some() {
            drop(self.lock.take());
        }
    }
}

impl Inside {
    /// Whether the connection still is in the transaction.
    fn is_over(&mut self) -> bool {
        let connection = &self.lease.session().connection;
        connection.is_busy() || connection.status() != b'T'
    }

    /// Runs the statements of a request.
    async fn run(
        &mut self,
        call: &Call,
        statements: &[Statement],
        together: bool,
    ) -> Result<Vec<QueryAnswer>, (usize, Failure)> {
        let is_kept = call.keep.is_kept;
        let together = together || call.keep != Keep::default();
        let begun_with = self.savepoints.len();
        if together {
            self.set_savepoint(call)
                .await
                .map_err(|failure| (0, failure))?;
        }
        let mut answers = Vec::with_capacity(statements.len());
        let (mut bytes, mut affected) = (0, 0);
        for (index, statement) in statements.iter().enumerate() {
            let ran = match SavepointStep::read(&statement.sql) {
                Some(step) => {
                    let fixed = if together { begun_with } else { 0 };
                    self.step(step, fixed, &call.form).await
                }
                None => self.one(call, statement, together).await,
            };
            let answer = match ran {
                Ok(answer) => answer,
                Err(failure) => {
                    if together {
                        self.undo(begun_with).await;
                    }
                    return Err((index, failure));
                }
            };
            bytes += answer.body.len();
            affected += answer.rows_affected;
            answers.push(answer);
            if index > 0 && bytes > call.form.max_bytes {
                let error = super::answer::too_many_bytes(&call.form);
                if together {
                    self.undo(begun_with).await;
                }
                return Err((index, error.into()));
            }
        }
        if let Some(most) = call.keep.most_affected.filter(|most| affected > *most) {
            self.undo(begun_with).await;
            return Err((0, QueryError::TooManyAffected { affected, most }.into()));
        }
        if together && (!is_kept || !call.may_write && self.may_write) {
            self.undo(begun_with).await;
        }
        Ok(answers)
    }

    /// Runs one statement, of which nothing is left when it fails.
    async fn one(
        &mut self,
        call: &Call,
        statement: &Statement,
        together: bool,
    ) -> Result<QueryAnswer, Failure> {
        let nature = Nature::of(&statement.sql);
        if nature.is_copy {
            return Err(no_copy().into());
        }
        if let Some(word) = nature.control {
            let what = format!(
                "{word} in a transaction of several requests; POST …/transactions/{{id}}/commit \
                 and …/rollback end it"
            );
            return Err(QueryError::NotAllowed { what }.into());
        }
        self.lease.may_leave(nature.remains);
        let open = self.savepoints.len();
        if !together {
            self.set_savepoint(call).await?;
        }
        let ran = run_one(&mut self.lease, statement, &nature, &call.form).await;
        if together {
            return ran;
        }
        // What may only read is held to it by its savepoint, which is left behind with it.
        if ran.is_err() || !call.may_write && self.may_write {
            self.undo(open).await;
        }
        ran
    }

    /// Puts the savepoint of ours behind all that was done so far.
    async fn set_savepoint(&mut self, call: &Call) -> Result<(), Failure> {
        let session = self.lease.session();
        if self.has_savepoint {
            session.ahead("RELEASE SAVEPOINT request; SAVEPOINT request")?;
        } else {
            session.ahead("SAVEPOINT request")?;
        }
        self.has_savepoint = true;
        if !call.may_write && self.may_write {
            session.ahead("SET TRANSACTION READ ONLY")?;
        }
        Ok(())
    }

    /// Takes back what was done since the savepoint of ours. What is in the way is stopped; where
    /// even that fails, the transaction is over.
    async fn undo(&mut self, savepoints: usize) {
        self.savepoints.truncate(savepoints);
        let session = self.lease.session();
        if session.connection.is_busy() {
            let stopper = session.connection.stopper().clone();
            let _ = tokio::time::timeout(GRACE, stopper.cancel()).await;
            if !matches!(
                tokio::time::timeout(GRACE, session.drain()).await,
                Ok(Ok(()))
            ) {
                return; // it stays busy, and is ended when it is let go
            }
        }
        // What fails shows in the state of the connection.
        let _ = session.command("ROLLBACK TO SAVEPOINT request").await;
    }

    /// Does what a client's statement about a savepoint says.
    async fn step(
        &mut self,
        step: SavepointStep,
        fixed: usize,
        form: &Form,
    ) -> Result<QueryAnswer, Failure> {
        let find = |name: &String, open: &[String]| match open.iter().rposition(|it| it == name) {
            None => Err(refused(
                "3B001",
                format!("savepoint \"{name}\" does not exist"),
                None,
            )),
            Some(place) if place < fixed => Err(refused(
                "3B001",
                format!("the savepoint {name} was made before this request"),
                Some(
                    "statements that are kept together cannot undo what was there before; send it \
                     alone, or in a batch with \"transaction\":\"none\"",
                ),
            )),
            Some(place) => Ok(place),
        };
        // Names of clients are told from those of the gateway.
        let named = |name: &str| format!("\"client {}\"", name.replace('"', "\"\""));
        let (command, name, open) = match &step {
            SavepointStep::Begin(_) if self.savepoints.len() >= MOST_SAVEPOINTS => {
                return Err(refused(
                    "54000",
                    format!("there are {MOST_SAVEPOINTS} savepoints in this transaction already"),
                    Some("RELEASE those that you do not need"),
                ));
            }
            SavepointStep::Begin(name) => (
                format!("SAVEPOINT {}", named(name)),
                name,
                self.savepoints.len(),
            ),
            SavepointStep::Release(name) => {
                let place = find(name, &self.savepoints)?;
                (format!("RELEASE SAVEPOINT {}", named(name)), name, place)
            }
            SavepointStep::Rollback(name) => {
                let place = find(name, &self.savepoints)?;
                (
                    format!("ROLLBACK TO SAVEPOINT {}", named(name)),
                    name,
                    place + 1,
                )
            }
        };
        self.lease.session().command(&command).await?;
        let name = name.clone();
        self.savepoints.truncate(open);
        if let SavepointStep::Begin(_) = step {
            self.savepoints.push(name);
        }
        // Ours is above or below the client's now: the next one is made anew.
        self.has_savepoint = false;
        let writer = RowWriter::begin(form, &[], None)?;
        Ok(writer.finish(Held::default(), 0, Duration::ZERO))
    }
}

fn refused(sqlstate: &str, message: String, hint: Option<&str>) -> Failure {
    QueryError::Server(Box::new(ServerRefusal {
        error: QueryError::Sql {
            message,
            hint: hint.map(str::to_owned),
        },
        sqlstate: sqlstate.to_owned(),
        position: None,
    }))
    .into()
}

#[async_trait]
impl SqlTransaction for PostgresTransaction {
    async fn run(
        &self,
        call: &Call,
        statements: Vec<Statement>,
        together: bool,
    ) -> Result<Vec<QueryAnswer>, TransactionBatchError> {
        let mut entered = self.enter(call.deadline).await?;
        let inside = entered.inside();
        inside.is_at_work = true;
        let pool = Arc::clone(inside.lease.pool());
        let stopper = inside.lease.stopper();
        let work = inside.run(call, &statements, together);
        let ran = within(call.deadline, &pool, stopper, work).await;
        inside.is_at_work = false;
        let is_over = inside.is_over();
        if is_over {
            entered.end(TransactionEnd::Broken);
        }
        ran.map_err(|(index, failure)| {
            let sql = statements.get(index).map_or("", |statement| &statement.sql);
            let begins_like_a_read = Nature::of(sql).begins_like_a_read;
            let error = failure.for_caller(&asked(call, begins_like_a_read));
            TransactionBatchError {
                statement: Some(index),
                kept: if together || is_over { 0 } else { index },
                error: match is_over {
                    true => TransactionError::RolledBack(error),
                    false => TransactionError::Query(error),
                },
            }
        })
    }

    async fn split(&self, script: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError> {
        Ok(text::statements(script).take(most).collect())
    }

    async fn commit(&self) -> Result<(), TransactionError> {
        let patience = Deadline::after(COMMIT_PATIENCE);
        let mut entered = self.enter(patience).await?;
        // A commit is not interrupted: a client that goes away now can read the rows to find out.
        let tokio = entered.inside().lease.pool().runtime();
        let commit = tokio.spawn(async move {
            let committed = entered.inside().commit().await;
            let end = match &committed {
                Ok(()) => Some(TransactionEnd::Committed),
                Err(_) if entered.inside().is_over() => Some(TransactionEnd::Broken),
                Err(_) => None,
            };
            if let Some(end) = end {
                entered.end(end);
            }
            (committed, end.is_some())
        });
        let (committed, is_over) = match tokio::time::timeout_at(patience.instant(), commit).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) | Err(_) => return Err(TransactionError::RolledBack(QueryError::Lost)),
        };
        committed.map_err(|failure| {
            let asked = Asked {
                timeout: COMMIT_PATIENCE,
                may_write: true,
                begins_like_a_read: false,
                keeps_at_once: true,
            };
            let error = failure.for_caller(&asked);
            match is_over {
                true => TransactionError::RolledBack(error),
                false => TransactionError::Query(error),
            }
        })
    }

    async fn roll_back(&self, deadline: Deadline) -> Result<(), TransactionError> {
        let mut entered = self.enter(deadline).await?;
        let inside = entered.inside();
        let rolled_back = inside.lease.session().command("ROLLBACK");
        // A connection that fails has let go of it, too.
        let _ = tokio::time::timeout_at(deadline.instant(), rolled_back).await;
        entered.end(TransactionEnd::RolledBack);
        Ok(())
    }

    fn end(&self, end: TransactionEnd) {
        let _ = self.end.set(end);
        self.discard();
    }

    fn discard(&self) {
        let Ok(mut lock) = Arc::clone(&self.inside).try_lock_owned() else {
            return; // the request that has it lets go
        };
        drop(lock.take());
    }
}

impl Inside {
    /// Makes everything lasting.
    async fn commit(&mut self) -> Result<(), Failure> {
        if self.may_write {
            // A constraint that is checked at the end fails here, and the transaction goes on.
            let session = self.lease.session();
            session.ahead("SAVEPOINT request")?;
            self.has_savepoint = true;
            let checked = session.command("SET CONSTRAINTS ALL IMMEDIATE").await;
            if let Err(failure) = checked {
                let open = self.savepoints.len();
                self.undo(open).await;
                return Err(failure);
            }
        }
        self.lease.session().command("COMMIT").await
    }
}
