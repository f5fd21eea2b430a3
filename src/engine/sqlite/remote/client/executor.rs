//! Runs SQL on databases whose workers do.
use super::link::Unanswered;
use super::remote::{LATE, Remote, broken, unanswered, unexpected};
use super::{snapshot, stream, transaction};
use crate::clock::Deadline;
use crate::domain::ids::DatabaseId;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::changes::{TableChanged, TableCommand, TableError};
use crate::engine::sql::executor::{ExecutorHealth, ReaderHold};
use crate::engine::sql::{
    BatchError, BatchMode, Call, EndedStatement, Form, MigrateError, Migrated, NewMigration,
    QueryAnswer, QueryError, Schema, SqlExecutor, SqlStatistics, SqlTransaction, Statement,
    StatementKind, StatementOutcome, Streamed, Target, TransactionError, TransactionMode,
    TransactionPlace, ValuePart,
};
use crate::engine::sqlite::batch::split_script;
use crate::engine::sqlite::remote::wire::frame::Frame;
use crate::engine::sqlite::remote::wire::messages::{Heading, Purpose, Said, Wanted};
use crate::engine::sqlite::remote::wire::values::{SaidStatement, with_bodies};
use crate::engine::sqlite::schema::next_version;
use crate::engine::sqlite::statement::first_word::begins_like_a_read;
use crate::engine::{DataFileError, DatabasesFolder};
use crate::locks::Mutex;
use crate::shares;
use async_trait::async_trait;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a worker may take to close a database's files.
const CLOSING: Duration = Duration::from_secs(5);
/// Asks the workers of SQLite's databases.
#[derive(Debug)]
pub struct SqliteInWorker {
    databases: DatabasesFolder,
    remotes: Mutex<HashMap<DatabaseId, Arc<Remote>>>,
    statistics: Arc<SqlStatistics>,
    uses: AtomicU64,
    /// Connections past which idle ones are closed.
    most_connections: usize,
}

impl SqliteInWorker {
    /// For databases below `databases`; at most `most_connections` stay open as long as some are
    /// idle.
    pub(crate) fn new(
        databases: DatabasesFolder,
        statistics: Arc<SqlStatistics>,
        most_connections: usize,
    ) -> Self {
        Self {
            databases,
            remotes: Mutex::default(),
            statistics,
            uses: AtomicU64::new(0),
            most_connections,
        }
    }

    fn remote(&self, guard: &SharedGuard, target: &Target) -> Arc<Remote> {
        assert_eq!(
            guard.database(),
            target.database,
            "SQL runs behind the access lock of its own database"
        );
        let database = target.database;
        let mut remotes = self.remotes.lock();
        let remote = remotes.entry(database).or_insert_with(|| {
            let counter = self.statistics.counter(database);
            Arc::new(Remote::new(database, self.databases.of(database), counter))
        });
        remote.used(self.uses.fetch_add(1, Ordering::Relaxed));
        Arc::clone(remote)
    }

    /// Makes room for one more connection, where there are as many as may be.
    fn make_room_for_one(&self) {
        let mut all: Vec<_> = self.remotes.lock().values().map(Arc::clone).collect();
        let open: usize = all.iter().map(|remote| remote.connections()).sum();
        if open < self.most_connections {
            return;
        }
        all.sort_unstable_by_key(|remote| remote.last_used.load(Ordering::Relaxed));
        let _ = all
            .iter()
            .take(all.len().div_ceil(2))
            .any(|it| it.close_idle());
    }

    /// Asks, and waits for the frame of the answer.
    async fn ask(
        &self,
        remote: &Remote,
        deadline: Deadline,
        wanted: &Wanted<'_>,
    ) -> Result<Frame, NoFrame> {
        if remote.connections() == 0 {
            self.make_room_for_one();
        }
        let link = remote.link(deadline).await.map_err(NoFrame::Refused)?;
        let asked = link.ask(wanted);
        let last = deadline.extended(LATE).instant();
        match shares::running(tokio::time::timeout_at(last, asked)).await {
            Ok(answered) => answered.map_err(NoFrame::Unanswered),
            Err(_) => Err(NoFrame::Late),
        }
    }

    /// Runs statements, and reads their answers.
    async fn run(
        &self,
        remote: &Remote,
        call: &Call,
        wanted: &Wanted<'_>,
        may_have_kept: bool,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        let frame = self.ask(remote, call.deadline, wanted).await;
        let frame = frame.map_err(|none| none.error(call, may_have_kept))?;
        match frame.read().map_err(broken)? {
            Said::Answers(answers) => Ok(with_bodies(answers, frame.body.clone()).map_err(broken)?),
            Said::Failed(failure) => Err(failure),
            _ => Err(unexpected().into()),
        }
    }
}

