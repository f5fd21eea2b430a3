//! Databases: created, looked at, changed, deleted.

pub(crate) mod body;
pub(crate) mod view;

use self::body::{ChangeBody, CreateBody};
use self::view::DatabaseView;
use super::jobs::view::JobView;
use super::plans::dry_run::{DryRun, PlanView};
use crate::control::Accepted;
use crate::domain::command::{Command, IfExists};
use crate::domain::database::{Condition, Database, DatabaseState};
use crate::domain::ids::DatabaseId;
use crate::domain::state::State as ForgeState;
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::extract::forms::SequenceNumber;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::{NoFields, PathParts, StrictQuery};
use crate::http::middleware::auth::Caller;
use crate::http::openapi::schemas;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::job_answers::mark_replayed;
use crate::http::response::lists::{
    Direction, List, known_word, page_answer, page_request, visible_page,
};
use crate::http::response::reply;
use crate::http::response::reply::Marked;
use crate::projections::control_db::DatabaseFilter;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which databases are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// Those in this state: `ready`.
    #[param(schema_with = schemas::database_state)]
    state: Option<String>,
    /// Those that carry this label: `team=red`.
    #[param(schema_with = schemas::label)]
    label: Option<String>,
    /// Those with this in their name.
    q: Option<String>,
    /// Most databases of the page: 1 to 1000, else 50.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `asc` for the oldest first, `desc` for the newest.
    #[param(inline)]
    order: Option<Direction>,
    /// Answer once the log has reached this sequence.
    min_sequence: Option<SequenceNumber>,
}

/// How a single thing is read.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadParameters {
    /// Answer once the log has reached this sequence.
    pub(crate) min_sequence: Option<SequenceNumber>,
}

/// How a lifecycle call is meant.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CommandParameters {
    /// `plan` to see what would happen instead.
    #[param(inline)]
    pub(crate) dry_run: Option<DryRun>,
}

/// How a database is created.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CreateParameters {
    /// `return` to be answered with the database that has the name, where its engine is the same.
    #[param(inline)]
    if_exists: Option<Existing>,
    /// `plan` to see what would happen instead.
    #[param(inline)]
    dry_run: Option<DryRun>,
}

/// What is done where a database has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Existing {
    /// It is the answer.
    Return,
}

/// What a create answers at once.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes which answers there are")]
enum CreateOutcome {
    /// With `if_exists=return`: it was there.
    Database(Box<DatabaseView>),
    /// With `dry_run=plan`.
    Plan(PlanView),
}

/// How a database is deleted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteParameters {
    /// `true` to remove it for good, from the trash too; needs the scope `admin`.
    #[serde(default)]
    purge: bool,
    /// `plan` to see what would happen instead.
    #[param(inline)]
    dry_run: Option<DryRun>,
}

/// Create a database
///
/// Answers SQL some milliseconds later; the job ends once its worker is healthy. Where a database
/// of that name is being deleted, the job waits for that.
#[utoipa::path(post, path = "/v1/databases", tag = "databases",
    params(CreateParameters), request_body = CreateBody,
    responses((status = 202, body = JobView), (status = 201, body = JobView),
        (status = 200, description = "The database that was there, or the plan", body = CreateOutcome)))]
pub(super) async fn create_database(
    State(gateway): State<Arc<Gateway>>,
    StrictQuery(parameters): StrictQuery<CreateParameters>,
    mutation: Mutation<CreateBody>,
) -> Result<Response, Problem> {
    mutation.caller.require(Scope::Manage)?;
    match &mutation.body.name {
        Some(name) => mutation.caller.require_name(name)?,
        // Whether a made name is covered is not known before it is made.
        None => mutation.caller.require_all()?,
    }
    let if_exists = match parameters.if_exists {
        Some(Existing::Return) => IfExists::Return,
        None => IfExists::Refuse,
    };
    let command = Command::CreateDatabase(mutation.body.command(if_exists)?);
    if parameters.dry_run.is_some() {
        return gateway.answer_with_plan(&mutation, &command);
    }
    let accepted = gateway.carry_out(&mutation, |_| Ok(command)).await?;
    if accepted.job().is_some() {
        return gateway.answer_with_job(&mutation, &accepted).await;
    }
    gateway.answer_with_existing(&mutation, &accepted).await
}

