//! Applies a migration: once, in order, whole or not at all.
use super::exclusive::Outcome;
use super::migration_text::{Step, dropped_table, given_name, step};
use super::violations::Violations;
use crate::clock::Stopwatch;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::{
    AppliedMigration, BatchError, Call, MigrateError, Migrated, NewMigration, Params, QueryError,
    Statement, Target, compare_migration_names,
};
use crate::engine::sqlite::executor::SqliteExecutor;
use crate::engine::sqlite::statement::script::cut_off;
use crate::engine::sqlite::writer::lease::LeaseSetup;
use crate::engine::sqlite::{Savepoints, SqlError, SqliteConnection};
use rusqlite::{OptionalExtension as _, Row};
use std::time::Duration;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS dbforge_migrations (\
    position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, checksum TEXT NOT NULL, \
    applied_at TEXT NOT NULL, elapsed_ms INTEGER NOT NULL, statements INTEGER NOT NULL, \
    applied_by TEXT NOT NULL, sql TEXT NOT NULL)";
const FIND: &str = "SELECT name, checksum, applied_at, elapsed_ms, statements, applied_by \
    FROM main.dbforge_migrations WHERE name = ?1";
const NAMES: &str = "SELECT name FROM main.dbforge_migrations";
const KEEP: &str = "INSERT INTO main.dbforge_migrations \
    (name, checksum, applied_at, elapsed_ms, statements, applied_by, sql) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
/// How many there are, and what they were.
const RECORD: &str = "SELECT count(*), group_concat(position || name || checksum) \
    FROM (SELECT position, name, checksum FROM main.dbforge_migrations ORDER BY position)";
const IS_THERE: &str =
    "SELECT 1 FROM sqlite_schema WHERE name = 'dbforge_migrations' COLLATE nocase";

impl SqliteExecutor {
    /// Applies a migration, unless it was applied before.
    ///
    /// # Errors
    /// What [`MigrateError`] lists; nothing of it is kept then, but for
    /// [`QueryError::OutcomeUnknown`].
    pub async fn migrate(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        migration: NewMigration,
    ) -> Result<Migrated, MigrateError> {
        let open = self.open_behind(guard, target)?;
        let mut plan = Plan::of(&migration)?;
        if let Some(holds) = migration.foreign_keys {
            plan.setup.foreign_keys_off = !holds;
        }
        let (setup, call_of_it) = (plan.setup, *call);
        let applied = self.exclusively(guard, &open, call, setup, move |sqlite| {
            let mut applying = Applying {
                sqlite,
                migration: &migration,
                call: &call_of_it,
            };
            applying.apply(&plan)
        });
        applied.await
    }
}

/// The steps of a migration.
struct Plan {
    steps: Vec<Step>,
    setup: LeaseSetup,
}

impl Plan {
    fn of(migration: &NewMigration) -> Result<Self, MigrateError> {
        let mut plan = Self {
            steps: Vec::with_capacity(migration.statements.len()),
            setup: LeaseSetup::default(),
        };
        for (statement, place) in migration.statements.iter().enumerate() {
            let step = step(&migration.sql[place.clone()]);
            match step {
                Step::Refuse(what) => {
                    let error = QueryError::NotAllowed {
                        what: what.to_owned(),
                    };
                    return Err(BatchError { statement, error }.into());
                }
                Step::ForeignKeys(false) => plan.setup.foreign_keys_off = true,
                Step::LegacyAlterTable(true) => plan.setup.legacy_alter_table = true,
                Step::ForeignKeys(true)
                | Step::LegacyAlterTable(false)
                | Step::Run
                | Step::Skip => {}
            }
            plan.steps.push(step);
        }
        // A table that is made anew: dropping the old one would take along what refers to it.
        plan.setup.foreign_keys_off |= makes_a_table_anew(migration);
        Ok(plan)
    }
}