/// Why there is no frame.
enum NoFrame {
    /// It was not asked for.
    Refused(QueryError),
    Unanswered(Unanswered),
    /// The worker is silent, past the deadline.
    Late,
}

impl NoFrame {
    fn error(self, call: &Call, may_have_kept: bool) -> QueryError {
        match self {
            Self::Refused(error) => error,
            Self::Unanswered(Unanswered::Lost) if call.deadline.has_passed() && !may_have_kept => {
                QueryError::timeout(call.timeout)
            }
            Self::Unanswered(end) => unanswered(end, may_have_kept),
            Self::Late if may_have_kept => QueryError::Lost,
            Self::Late => QueryError::timeout(call.timeout),
        }
    }
}

/// Whether statements of a call may have changed something before their answer was lost.
fn may_have_kept<'s>(call: &Call, statements: impl IntoIterator<Item = &'s Statement>) -> bool {
    let mut statements = statements.into_iter();
    call.may_write && call.keep.is_kept && statements.any(|it| !begins_like_a_read(&it.sql))
}

#[async_trait]
impl SqlExecutor for SqliteInWorker {
    async fn query(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statement: Statement,
    ) -> Result<QueryAnswer, QueryError> {
        let remote = self.remote(guard, target);
        let heading = Heading::of(shares::holder(), target, call);
        let wanted = Wanted::Query(heading, SaidStatement::from(&statement));
        let kept = may_have_kept(call, [&statement]);
        let answers = self.run(&remote, call, &wanted, kept).await;
        let answer = answers.map(|mut answers| answers.pop());
        let answer = answer
            .map_err(|failure| failure.error)?
            .ok_or_else(unexpected);
        count(&remote, &statement.sql, kept, &answer);
        answer
    }

    async fn batch(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statements: Vec<Statement>,
        mode: BatchMode,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        let remote = self.remote(guard, target);
        let heading = Heading::of(shares::holder(), target, call);
        let said = statements.iter().map(SaidStatement::from).collect();
        let wanted = Wanted::Batch(heading, mode, said);
        let kept = may_have_kept(call, &statements);
        let answers = self.run(&remote, call, &wanted, kept).await?;
        if answers.len() != statements.len() {
            return Err(unexpected().into());
        }
        Ok(answers)
    }

