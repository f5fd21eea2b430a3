//! Runs SQL on databases that servers of PostgreSQL have, one in each worker.
use super::error::{Asked, Failure};
use super::pool::{Lease, Pool, Purpose, Role};
use super::session::no_copy;
use super::text::{self, Nature};
use super::transaction::PostgresTransaction;
use super::work::{run_one, within};
use crate::domain::ids::DatabaseId;
use crate::engine::access_lock::SharedGuard;
use crate::engine::postgres::roles::RoleSecrets;
use crate::engine::sql::error::at;
use crate::engine::sql::executor::{Call, ExecutorHealth, SqlExecutor, SqlTransaction};
use crate::engine::sql::{
    BatchError, BatchMode, Form, Keep, MigrateError, Migrated, NewMigration, Params, QueryAnswer,
    QueryError, Schema, Statement, Streamed, TableChanged, TableCommand, TableError, Target,
    TransactionError, TransactionMode, TransactionPlace,
};
use crate::engine::{DataFileError, DatabasesFolder};
use crate::locks::Mutex;
use async_trait::async_trait;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Where a server listens, below its database's folder.
pub const SOCKET_FOLDER: &str = "run";

/// How often connections are looked for that were idle for long.
const LOOK: Duration = Duration::from_secs(10);

/// Runs SQL on the databases below one folder.
#[derive(Debug)]
pub struct PostgresExecutor {
    databases: DatabasesFolder,
    secrets: SecretsSource,
    pools: Arc<Pools>,
    tokio: Handle,
}

/// Tells the secrets of the roles, when the first statement is to run.
pub struct SecretsSource(Box<dyn Fn() -> io::Result<RoleSecrets> + Send + Sync>);

impl SecretsSource {
    /// Asks `source` for them.
    pub fn new(source: impl Fn() -> io::Result<RoleSecrets> + Send + Sync + 'static) -> Self {
        Self(Box::new(source))
    }
}

impl fmt::Debug for SecretsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretsSource(***)")
    }
}

/// The connections of each database that has some.
type Pools = Mutex<HashMap<DatabaseId, Arc<Pool>>>;

impl PostgresExecutor {
    /// On the databases below `databases`, whose servers know the roles by the secrets of `secrets`.
    /// Made in the runtime that its connections live in.
    #[must_use]
    pub fn new(databases: DatabasesFolder, secrets: SecretsSource) -> Self {
        let pools = Arc::<Pools>::default();
        let watched = Arc::downgrade(&pools);
        let tokio = Handle::current();
        tokio.spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(pools) = watched.upgrade() else {
                    return;
                };
                pools.lock().retain(|_, pool| {
                    let is_unused = pool.close_idle() && Arc::strong_count(pool) == 1;
                    !is_unused
                });
            }
        });
        Self {
            databases,
            secrets,
            pools,
            tokio,
        }
    }

    pub(super) fn pool(
        &self,
        guard: &SharedGuard,
        target: &Target,
    ) -> Result<Arc<Pool>, QueryError> {
        assert_eq!(
            guard.database(),
            target.database,
            "SQL runs behind the access lock of its own database"
        );
        let mut pools = self.pools.lock();
        if let Some(pool) = pools.get(&target.database) {
            return Ok(Arc::clone(pool));
        }
        let secrets = (self.secrets.0)().map_err(|error| QueryError::Broken {
            reason: format!("the secrets of the database's roles cannot be read: {error}"),
        })?;
        let folder = self.databases.of(target.database).join(SOCKET_FOLDER);
        let pool = Pool::new(folder.into(), secrets, self.tokio.clone());
        let pool = Arc::new(pool);
        pools.insert(target.database, Arc::clone(&pool));
        Ok(pool)
    }

    /// Runs one statement, in a transaction of its own where its answer may still be refused when
    /// it has run.
    async fn one(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statement: &Statement,
    ) -> Result<QueryAnswer, QueryError> {
        let nature = Nature::of(&statement.sql);
        refuse_outside(&nature)?;
        let pool = self.pool(guard, target)?;
        let role = Role::of(call.may_write);
        let leased = pool.lease(guard, role, Purpose::Statement, call.deadline);
        let mut lease = leased.await?;
        let is_wrapped = call.keep != Keep::default()
            || nature.is_undone_with_its_answer
            || nature.only_reads && matches!(statement.params, Params::List(_));
        let asked = Asked {
            timeout: call.timeout,
            may_write: call.may_write,
            begins_like_a_read: nature.begins_like_a_read,
            keeps_at_once: call.may_write && !nature.only_reads,
        };
        lease.may_leave(nature.remains);
        let stopper = lease.stopper();
        let work = async {
            if is_wrapped {
                let mut answers = in_transaction(
                    &mut lease,
                    std::slice::from_ref(statement),
                    call,
                    BatchMode::Immediate,
                )
                .await
                .map_err(|(_, failure)| failure)?;
                return answers.pop().ok_or_else(|| lost().into());
            }
            run_one(&mut lease, statement, &nature, &call.form).await
        };
        let ran = within(call.deadline, &pool, stopper, work).await;
        ran.map_err(|failure| failure.for_caller(&asked))
    }
}

/// Something that cannot be.
fn lost() -> QueryError {
    QueryError::Broken {
        reason: "a statement has no answer".to_owned(),
    }
}

