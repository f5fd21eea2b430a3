//! Applies a migration: once, in order, whole or not at all.
use super::error::{Asked, Failure};
use super::executor::PostgresExecutor;
use super::pool::{Lease, Purpose, Role};
use super::session::no_copy;
use super::text::{Nature, Remains};
use super::work::{Cancelled, run_one, within};
use crate::clock::Stopwatch;
use crate::engine::access_lock::SharedGuard;
use crate::engine::postgres::client::fields;
use crate::engine::sql::executor::Call;
use crate::engine::sql::{
    AppliedMigration, BatchError, MigrateError, Migrated, NewMigration, Param, Params, QueryError,
    Statement, Target, compare_migration_names,
};

const CREATE: &str = "CREATE TABLE IF NOT EXISTS public.dbforge_migrations (\
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, \
    checksum text NOT NULL, applied_at text NOT NULL, elapsed_ms bigint NOT NULL, \
    statements bigint NOT NULL, applied_by text NOT NULL, sql text NOT NULL)";

const ALL: &str = "SELECT name, checksum, applied_at, elapsed_ms, statements, applied_by \
    FROM public.dbforge_migrations";

/// One at a time: others wait, and find what was applied.
const LOCK: &str = "LOCK TABLE public.dbforge_migrations IN SHARE ROW EXCLUSIVE MODE";

const KEEP: &str = "INSERT INTO public.dbforge_migrations \
    (name, checksum, applied_at, elapsed_ms, statements, applied_by, sql) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// What a statement of a migration ends with.
