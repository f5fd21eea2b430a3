//! Migrations: applied once, in order, whole or not at all.
use crate::data::{AppliedMigration, Migrated, MigrationRequest};
use crate::http::Gateway;
use crate::http::extract::fields;
use crate::http::extract::{JsonBody, NoParameters, PathParts, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// A migration to apply.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMigration)]
pub(crate) struct MigrationBody {
    /// Its name, such as that of its file. Migrations are applied in the order of their names, in
    /// which numbers count as numbers.
    #[schema(min_length = 1, max_length = 255, example = "0001_create_users")]
    name: String,
    /// Its statements, separated by `;`.
    #[schema(example = "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL)")]
    sql: String,
    /// `false`: foreign keys do not hold while it runs. Default: as a `PRAGMA foreign_keys` in its
    /// text says.
    #[serde(default)]
    foreign_keys: Option<bool>,
    /// Apply it although one whose name comes later was applied already.
    #[serde(default)]
    out_of_order: bool,
    /// Run all of it, then roll it back.
    #[serde(default)]
    dry_run: bool,
    /// Time limit in milliseconds, for all statements together. Default: the largest.
    #[serde(default, deserialize_with = "fields::whole")]
    #[schema(minimum = 1)]
    timeout_ms: Option<u64>,
}

/// A migration that was applied.
#[derive(Serialize, ToSchema)]
#[schema(as = Migration)]
struct MigrationView {
    name: String,
    /// SHA-256 of its text, with line ends as `\n`.
    checksum: String,
    /// When it was applied.
    #[schema(format = DateTime)]
    applied_at: String,
    /// How long it took.
    elapsed_ms: u64,
    /// How many of its statements ran; BEGIN, COMMIT and `PRAGMA foreign_keys` are not counted.
    statements: u64,
    /// The token that applied it, or root.
    applied_by: String,
}

/// The migrations of a database.
#[derive(Serialize, ToSchema)]
#[schema(as = Migrations)]
struct MigrationsView {
    /// In the order in which they were applied.
    data: Vec<MigrationView>,
    /// Always null: all are listed.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Apply a migration
///
/// In one transaction, which has the database's writer alone. 201 when it was applied; 200 when it
/// was applied before with the same text, and with `dry_run`.
#[utoipa::path(post, path = "/v1/databases/{db}/migrations", tag = "schema",
    params(("db" = String, Path, description = "Name or id")),
    request_body = MigrationBody,
    responses((status = 201, body = MigrationView), (status = 200, body = MigrationView)))]
pub(crate) async fn apply_migration(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    _: StrictQuery<NoParameters>,
    JsonBody(body): JsonBody<MigrationBody>,
) -> Result<Response, Problem> {
    let timeout = body.timeout_ms.map(Duration::from_millis);
    let request = MigrationRequest {
        name: body.name,
        sql: body.sql,
        foreign_keys: body.foreign_keys,
        is_late_allowed: body.out_of_order,
        is_dry_run: body.dry_run,
    };
    let migrated = gateway
        .service
        .migrate(&caller, &reference, request, timeout);
    let (status, applied) = match migrated.await? {
        Migrated::Now(applied) => (StatusCode::CREATED, applied),
        Migrated::Before(applied) | Migrated::Tried(applied) => (StatusCode::OK, applied),
    };
    Ok(reply::json(status, &MigrationView::from(applied)))
}

/// List migrations
#[utoipa::path(get, path = "/v1/databases/{db}/migrations", tag = "schema",
    params(("db" = String, Path, description = "Name or id")),
    responses((status = 200, body = MigrationsView)))]
pub(crate) async fn list_migrations(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    let applied = gateway.service.migrations(&caller, &reference).await?;
    let view = MigrationsView {
        data: applied.into_iter().map(Into::into).collect(),
        next_cursor: None,
    };
    Ok(reply::json(StatusCode::OK, &view))
}

impl From<AppliedMigration> for MigrationView {
    fn from(applied: AppliedMigration) -> Self {
        Self {
            name: applied.name,
            checksum: applied.checksum,
            applied_at: applied.applied_at,
            elapsed_ms: applied.elapsed_ms,
            statements: applied.statements,
            applied_by: applied.applied_by,
        }
    }
}
