//! The verbs of a database: delete, stop, start, restart, undelete.
use crate::domain::verb::Verb;
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::parameters::{ChangeHeaders, CommandParameters, DryRun, WaitHeader};
use crate::http::extract::{NoFields, PathParts, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::views::job::JobView;
use crate::http::routing::{Group, group};
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// All of them.
pub(in crate::http) fn routes() -> Group {
    group![
        delete_database,
        stop_database,
        start_database,
        restart_database,
        undelete_database,
    ]
}

/// How a database is deleted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteParameters {
    /// `true`: delete permanently, even from the trash; requires scope `admin`.
    #[serde(default)]
    purge: bool,
    /// `plan`: show what would happen, without doing it.
    #[param(inline)]
    dry_run: Option<DryRun>,
}

/// Delete a database
///
/// Moves it to the trash; `undelete` restores it. Its name becomes available.
#[utoipa::path(delete, path = "/v1/databases/{db}", tag = "databases",
    params(("db" = String, Path, description = "Name or id"), DeleteParameters,
        ChangeHeaders, WaitHeader),
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(super) async fn delete_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<DeleteParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let verb = if parameters.purge {
        Verb::Purge
    } else {
        Verb::Delete
    };
    let mutation = mutation.or_plan(parameters.dry_run);
    gateway.act_on(&db, &mutation, verb).await
}

/// Stop a database
///
/// Removes its worker and rejects SQL; the data is kept.
#[utoipa::path(post, path = "/v1/databases/{db}/stop", tag = "databases",
    params(("db" = String, Path, description = "Name or id"), CommandParameters,
        ChangeHeaders, WaitHeader),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(super) async fn stop_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let mutation = mutation.or_plan(parameters.dry_run);
    gateway.act_on(&db, &mutation, Verb::Stop).await
}

/// Start a stopped database
#[utoipa::path(post, path = "/v1/databases/{db}/start", tag = "databases",
    params(("db" = String, Path, description = "Name or id"), CommandParameters,
        ChangeHeaders, WaitHeader),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(super) async fn start_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let mutation = mutation.or_plan(parameters.dry_run);
    gateway.act_on(&db, &mutation, Verb::Start).await
}

/// Restart a database
///
/// Replaces its worker.
#[utoipa::path(post, path = "/v1/databases/{db}/restart", tag = "databases",
    params(("db" = String, Path, description = "Name or id"), CommandParameters,
        ChangeHeaders, WaitHeader),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(super) async fn restart_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let mutation = mutation.or_plan(parameters.dry_run);
    gateway.act_on(&db, &mutation, Verb::Restart).await
}

/// Restore a database from the trash
#[utoipa::path(post, path = "/v1/databases/{db}/undelete", tag = "databases",
    params(("db" = String, Path, description = "Name or id"), CommandParameters,
        ChangeHeaders, WaitHeader),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(super) async fn undelete_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let mutation = mutation.or_plan(parameters.dry_run);
    gateway.act_on(&db, &mutation, Verb::Undelete).await
}

impl Gateway {
    /// Answers a call that does one thing to one database.
    async fn act_on(
        &self,
        db: &str,
        mutation: &Mutation<NoFields>,
        verb: Verb,
    ) -> Result<Response, Problem> {
        let acted = self.service.act_on_database(&mutation.request, db, verb);
        self.job_outcome(acted.await?)
    }
}