enum Stopped {
    Failed(Failure),
    At(usize, Failure),
    Told(MigrateError),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Cancelled for Stopped {
    fn cancelled() -> Self {
        Self::Failed(Failure::cancelled())
    }
}

impl PostgresExecutor {
    /// Applies a migration, unless it was applied before.
    pub(super) async fn apply(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        migration: &NewMigration,
    ) -> Result<Migrated, MigrateError> {
        let statements = statements_of(migration)?;
        let pool = self.pool(guard, target)?;
        let leased = pool.lease(guard, Role::App, Purpose::Statement, call.deadline);
        let mut lease = leased.await?;
        lease.may_leave(Remains::Anything);
        let stopper = lease.stopper();
        let work = apply_on(&mut lease, call, migration, &statements);
        let applied = within(call.deadline, &pool, stopper, work).await;
        let asked = Asked {
            timeout: call.timeout,
            may_write: true,
            begins_like_a_read: false,
            keeps_at_once: true,
        };
        applied.map_err(|stopped| match stopped {
            Stopped::Told(error) => error,
            Stopped::Failed(failure) => failure.for_caller(&asked).into(),
            Stopped::At(statement, failure) => {
                let error = failure.for_caller(&asked);
                BatchError { statement, error }.into()
            }
        })
    }
}

/// The statements that run, each with its place among all.
fn statements_of(migration: &NewMigration) -> Result<Vec<(usize, Statement)>, MigrateError> {
    let mut statements = Vec::with_capacity(migration.statements.len());
    for (place, range) in migration.statements.iter().enumerate() {
        let sql = &migration.sql[range.clone()];
        let nature = Nature::of(sql);
        let refused = |error| {
            let statement = place;
            Err(BatchError { statement, error }.into())
        };
        match nature.control {
            // The migration is a transaction anyway.
            Some("BEGIN" | "START" | "COMMIT" | "END") => continue,
            Some("ROLLBACK" | "ABORT") if super::text::SavepointStep::read(sql).is_none() => {
                return refused(QueryError::NotAllowed {
                    what: "ROLLBACK: a migration is one transaction, which is rolled back when a \
                           statement fails"
                        .to_owned(),
                });
            }
            _ if nature.is_copy => return refused(no_copy()),
            _ => {}
        }
        let statement = Statement {
            sql: sql.into(),
            ..Statement::default()
        };
        statements.push((place, statement));
    }
    Ok(statements)
}

async fn apply_on(
    lease: &mut Lease,
    call: &Call,
    migration: &NewMigration,
    statements: &[(usize, Statement)],
) -> Result<Migrated, Stopped> {
    let since = Stopwatch::start();
    lease.session().command("BEGIN").await?;
    let before = before(lease).await?;
    if let Some(same) = before.iter().find(|it| it.name == migration.name) {
        if same.checksum == migration.checksum {
            lease.session().command("ROLLBACK").await?;
            return Ok(Migrated::Before(same.clone()));
        }
        return Err(Stopped::Told(MigrateError::Changed {
            name: same.name.clone(),
            applied_at: same.applied_at.clone(),
            checksum: same.checksum.clone(),
        }));
    }
    let names = before.iter().map(|it| it.name.as_str());
    let last = names.max_by(|a, b| compare_migration_names(a, b));
    if let Some(last) = last.filter(|_| !migration.is_late_allowed)
        && compare_migration_names(&migration.name, last).is_lt()
    {
        return Err(Stopped::Told(MigrateError::Late {
            name: migration.name.clone(),
            last: last.to_owned(),
        }));
    }
    for (place, statement) in statements {
        let nature = Nature::of(&statement.sql);
        let ran = run_one(lease, statement, &nature, &call.form).await;
        ran.map_err(|failure| Stopped::At(*place, failure))?;
    }
    let applied = AppliedMigration {
        name: migration.name.clone(),
        checksum: migration.checksum.clone(),
        applied_at: migration.now.to_string(),
        elapsed_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
        statements: statements.len() as u64,
        applied_by: migration.applied_by.clone(),
    };
    keep(lease, call, &applied, &migration.sql).await?;
    let end = match migration.is_dry_run {
        true => "ROLLBACK",
        false => "COMMIT",
    };
    lease.session().command(end).await?;
    Ok(match migration.is_dry_run {
        true => Migrated::Tried(applied),
        false => Migrated::Now(applied),
    })
}

/// The migrations that were applied before; from now on no other is.
async fn before(lease: &mut Lease) -> Result<Vec<AppliedMigration>, Stopped> {
    lease.session().command(CREATE).await?;
    lease.session().command(LOCK).await?;
    let mut before = Vec::new();
    let read = lease.session().simple_rows(ALL, |row| {
        let mut fields = fields(row)
            .map(|field| String::from_utf8_lossy(field.unwrap_or_default()).into_owned());
        let mut text = || fields.next().unwrap_or_default();
        before.push(AppliedMigration {
            name: text(),
            checksum: text(),
            applied_at: text(),
            elapsed_ms: text().parse().unwrap_or(0),
            statements: text().parse().unwrap_or(0),
            applied_by: text(),
        });
    });
    match read.await {
        Ok(()) => Ok(before),
        // A column is missing: the table is another one.
        Err(Failure::Server(error)) if error.sqlstate == "42703" => {
            Err(Stopped::Told(MigrateError::ForeignTable))
        }
        Err(failure) => Err(failure.into()),
    }
}

async fn keep(
    lease: &mut Lease,
    call: &Call,
    applied: &AppliedMigration,
    sql: &str,
) -> Result<(), Failure> {
    let text = |text: &str| Param::Text(text.to_owned());
    let number = |number: u64| Param::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let values = [
        text(&applied.name),
        text(&applied.checksum),
        text(&applied.applied_at),
        number(applied.elapsed_ms),
        number(applied.statements),
        text(&applied.applied_by),
        text(sql),
    ];
    let statement = Statement {
        sql: KEEP.into(),
        params: Params::Positional(values.into()),
        ..Statement::default()
    };
    // What the migration has set for its session does not hold for this.
    lease.session().command("RESET ALL").await?;
    let nature = Nature::of(&statement.sql);
    run_one(lease, &statement, &nature, &call.form)
        .await
        .map(|_| ())
}