    async fn split(&self, script: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError> {
        split_script(script, most).await
    }

    async fn stream(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        rows: &Form,
        statement: Statement,
    ) -> Result<Streamed, QueryError> {
        let heading = Heading::of(shares::holder(), target, call);
        let kept = may_have_kept(call, [&statement]);
        let wanted = Wanted::Stream(heading, *rows, SaidStatement::from(&statement));
        let remote = self.remote(guard, target);
        stream::begin(&remote, guard, call, &wanted, kept).await
    }

    async fn read_value(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        part: ValuePart,
    ) -> Result<Streamed, QueryError> {
        let heading = Heading::of(shares::holder(), target, call);
        let remote = self.remote(guard, target);
        stream::begin(
            &remote,
            guard,
            call,
            &Wanted::ReadValue(heading, part),
            false,
        )
        .await
    }

    async fn schema(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
    ) -> Result<Arc<Schema>, QueryError> {
        let remote = self.remote(guard, target);
        let heading = Heading::of(shares::holder(), target, call);
        let known = remote.schema.lock().clone();
        let number = known.as_ref().map_or(0, |(number, _)| *number);
        let wanted = Wanted::Schema(heading, number);
        let frame = self.ask(&remote, call.deadline, &wanted).await;
        let frame = frame.map_err(|none| none.error(call, false))?;
        match frame.read().map_err(broken)? {
            Said::Schema(now, None) => match known {
                Some((number, schema)) if number == now => Ok(schema),
                _ => Err(unexpected()),
            },
            Said::Schema(now, Some(tables)) => {
                let schema = Arc::new(Schema::new(tables, next_version()));
                *remote.schema.lock() = Some((now, Arc::clone(&schema)));
                Ok(schema)
            }
            Said::Failed(failure) => Err(failure.error),
            _ => Err(unexpected()),
        }
    }

    async fn migrate(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        migration: NewMigration,
    ) -> Result<Migrated, MigrateError> {
        let remote = self.remote(guard, target);
        let heading = Heading::of(shares::holder(), target, call);
        let kept = call.keep.is_kept && !migration.is_dry_run;
        let wanted = Wanted::Migrate(heading, migration);
        let frame = self.ask(&remote, call.deadline, &wanted).await;
        let frame = frame.map_err(|none| none.error(call, kept))?;
        match frame.read().map_err(broken)? {
            Said::Migrated(migrated) => migrated,
            _ => Err(unexpected().into()),
        }
    }

    async fn change_table(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        command: TableCommand,
    ) -> Result<TableChanged, TableError> {
        let remote = self.remote(guard, target);
        let heading = Heading::of(shares::holder(), target, call);
        let kept = !command.is_dry_run;
        let wanted = Wanted::ChangeTable(heading, command);
        let frame = self.ask(&remote, call.deadline, &wanted).await;
        let frame = frame.map_err(|none| none.error(call, kept))?;
        match frame.read().map_err(broken)? {
            Said::TableChanged(changed) => changed,
            _ => Err(unexpected().into()),
        }
    }

    async fn suggest_indexes(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        _schema: Arc<Schema>,
        sql: Arc<str>,
    ) -> Result<Vec<String>, QueryError> {
        let remote = self.remote(guard, target);
        let heading = Heading::of(shares::holder(), target, call);
        let wanted = Wanted::SuggestIndexes(heading, &sql);
        let frame = self.ask(&remote, call.deadline, &wanted).await;
        let frame = frame.map_err(|none| none.error(call, false))?;
        match frame.read().map_err(broken)? {
            Said::Suggested(statements) => Ok(statements),
            Said::Failed(failure) => Err(failure.error),
            _ => Err(unexpected()),
        }
    }

    async fn begin(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        mode: TransactionMode,
        place: Arc<dyn TransactionPlace>,
    ) -> Result<Box<dyn SqlTransaction>, TransactionError> {
        let remote = self.remote(guard, target);
        let begun = transaction::begin(&remote, guard, target, call, mode, place);
        Ok(Box::new(begun.await?))
    }

    async fn close(&self, database: DatabaseId) -> Result<(), DataFileError> {
        let asked = self.remotes.lock().remove(&database);
        self.statistics.forget(database);
        let remote = asked.unwrap_or_else(|| {
            let counter = self.statistics.counter(database);
            Arc::new(Remote::new(database, self.databases.of(database), counter))
        });
        remote.close();
        // Where there is no worker, nothing is open.
        let Ok(mut line) = remote.connect(Purpose::One).await else {
            return Ok(());
        };
        let closed = async {
            line.say(1, &Wanted::Close(CLOSING), &[]).await?;
            let frame = line.hear().await?;
            Ok::<_, io::Error>(matches!(frame.read()?, Said::Done))
        };
        match tokio::time::timeout(CLOSING + LATE, closed).await {
            // One that ends meanwhile has closed everything.
            Ok(Ok(true) | Err(_)) => Ok(()),
            Ok(Ok(false)) | Err(_) => Err(DataFileError::Busy),
        }
    }

    fn hold_snapshot(&self, guard: &SharedGuard, target: &Target) -> Option<ReaderHold> {
        let heading = Heading::outside_of_calls(target);
        Some(snapshot::hold(self.remote(guard, target), heading))
    }

    fn has_asked(&self, database: DatabaseId) -> bool {
        let remote = self.remotes.lock().get(&database).map(Arc::clone);
        remote.is_some_and(|remote| remote.is_asked())
    }

    fn close_idle(&self) -> bool {
        let all: Vec<_> = self.remotes.lock().values().map(Arc::clone).collect();
        all.iter().filter(|remote| remote.close_idle()).count() > 0
    }

    async fn close_all(&self) {
        for (_, remote) in self.remotes.lock().drain() {
            remote.close();
        }
    }

    fn health(&self) -> ExecutorHealth {
        let all: Vec<_> = self.remotes.lock().values().map(Arc::clone).collect();
        ExecutorHealth {
            connections: all.iter().map(|remote| remote.connections()).sum(),
            ..ExecutorHealth::default()
        }
    }
}

fn count(remote: &Remote, sql: &str, is_write: bool, answer: &Result<QueryAnswer, QueryError>) {
    let kind = match is_write {
        true => StatementKind::Write,
        false => StatementKind::Read,
    };
    let (outcome, elapsed, rows, changed) = match answer {
        Ok(it) => (
            StatementOutcome::Ok,
            it.elapsed,
            it.row_count,
            it.rows_affected,
        ),
        Err(_) => (StatementOutcome::Error, Duration::ZERO, 0, 0),
    };
    remote.counter.lock().count(&EndedStatement {
        sql,
        kind,
        outcome,
        elapsed,
        rows,
        changed,
    });
}