/// List databases
///
/// Those in the trash too, until they are purged.
#[utoipa::path(get, path = "/v1/databases", tag = "databases", params(ListParameters),
    responses((status = 200, body = List<DatabaseView>)))]
pub(super) async fn list_databases(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(asked): StrictQuery<ListParameters>,
) -> Result<Response, Problem> {
    caller.require_sight()?;
    let state = asked
        .state
        .as_deref()
        .map(|word| known_word("state", word, DatabaseState::ALL, DatabaseState::as_str));
    let now = gateway.control.clock().now();
    let filter = DatabaseFilter {
        state: state.transpose()?.map(|it| (it, now)),
        label: asked.label.as_deref().map(label).transpose()?,
        name_part: asked.q,
        order: asked.order.into(),
    };
    let request = page_request(asked.limit, asked.cursor)?;
    gateway.listed_at(asked.min_sequence).await?;
    let page = visible_page(
        request,
        |it: &Database| caller.covers(it.name.as_str()),
        |request| gateway.control_db.list_databases(filter.clone(), request),
    )
    .await?;
    Ok(page_answer(page, |it| gateway.view(&it)))
}

/// Look at a database
///
/// The living one of that name, else the latest of it in the trash, else the one with that id.
#[utoipa::path(get, path = "/v1/databases/{db}", tag = "databases",
    params(("db" = String, Path, description = "Name or id"), ReadParameters),
    responses((status = 200, body = DatabaseView)))]
pub(super) async fn get_database(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<ReadParameters>,
) -> Result<Response, Problem> {
    caller.require_sight()?;
    let present = gateway.present_at(parameters.min_sequence).await?;
    let database = caller.find_database(&present.state, &db)?;
    let answer = gateway.show_database(database);
    Ok(answer.seen(present.head.sequence))
}

/// Change a database's settings
#[utoipa::path(patch, path = "/v1/databases/{db}", tag = "databases",
    params(("db" = String, Path, description = "Name or id"), CommandParameters),
    request_body = ChangeBody,
    responses((status = 200, body = DatabaseView)))]
pub(super) async fn change_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<ChangeBody>,
) -> Result<Response, Problem> {
    mutation.caller.require(Scope::Manage)?;
    let command = |state: &ForgeState| {
        let found = mutation.caller.find_database(state, &db)?;
        Ok(Command::ChangeDatabase {
            database: found.id,
            change: mutation.body.change(found.limits),
        })
    };
    if parameters.dry_run.is_some() {
        let command = command(&gateway.control.present().state)?;
        return gateway.answer_with_plan(&mutation, &command);
    }
    let accepted = gateway.carry_out(&mutation, command).await?;
    let present = gateway.control.present();
    // Where nothing was different and there is no key, no event names the database.
    let database = match accepted.database() {
        Some(id) => (present.state.database(id)).ok_or_else(|| it_is_gone(&db))?,
        None => mutation.caller.find_database(&present.state, &db)?,
    };
    let answer = gateway.show_database(database);
    Ok(mark_replayed(answer, &accepted).seen(present.head.sequence))
}

/// A request is repeated under its key, and another database may have the name by now.
fn it_is_gone(name: &str) -> Problem {
    Problem::new(
        ErrorCode::DatabaseNotFound,
        format!("The database `{name}` that was there is gone."),
    )
    .hint("send the request again, with another `Idempotency-Key`")
}

/// Delete a database
///
/// To the trash, from where `undelete` brings it back; its name becomes free.
#[utoipa::path(delete, path = "/v1/databases/{db}", tag = "databases",
    params(("db" = String, Path, description = "Name or id"), DeleteParameters),
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(super) async fn delete_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<DeleteParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let (scope, command): (_, fn(DatabaseId) -> Command) = if parameters.purge {
        (Scope::Admin, |database| Command::PurgeDatabase { database })
    } else {
        (Scope::Manage, |database| Command::DeleteDatabase {
            database,
        })
    };
    mutation.caller.require(scope)?;
    let found = |state: &ForgeState| {
        let database = mutation.caller.find_database(state, &db)?;
        Ok(command(database.id))
    };
    gateway
        .answer_lifecycle(&mutation, parameters.dry_run, found)
        .await
}