/// Runs statements in one transaction, which is kept as the call says, if none fails.
async fn in_transaction(
    lease: &mut Lease,
    statements: &[Statement],
    call: &Call,
    _: BatchMode,
) -> Result<Vec<QueryAnswer>, (usize, Failure)> {
    let begin = match call.may_write {
        // Whether it may write is the role's setting: one that is full may not.
        true => "BEGIN ISOLATION LEVEL READ COMMITTED",
        // All of them see one moment.
        false => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    let begun = lease.session().command(begin).await;
    begun.map_err(|failure| (0, failure))?;
    let mut answers = Vec::with_capacity(statements.len());
    let (mut bytes, mut affected) = (0, 0);
    for (index, statement) in statements.iter().enumerate() {
        let nature = Nature::of(&statement.sql);
        lease.may_leave(nature.remains);
        let answer = run_one(lease, statement, &nature, &call.form).await;
        let answer = answer.map_err(|failure| (index, failure))?;
        bytes += answer.body.len();
        affected += answer.rows_affected;
        if index > 0 && bytes > call.form.max_bytes {
            let error = super::answer::too_many_bytes(&call.form);
            return Err((index, error.into()));
        }
        answers.push(answer);
    }
    if let Some(most) = call.keep.most_affected.filter(|most| affected > *most) {
        return Err((0, QueryError::TooManyAffected { affected, most }.into()));
    }
    let end = match call.keep.is_kept {
        true => "COMMIT",
        false => "ROLLBACK",
    };
    let last = statements.len().saturating_sub(1);
    let ended = lease.session().command(end).await;
    ended.map_err(|failure| (last, failure))?;
    Ok(answers)
}

/// Refuses what has no place outside of a transaction of several requests.
fn refuse_outside(nature: &Nature) -> Result<(), QueryError> {
    if nature.is_copy {
        return Err(no_copy());
    }
    match nature.control {
        Some(word) => Err(QueryError::NotAllowed {
            what: format!(
                "{word}; POST /v1/databases/{{db}}/transactions begins a transaction of several \
                 requests, and a batch or a script is one"
            ),
        }),
        None => Ok(()),
    }
}

#[async_trait]
impl SqlExecutor for PostgresExecutor {
    async fn query(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statement: Statement,
    ) -> Result<QueryAnswer, QueryError> {
        self.one(guard, target, call, &statement).await
    }

    async fn batch(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statements: Vec<Statement>,
        mode: BatchMode,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        if mode == BatchMode::None {
            let mut answers = Vec::with_capacity(statements.len());
            let mut bytes = 0;
            for (index, statement) in statements.iter().enumerate() {
                // What is answered is kept: the bound is looked at before the next one runs.
                if bytes > call.form.max_bytes {
                    return Err(at(index)(super::answer::too_many_bytes(&call.form)));
                }
                let answer = self.one(guard, target, call, statement).await;
                let answer = answer.map_err(at(index))?;
                bytes += answer.body.len();
                answers.push(answer);
            }
            return Ok(answers);
        }
        for (index, statement) in statements.iter().enumerate() {
            refuse_outside(&Nature::of(&statement.sql)).map_err(at(index))?;
        }
        let pool = self.pool(guard, target)?;
        let role = Role::of(call.may_write);
        let leased = pool.lease(guard, role, Purpose::Statement, call.deadline);
        let mut lease = leased.await?;
        let stopper = lease.stopper();
        let work = in_transaction(&mut lease, &statements, call, mode);
        let ran = within(call.deadline, &pool, stopper, work).await;
        ran.map_err(|(index, failure)| {
            let nature = statements.get(index).map(|it| Nature::of(&it.sql));
            let asked = Asked {
                timeout: call.timeout,
                may_write: call.may_write,
                begins_like_a_read: nature.is_some_and(|it| it.begins_like_a_read),
                keeps_at_once: call.may_write,
            };
            at(index)(failure.for_caller(&asked))
        })
    }

    async fn split(&self, script: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError> {
        Ok(text::statements(script).take(most).collect())
    }

    async fn stream(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        rows: &Form,
        statement: Statement,
    ) -> Result<Streamed, QueryError> {
        let nature = Nature::of(&statement.sql);
        let is_list = matches!(statement.params, Params::List(_));
        if nature.only_reads && !is_list {
            return self.read_rows(guard, target, call, rows, statement).await;
        }
        let whole = self.one(guard, target, call, &statement).await;
        whole.map(Streamed::Whole)
    }

    async fn schema(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
    ) -> Result<Arc<Schema>, QueryError> {
        self.read_schema(guard, target, call).await
    }

    async fn migrate(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        migration: NewMigration,
    ) -> Result<Migrated, MigrateError> {
        self.apply(guard, target, call, &migration).await
    }

    async fn change_table(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        command: TableCommand,
    ) -> Result<TableChanged, TableError> {
        self.change(guard, target, call, &command).await
    }

    async fn begin(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        mode: TransactionMode,
        place: Arc<dyn TransactionPlace>,
    ) -> Result<Box<dyn SqlTransaction>, TransactionError> {
        let pool = self.pool(guard, target)?;
        let begun = PostgresTransaction::begin(&pool, guard, call, mode, place);
        Ok(Box::new(begun.await?))
    }

    async fn close(&self, database: DatabaseId) -> Result<(), DataFileError> {
        let pool = self.pools.lock().remove(&database);
        if let Some(pool) = pool {
            pool.close();
        }
        Ok(())
    }

    async fn close_all(&self) {
        let pools = std::mem::take(&mut *self.pools.lock());
        for pool in pools.values() {
            pool.close();
        }
    }

    fn health(&self) -> ExecutorHealth {
        let pools = self.pools.lock();
        ExecutorHealth {
            connections: pools.values().map(|pool| pool.open_connections()).sum(),
            streams: pools.values().map(|pool| pool.open_streams()).sum(),
            ..ExecutorHealth::default()
        }
    }
}
