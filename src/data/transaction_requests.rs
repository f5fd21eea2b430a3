//! The requests of a transaction: begin, statements, commit, roll back.
use super::open_transaction::OpenTransaction;
use super::scripts::silent;
use super::{
    Access, BatchMode, BatchStatement, BegunTransaction, DataPlane, NewTransaction, QueryAnswer,
    QueryError, QueryOptions, QueryRequest, ScriptError, SharedGuard, Target,
    TransactionBatchError, TransactionError, TransactionKey, TransactionMode,
};
use crate::clock::Clock;
use crate::domain::ids::TokenId;
use crate::engine::sql::Statement;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Random bytes of an id: too many to guess.
const ID_BYTES: usize = 24;

/// How often expired transactions are looked for, while any is open.
const LOOK: Duration = Duration::from_millis(250);

impl DataPlane {
    /// Begins a transaction. It holds the database's access lock until it ends.
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
        let id = fresh_id()?;
        let place = self.transactions.place(target.database, id.clone())?;
        let executor = self.executor_of(target)?;
        let call = self.call(&options);
        let session = executor
            .begin(guard, target, &call, new.mode, place)
            .await?;
        let bound = |wanted: Option<Duration>, most: Duration| wanted.unwrap_or(most).min(most);
        let idle = bound(new.idle, self.config.transaction_idle);
        let total = bound(new.total, self.config.transaction_total);
        let transaction = OpenTransaction::new(
            id.clone(),
            target.database,
            new.owner,
            new.mode,
            [idle.min(total), total],
            clock.now(),
            session,
        );
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
        let transaction = self.transactions.find(key, clock.now());
        let transaction = transaction.map_err(|error| ScriptError {
            offset: 0,
            failure: error.into(),
        })?;
        let places = transaction.session.split(text, self.most_places()).await;
        let script = self.looked_at_script::<TransactionBatchError>(text, places)?;
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
        call.may_write &= transaction.mode != TransactionMode::ReadOnly;
        let together = mode != BatchMode::None;
        transaction.session.run(&call, statements, together).await
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
        transaction.session.commit().await
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
        let call = self.call(&QueryOptions::for_access(Access::ReadOnly));
        transaction.session.roll_back(call.deadline).await
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
}

fn fresh_id() -> Result<String, QueryError> {
    let mut random = [0_u8; ID_BYTES];
    getrandom::fill(&mut random).map_err(|it| QueryError::Broken {
        reason: format!("the system gave no random bytes: {it}"),
    })?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}
