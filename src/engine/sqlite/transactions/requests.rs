//! The requests of a transaction: begin, statements, commit, roll back.
use super::transaction::{Entered, Held, InnerRequest, Inside, Transaction};
use crate::clock::{Clock, Deadline};
use crate::data::{Call, DataPlane, SharedGuard, begins_like_a_write};
use crate::domain::ids::TokenId;
use crate::engine::sql::Statement;
use crate::engine::sql::{BatchMode, ScriptError};
use crate::engine::sql::{
    BatchStatement, QueryAnswer, QueryError, QueryOptions, QueryRequest, Target,
};
use crate::engine::sql::{
    BegunTransaction, NewTransaction, TransactionBatchError, TransactionEnd, TransactionError,
    TransactionKey, TransactionMode,
};
use crate::engine::sqlite::batch::silent;
use crate::engine::sqlite::readers::snapshot::Snapshot;
use crate::engine::sqlite::threads::on_thread::held;
use crate::engine::sqlite::{Answer, Hold, Savepoints, SqlError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Random bytes of an id: too many to guess.
const ID_BYTES: usize = 24;

/// How often somebody looks whose time is over, while there are transactions.
const LOOK: Duration = Duration::from_millis(250);

/// A commit that takes longer than this has a disk that does not answer.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

impl DataPlane {
    /// Begins a transaction. It holds the database's gate until it ends.
    ///
    /// # Errors
    /// When there are too many, or as for a statement; nothing is held then.
    pub async fn begin(
        &self,
        guard: &SharedGuard,
        target: &Target,
        new: NewTransaction,
        clock: &dyn Clock,
    ) -> Result<BegunTransaction, TransactionError> {
        let options = QueryOptions {
            timeout: new.wait,
            readonly: new.mode == TransactionMode::ReadOnly,
            ..QueryOptions::for_access(new.access)
        };
        if new.mode == TransactionMode::Immediate && !options.may_write() {
            return Err(QueryError::ReadOnly.into());
        }
        let room = self.transactions.room(target.database)?;
        let open = self.open_behind(guard, target)?;
        let call = self.call(&options);
        let held = match new.mode {
            TransactionMode::Immediate => {
                Held::Writer(self.borrow_writer(guard, &open, &call).await?)
            }
            TransactionMode::Deferred => Held::Nothing,
            TransactionMode::ReadOnly => {
                let (reads, guard) = (Arc::clone(&open), guard.clone());
                let begun = self.on_thread(&open.bench, &call, move |ticket| {
                    let snapshot = Snapshot::begin(&reads, held(&call, ticket));
                    drop(reads);
                    snapshot.map(|it| (it, guard))
                });
                let begun = begun.await?;
                let (snapshot, _) = begun.map_err(|it| it.for_caller(call.timeout))?;
                Held::Snapshot(snapshot)
            }
        };
        let bound = |wanted: Option<Duration>, most: Duration| wanted.unwrap_or(most).min(most);
        let idle = bound(new.idle, self.config.transaction_idle);
        let total = bound(new.total, self.config.transaction_total);
        let inside = Inside {
            held,
            open,
            changes_schema: false,
            savepoints: Savepoints::default(),
            _room: room,
            guard: guard.clone(),
        };
        let id = fresh_id()?;
        let now = clock.now();
        let times = [idle.min(total), total];
        let transaction = Transaction::new(id.clone(), new.owner, new.mode, times, now, inside);
        let (idle_until, ends) = transaction.ends();
        self.transactions.add(transaction)?;
        Ok(BegunTransaction {
            id,
            expires_at: idle_until.at,
            ends_at: ends.at,
        })
    }

    /// Runs one statement in a transaction.
    ///
    /// # Errors
    /// What [`TransactionError`] lists; nothing of the statement is left then, and only some
    /// errors end the transaction.
    pub async fn query_in(
        &self,
        key: &TransactionKey<'_>,
        request: QueryRequest,
        clock: &dyn Clock,
    ) -> Result<QueryAnswer, TransactionError> {
        let statement = BatchStatement {
            sql: request.sql.into(),
            params: request.params,
        };
        let mode = BatchMode::None;
        let answers = self.batch_in(key, vec![statement], mode, request.options, clock);
        let mut answers = answers.await.map_err(|failure| failure.error)?;
        Ok(answers.pop().expect("one answer for one statement"))
    }

    /// Runs statements in a transaction, in order. They are kept in it all or none; with
    /// [`BatchMode::None`] those before the first failure are.
    ///
    /// # Errors
    /// As for one statement, with the place of the one that failed.
    pub async fn batch_in(
        &self,
        key: &TransactionKey<'_>,
        statements: Vec<BatchStatement>,
        mode: BatchMode,
        options: QueryOptions,
        clock: &dyn Clock,
    ) -> Result<Vec<QueryAnswer>, TransactionBatchError> {
        let statements = self.looked_at_batch(statements)?;
        self.run_statements_in(key, statements, mode, &options, clock)
            .await
    }

    /// Runs a script in a transaction. All of its statements are kept in it, or none.
    ///
    /// # Errors
    /// As for a batch, with the place of the failing statement in the text.
    pub async fn script_in(
        &self,
        key: &TransactionKey<'_>,
        text: &str,
        options: QueryOptions,
        clock: &dyn Clock,
    ) -> Result<Vec<QueryAnswer>, ScriptError<TransactionBatchError>> {
        let script = self.looked_at_script::<TransactionBatchError>(text).await?;
        let options = silent(options);
        let mode = BatchMode::Immediate;
        let ran = self.run_statements_in(key, script.statements.clone(), mode, &options, clock);
        ran.await.map_err(|failure| {
            let statement = failure.statement;
            script.failed(statement.unwrap_or_default(), failure)
        })
    }

    async fn run_statements_in(
        &self,
        key: &TransactionKey<'_>,
        statements: Vec<Statement>,
        mode: BatchMode,
        options: &QueryOptions,
        clock: &dyn Clock,
    ) -> Result<Vec<QueryAnswer>, TransactionBatchError> {
        let transaction = self.transactions.find(key, clock.now())?;
        let _use = transaction.used(clock);
        let mut call = self.call(options);
        let (_, ends) = transaction.ends();
        call.deadline = call.deadline.min(ends.deadline);
        let may_write = options.may_write() && transaction.mode != TransactionMode::ReadOnly;
        let may_grow = may_write && transaction.mode == TransactionMode::Deferred;
        let begins_like_a_write = |it: &Statement| begins_like_a_write(&it.sql);
        if may_grow && statements.iter().any(begins_like_a_write) {
            self.ensure_writer(&transaction, &call).await?;
        }
        let request = InnerRequest {
            statements,
            form: call.form,
            together: mode != BatchMode::None,
            may_write,
        };
        let run = || self.run_in(&transaction, &call, &request);
        match run().await {
            Err(failure) if failure.error == READ_ONLY && may_grow => {
                self.ensure_writer(&transaction, &call).await?;
                run().await
            }
            other => other,
        }
    }

    /// Makes what a transaction did lasting, and ends it.
    ///
    /// # Errors
    /// [`TransactionError::Query`] when it cannot be kept as it is, and goes on; all others say
    /// that it is over.
    pub async fn commit(
        &self,
        key: &TransactionKey<'_>,
        clock: &dyn Clock,
    ) -> Result<(), TransactionError> {
        let transaction = self.transactions.find(key, clock.now())?;
        let _use = transaction.used(clock);
        let patience = Deadline::after(COMMIT_PATIENCE);
        let mut inside = transaction.enter(patience).await?;
        self.refuse_moved(&transaction, &mut inside)?;
        let (transactions, ended) = (Arc::clone(&self.transactions), Arc::clone(&transaction));
        // Nobody cuts it: who goes away now finds out with a look at the rows.
        let commit = tokio::task::spawn_blocking(move || {
            let committed = inside.commit(Hold {
                deadline: patience,
                ticket: None,
                slice: None,
                may_wait: true,
            });
            let end = match committed {
                Ok(()) => Some(TransactionEnd::Committed),
                Err(_) if inside.is_over() => Some(TransactionEnd::Broken),
                Err(_) => None,
            };
            if let Some(end) = end {
                inside.empty();
                transactions.end(&ended, end);
            }
            (committed, end)
        });
        let (committed, end) = match tokio::time::timeout_at(patience.instant(), commit).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) | Err(_) => {
                return Err(TransactionError::RolledBack(QueryError::OutcomeUnknown));
            }
        };
        committed.map_err(|error| failed(error, COMMIT_PATIENCE, end.is_some()))
    }

    /// Takes back what a transaction did, and ends it.
    ///
    /// # Errors
    /// When there is none, it is over, or a statement of it does not end.
    pub async fn roll_back(
        &self,
        key: &TransactionKey<'_>,
        clock: &dyn Clock,
    ) -> Result<(), TransactionError> {
        let transaction = self.transactions.find(key, clock.now())?;
        let _use = transaction.used(clock);
        let call = self.call(&QueryOptions::for_access(crate::data::Access::ReadOnly));
        let mut inside = transaction.enter(call.deadline).await?;
        // First: who waits behind finds that it is over.
        self.transactions
            .end(&transaction, TransactionEnd::RolledBack);
        let rolled_back = tokio::task::spawn_blocking(move || inside.empty());
        // A thread that panicked has let go of it, too.
        let _ = rolled_back.await;
        Ok(())
    }

    /// Rolls back the transactions whose time is over.
    pub fn expire_transactions(&self, clock: &dyn Clock) {
        self.transactions.expire(clock.now());
    }

    /// Rolls back the transactions that a token began, which is no longer accepted. A statement of
    /// theirs that runs ends with its request.
    pub fn end_transactions_of(&self, token: TokenId) {
        self.transactions.end_of_token(token);
    }

    /// Rolls back every transaction; none begins any more. Called when the gateway stops.
    pub fn end_transactions(&self) {
        self.transactions.close();
    }

    /// Sees to it that transactions end in time, until `stop`.
    pub async fn keep_time(self: Arc<Self>, clock: Arc<dyn Clock>, stop: CancellationToken) {
        let next_look = async || {
            if self.transactions.count() == 0 {
                self.transactions.begun.notified().await;
            }
            tokio::time::sleep(LOOK).await;
        };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = next_look() => self.expire_transactions(clock.as_ref()),
            }
        }
    }

    /// Runs statements on what the transaction holds.
    async fn run_in(
        &self,
        transaction: &Arc<Transaction>,
        call: &Call,
        request: &InnerRequest,
    ) -> Result<Vec<QueryAnswer>, TransactionBatchError> {
        let mut inside = transaction.enter(call.deadline).await?;
        self.refuse_moved(transaction, &mut inside)?;
        let open = Arc::clone(&inside.open);
        let turn = match inside.held {
            Held::Writer(_) => None,
            // A database's reads have so many threads, these included.
            Held::Nothing | Held::Snapshot(_) => Some(open.turn(call.deadline).await?),
        };
        let (transactions, ended) = (Arc::clone(&self.transactions), Arc::clone(transaction));
        let (request, call_of_it) = (request.clone(), *call);
        let together = request.together;
        let run = self.on_thread(&open.bench, call, move |ticket| {
            let hold = held(&call_of_it, Arc::clone(&ticket));
            let result = inside.run(&request, hold);
            let is_over = inside.is_over() || ticket.is_abandoned();
            if is_over {
                inside.empty();
                transactions.end(&ended, TransactionEnd::Broken);
            }
            drop(inside);
            drop(turn);
            (result, is_over)
        });
        match run.await {
            Ok((Ok(answers), _)) => Ok(answers.into_iter().map(Answer::into).collect()),
            Ok((Err((statement, error)), is_over)) => Err(TransactionBatchError {
                statement: Some(statement),
                kept: if together || is_over { 0 } else { statement },
                error: failed(error, call.timeout, is_over),
            }),
            Err(error @ QueryError::Overloaded { .. }) => Err(error.into()),
            Err(error) => {
                // Its thread does not come back; the transaction ends when it does.
                self.transactions.end(transaction, TransactionEnd::Broken);
                Err(TransactionError::RolledBack(error).into())
            }
        }
    }

    /// Sees to it that the transaction has the writer.
    async fn ensure_writer(
        &self,
        transaction: &Arc<Transaction>,
        call: &Call,
    ) -> Result<(), TransactionError> {
        let mut inside = transaction.enter(call.deadline).await?;
        if let Held::Writer(_) = inside.held {
            return Ok(());
        }
        let writer = self
            .borrow_writer(&inside.guard, &inside.open, call)
            .await?;
        if let Held::Snapshot(it) = &inside.held
            && !it.is_current()
        {
            tokio::task::spawn_blocking(move || drop(writer));
            return Err(TransactionError::Outdated);
        }
        let mut writer = writer;
        let made = writer.sqlite().make_savepoints(&inside.savepoints);
        made.map_err(|error| failed(error, call.timeout, false))?;
        let before = std::mem::replace(&mut inside.held, Held::Writer(writer));
        tokio::task::spawn_blocking(move || drop(before));
        Ok(())
    }

    /// Ends a transaction whose file was moved away, or whose database rests for good.
    fn refuse_moved(
        &self,
        transaction: &Arc<Transaction>,
        inside: &mut Entered,
    ) -> Result<(), TransactionError> {
        if let Some(reason) = inside.open.bench.reason() {
            return Err(QueryError::Benched { reason }.into());
        }
        if inside.open.is_in_place() {
            return Ok(());
        }
        self.transactions.end(transaction, TransactionEnd::Broken);
        Err(TransactionError::RolledBack(QueryError::DataMissing))
    }
}

/// What a reader says to a statement that needs the writer.
const READ_ONLY: TransactionError = TransactionError::Query(QueryError::ReadOnly);

fn failed(error: SqlError, timeout: Duration, is_over: bool) -> TransactionError {
    let error = error.for_caller(timeout);
    if is_over {
        TransactionError::RolledBack(error)
    } else {
        TransactionError::Query(error)
    }
}

fn fresh_id() -> Result<String, QueryError> {
    let mut random = [0_u8; ID_BYTES];
    getrandom::fill(&mut random).map_err(|it| QueryError::Broken {
        reason: format!("the system gave no random bytes: {it}"),
    })?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}
