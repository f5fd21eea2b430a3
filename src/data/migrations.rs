//! Migrations, looked at before they are applied, and the list of those that were.
use super::scripts::silent;
use super::{
    DataPlane, Params, QueryError, QueryOptions, QueryRequest, ScriptError, SharedGuard, Target,
};
use crate::clock::timestamp::Timestamp;
use crate::engine::sql::{
    AppliedMigration, BatchError, MIGRATIONS_TABLE, MigrateError, Migrated, NewMigration,
    part_to_apply,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Most statements of one migration: it comes from a file, and no answer has rows.
pub const MAX_MIGRATION_STATEMENTS: usize = 100_000;

/// Most bytes of a migration's name: that of a file.
pub const MAX_MIGRATION_NAME: usize = 255;

/// Most migrations that are listed.
const LISTED: u64 = 100_000;

/// A migration as a caller asks for it.
#[derive(Debug, Clone)]
pub struct MigrationRequest {
    /// Its name.
    pub name: String,
    /// Its statements.
    pub sql: String,
    /// Whether foreign keys hold while it runs; `None`: as its text says.
    pub foreign_keys: Option<bool>,
    /// Whether it may be applied after one whose name comes later.
    pub is_late_allowed: bool,
    /// Whether everything is taken back at its end.
    pub is_dry_run: bool,
}

impl DataPlane {
    /// Applies a migration to the database behind `guard`, unless it was applied before.
    ///
    /// # Errors
    /// What [`MigrateError`] lists, with the place of a failed statement in the text.
    pub async fn migrate(
        &self,
        guard: &SharedGuard,
        target: &Target,
        request: MigrationRequest,
        applied_by: String,
        now: Timestamp,
        options: QueryOptions,
    ) -> Result<Migrated, ScriptError<MigrateError>> {
        let whole = |failure: MigrateError| ScriptError { offset: 0, failure };
        check_name(&request.name).map_err(|error| whole(error.into()))?;
        if !options.may_write() {
            return Err(whole(QueryError::ReadOnly.into()));
        }
        let executor = self
            .executor_of(target)
            .map_err(|error| whole(error.into()))?;
        let Some(sql) = part_to_apply(&request.sql) else {
            let message = "the text has a part to apply behind the part that takes it back; write \
                           them in the other order"
                .to_owned();
            return Err(whole(QueryError::InvalidRequest { message }.into()));
        };
        let places = executor.split(sql, MAX_MIGRATION_STATEMENTS + 1).await;
        let places = places.map_err(|error| whole(error.into()))?;
        if places.len() > MAX_MIGRATION_STATEMENTS {
            let too_many = QueryError::PayloadTooLarge {
                what: "the number of statements",
                limit: MAX_MIGRATION_STATEMENTS.to_string(),
            };
            return Err(whole(too_many.into()));
        }
        let begins: Vec<usize> = places.iter().map(|place| place.start).collect();
        let in_text = |failure: MigrateError| ScriptError {
            offset: match &failure {
                MigrateError::Statement(failed) => {
                    begins.get(failed.statement).copied().unwrap_or(0)
                }
                _ => 0,
            },
            failure,
        };
        for (statement, place) in places.iter().enumerate() {
            let looked = self.refuse_early(&request.sql[place.clone()], &Params::None);
            looked.map_err(|error| in_text(BatchError { statement, error }.into()))?;
        }
        let call = self.call(&silent(options));
        let migration = NewMigration {
            checksum: checksum(&request.sql),
            name: request.name,
            sql: request.sql,
            statements: places,
            foreign_keys: request.foreign_keys,
            is_late_allowed: request.is_late_allowed,
            is_dry_run: request.is_dry_run,
            applied_by,
            now,
        };
        let migrated = executor.migrate(guard, target, &call, migration).await;
        migrated.map_err(in_text)
    }

    /// The migrations that were applied to the database behind `guard`, in that order.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn migrations(
        &self,
        guard: &SharedGuard,
        target: &Target,
        options: QueryOptions,
    ) -> Result<Vec<AppliedMigration>, QueryError> {
        #[derive(Deserialize)]
        struct Body {
            rows: Vec<(String, String, String, u64, u64, String)>,
        }
        let schema = self.schema(guard, target, &options).await?;
        let kept = schema.find(MIGRATIONS_TABLE);
        if !kept.is_some_and(|table| COLUMNS.iter().all(|name| table.column(name).is_some())) {
            return Ok(Vec::new());
        }
        let request = QueryRequest {
            sql: format!(
                "SELECT {} FROM {MIGRATIONS_TABLE} ORDER BY position",
                COLUMNS.join(", ")
            ),
            params: Params::None,
            options: QueryOptions {
                max_rows: Some(LISTED),
                ..options
            },
        };
        let answer = self.query(guard, target, request).await?;
        let body: Body = serde_json::from_slice(&answer.body).map_err(|_| {
            // It was written by hand.
            QueryError::InvalidRequest {
                message: format!("the table `{MIGRATIONS_TABLE}` holds what no migration wrote"),
            }
        })?;
        let rows = body.rows.into_iter();
        Ok(rows
            .map(
                |(name, checksum, applied_at, elapsed_ms, statements, applied_by)| {
                    AppliedMigration {
                        name,
                        checksum,
                        applied_at,
                        elapsed_ms,
                        statements,
                        applied_by,
                    }
                },
            )
            .collect())
    }
}

const COLUMNS: &[&str] = &[
    "name",
    "checksum",
    "applied_at",
    "elapsed_ms",
    "statements",
    "applied_by",
];

/// What tells a text from others: SHA-256 in hex, with line ends as `\n`, which some systems change.
fn checksum(sql: &str) -> String {
    hex::encode(Sha256::digest(sql.replace("\r\n", "\n").as_bytes()))
}

fn check_name(name: &str) -> Result<(), QueryError> {
    let message = if name.is_empty() {
        "a migration has a name".to_owned()
    } else if name.len() > MAX_MIGRATION_NAME {
        format!("the name of a migration has at most {MAX_MIGRATION_NAME} bytes")
    } else if name.chars().any(char::is_control) {
        "the name of a migration has no control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(QueryError::InvalidRequest { message })
}