fn makes_a_table_anew(migration: &NewMigration) -> bool {
    let mut dropped = Vec::new();
    migration.statements.iter().any(|place| {
        let statement = &migration.sql[place.clone()];
        dropped.extend(dropped_table(statement));
        given_name(statement).is_some_and(|name| dropped.contains(&name))
    })
}

struct Applying<'a> {
    sqlite: &'a mut SqliteConnection,
    migration: &'a NewMigration,
    call: &'a Call,
}

impl Applying<'_> {
    fn apply(&mut self, plan: &Plan) -> Result<(Migrated, Outcome), MigrateError> {
        let since = Stopwatch::start();
        self.ensure_table()?;
        if let Some(before) = self.applied_before()? {
            return Ok((Migrated::Before(before), Outcome::TakeBack));
        }
        self.refuse_cut_off()?;
        if !self.migration.is_late_allowed {
            self.refuse_late()?;
        }
        let before = match plan.setup.foreign_keys_off {
            true => Some(Violations::of(self.sqlite).map_err(|error| self.failed(error))?),
            false => None,
        };
        let record = self.record()?;
        let statements = self.run(plan)?;
        if self.record().ok() != Some(record) {
            let what =
                "changing `dbforge_migrations`, which says what was applied: take the statement \
                        out of the migration"
                    .to_owned();
            return Err(QueryError::NotAllowed { what }.into());
        }
        self.refuse_broken_keys(before)?;
        let migration = self.migration;
        let applied = AppliedMigration {
            name: migration.name.clone(),
            checksum: migration.checksum.clone(),
            applied_at: migration.now.to_string(),
            elapsed_ms: milliseconds(since.elapsed()),
            statements,
            applied_by: migration.applied_by.clone(),
        };
        self.keep(&applied)?;
        Ok(match migration.is_dry_run {
            true => (Migrated::Tried(applied), Outcome::TakeBack),
            false => (Migrated::Now(applied), Outcome::Keep),
        })
    }

    /// SQLite takes a comment without its end; more statements may have stood behind it.
    fn refuse_cut_off(&self) -> Result<(), MigrateError> {
        let sql = &self.migration.sql;
        let Some((what, at)) = cut_off(sql) else {
            return Ok(());
        };
        let line = 1 + sql[..at].matches('\n').count();
        let message = format!(
            "the text ends inside {what} that begins on line {line}: it was cut off, or the end \
             of {what} is missing"
        );
        Err(QueryError::InvalidRequest { message }.into())
    }

    /// Runs the statements; how many did.
    fn run(&mut self, plan: &Plan) -> Result<u64, MigrateError> {
        let mut savepoints = Savepoints::default();
        let mut count = 0;
        for (index, (step, place)) in plan
            .steps
            .iter()
            .zip(&self.migration.statements)
            .enumerate()
        {
            if *step != Step::Run {
                continue;
            }
            let statement = Statement {
                sql: self.migration.sql[place.clone()].into(),
                params: Params::None,
                ..Statement::default()
            };
            let form = &self.call.form;
            let ran = match self.sqlite.run_savepoint(&statement, form, &mut savepoints) {
                Some(done) => done,
                None => self.sqlite.run(&statement, form),
            };
            if let Err(error) = ran {
                let error = error.for_caller(self.call.timeout);
                let statement = index;
                return Err(BatchError { statement, error }.into());
            }
            count += 1;
        }
        Ok(count)
    }

    fn refuse_broken_keys(&mut self, before: Option<Violations>) -> Result<(), MigrateError> {
        let before = match before {
            Some(before) => before,
            None if self.sqlite.has_deferred_violations() => Violations::default(),
            None => return Ok(()),
        };
        let after = Violations::of(self.sqlite).map_err(|error| self.failed(error))?;
        match after.since(&before) {
            Some((first, count)) => Err(MigrateError::ForeignKeys { first, count }),
            None if self.sqlite.has_deferred_violations() => {
                Err(QueryError::DeferredForeignKey.into())
            }
            None => Ok(()),
        }
    }

    fn ensure_table(&mut self) -> Result<(), MigrateError> {
        let has_table = self.ask(|internal| {
            let mut question = internal.prepare(IS_THERE)?;
            let is_there = question.exists([])?;
            if !is_there {
                internal.execute(CREATE, [])?;
            }
            // Its columns are asked for, too.
            internal
                .prepare(FIND)
                .and_then(|_| internal.prepare(KEEP))
                .map(|_| true)
                .or_else(|error| match error {
                    rusqlite::Error::SqlInputError { .. } => Ok(false),
                    rusqlite::Error::SqliteFailure(code, _)
                        if code.extended_code == rusqlite::ffi::SQLITE_ERROR =>
                    {
                        Ok(false)
                    }
                    other => Err(other),
                })
        })?;
        match has_table {
            true => Ok(()),
            false => Err(MigrateError::ForeignTable),
        }
    }

    fn applied_before(&mut self) -> Result<Option<AppliedMigration>, MigrateError> {
        let name = &self.migration.name;
        let found = self.ask(|internal| internal.query_row(FIND, [name], applied).optional())?;
        let Some(before) = found else {
            return Ok(None);
        };
        if before.checksum == self.migration.checksum {
            return Ok(Some(before));
        }
        Err(MigrateError::Changed {
            name: before.name,
            applied_at: before.applied_at,
            checksum: before.checksum,
        })
    }

    fn refuse_late(&mut self) -> Result<(), MigrateError> {
        let names = self.ask(|internal| {
            let mut names = internal.prepare(NAMES)?;
            let names = names.query_map([], |row| row.get::<_, String>(0))?;
            names.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let last = names
            .into_iter()
            .max_by(|a, b| compare_migration_names(a, b));
        match last {
            Some(last) if compare_migration_names(&self.migration.name, &last).is_lt() => {
                Err(MigrateError::Late {
                    name: self.migration.name.clone(),
                    last,
                })
            }
            _ => Ok(()),
        }
    }

    /// What was applied so far.
    fn record(&mut self) -> Result<(i64, Option<String>), MigrateError> {
        self.ask(|internal| internal.query_row(RECORD, [], |row| Ok((row.get(0)?, row.get(1)?))))
    }

    fn keep(&mut self, applied: &AppliedMigration) -> Result<(), MigrateError> {
        let sql = &self.migration.sql;
        self.ask(|internal| {
            internal.execute(
                KEEP,
                rusqlite::params![
                    applied.name,
                    applied.checksum,
                    applied.applied_at,
                    i64::try_from(applied.elapsed_ms).unwrap_or(i64::MAX),
                    i64::try_from(applied.statements).unwrap_or(i64::MAX),
                    applied.applied_by,
                    sql,
                ],
            )
        })?;
        Ok(())
    }

    /// Asks as the forge itself.
    fn ask<T>(
        &mut self,
        ask: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> Result<T, MigrateError> {
        let asked = self.sqlite.as_internal(ask);
        asked.map_err(|error| {
            let cut = self.sqlite.interrupts.interrupt();
            self.failed(SqlError::from_sqlite(&error, cut))
        })
    }

    fn failed(&self, error: SqlError) -> MigrateError {
        error.for_caller(self.call.timeout).into()
    }
}

fn applied(row: &Row<'_>) -> rusqlite::Result<AppliedMigration> {
    let number = |at: usize| -> rusqlite::Result<u64> {
        Ok(u64::try_from(row.get::<_, i64>(at)?).unwrap_or(0))
    };
    Ok(AppliedMigration {
        name: row.get(0)?,
        checksum: row.get(1)?,
        applied_at: row.get(2)?,
        elapsed_ms: number(3)?,
        statements: number(4)?,
        applied_by: row.get(5)?,
    })
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