/// Stop a database
///
/// Removes its worker and refuses SQL; the data is kept.
#[utoipa::path(post, path = "/v1/databases/{db}/stop", tag = "databases",
    params(("db" = String, Path, description = "Name or id"), CommandParameters),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(super) async fn stop_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let command = |database| Command::StopDatabase { database };
    gateway.act_on(&db, &mutation, &parameters, command).await
}

/// Start a stopped database
#[utoipa::path(post, path = "/v1/databases/{db}/start", tag = "databases",
    params(("db" = String, Path, description = "Name or id"), CommandParameters),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(super) async fn start_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let command = |database| Command::StartDatabase { database };
    gateway.act_on(&db, &mutation, &parameters, command).await
}

/// Replace a database's worker by a fresh one
#[utoipa::path(post, path = "/v1/databases/{db}/restart", tag = "databases",
    params(("db" = String, Path, description = "Name or id"), CommandParameters),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(super) async fn restart_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let command = |database| Command::RestartWorker { database };
    gateway.act_on(&db, &mutation, &parameters, command).await
}

/// Bring a database back from the trash
#[utoipa::path(post, path = "/v1/databases/{db}/undelete", tag = "databases",
    params(("db" = String, Path, description = "Name or id"), CommandParameters),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(super) async fn undelete_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let command = |database| Command::UndeleteDatabase { database };
    gateway.act_on(&db, &mutation, &parameters, command).await
}

impl Gateway {
    /// Answers a call that does one thing to one database.
    async fn act_on(
        &self,
        db: &str,
        mutation: &Mutation<NoFields>,
        parameters: &CommandParameters,
        command: fn(DatabaseId) -> Command,
    ) -> Result<Response, Problem> {
        mutation.caller.require(Scope::Manage)?;
        let found = |state: &ForgeState| {
            let database = mutation.caller.find_database(state, db)?;
            Ok(command(database.id))
        };
        self.answer_lifecycle(mutation, parameters.dry_run, found)
            .await
    }

    /// Answers a create that found a database of the name: with that, once it is created, where
    /// the caller prefers to wait.
    async fn answer_with_existing(
        &self,
        mutation: &Mutation<CreateBody>,
        accepted: &Accepted,
    ) -> Result<Response, Problem> {
        let name = mutation.body.name.as_deref().unwrap_or_default();
        // Under a key the answer to a retry is about the same database.
        let find = |state: &ForgeState| match accepted.database() {
            Some(id) => state.database(id).cloned(),
            None => state.find_database(name).cloned(),
        };
        let created_by = find(&self.control.present().state)
            .filter(|it| it.condition == Condition::Creating)
            .and_then(|it| it.queue.first().map(|it| it.id));
        if let (Some(job), Some(wait)) = (created_by, mutation.wait) {
            self.wait_for_job(job, wait).await?;
        }
        let present = self.control.present();
        let database = find(&present.state).ok_or_else(|| it_is_gone(name))?;
        let answer = (self.show_database(&database)).with(
            header::LOCATION,
            &format!("/v1/databases/{}", database.name),
        );
        Ok(mark_replayed(answer, accepted).seen(present.head.sequence))
    }

    /// Answers a command that becomes a job, or shows what it would do.
    async fn answer_lifecycle<T>(
        &self,
        mutation: &Mutation<T>,
        dry_run: Option<DryRun>,
        command: impl FnOnce(&ForgeState) -> Result<Command, Problem>,
    ) -> Result<Response, Problem> {
        if dry_run == Some(DryRun::Plan) {
            let command = command(&self.control.present().state)?;
            return self.answer_with_plan(mutation, &command);
        }
        let accepted = self.carry_out(mutation, command).await?;
        self.answer_with_job(mutation, &accepted).await
    }

    fn show_database(&self, database: &Database) -> Response {
        reply::json(StatusCode::OK, &self.view(database)).etag(database.sequence)
    }
}

/// `team=red`: a label's key and value.
fn label(text: &str) -> Result<(String, String), Problem> {
    let (key, value) = text.split_once('=').ok_or_else(|| {
        Problem::invalid("`label` is written as key and value: `label=team=red`.")
    })?;
    Ok((key.to_owned(), value.to_owned()))
}
