//! Databases: created, looked at, changed, deleted.
pub(super) mod import;
pub(super) mod import_table;
mod rows_parameters;
pub(super) mod verbs;

use crate::domain::command::IfExists;
use crate::domain::command::settings::MAX_LABEL_KEY;
use crate::domain::database::DatabaseState;
use crate::http::Gateway;
use crate::http::extract::lifecycle::{ChangeBody, CreateBody};
use crate::http::extract::mutation::Mutation;
use crate::http::extract::parameters::{
    ChangeHeaders, CommandParameters, DryRun, KeyHeader, ReadParameters, WaitHeader,
    list_parameters,
};
use crate::http::extract::{PathParts, StrictQuery};
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use crate::http::response::job_answers::mark_replayed;
use crate::http::response::lists::{List, known_word, page_answer};
use crate::http::response::reply::{self, Marked};
use crate::http::response::views::database::DatabaseView;
use crate::http::response::views::job::JobView;
use crate::http::response::views::plan::PlanView;
use crate::projections::control_db::DatabaseFilter;
use crate::service::caller::Caller;
use crate::service::commands::Outcome;
use crate::service::commands::databases::{Creation, Shown};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

list_parameters! {
    /// Which databases are wanted.
    DatabaseListParameters {
        /// Only databases in this state: `ready`.
        #[param(schema_with = schemas::database_state)]
        state: Option<String>,
        /// Only databases with this label: `team=red`.
        #[param(schema_with = schemas::label)]
        label: Option<String>,
        /// Only databases whose name contains this text.
        q: Option<String>,
    }
}

/// How a database is created.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CreateParameters {
    /// `return`: if the name is taken by a database of the same engine, return that one.
    #[param(inline)]
    if_exists: Option<Existing>,
    /// `plan`: show what would happen, without doing it.
    #[param(inline)]
    dry_run: Option<DryRun>,
}

/// What to do if the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Existing {
    /// Return the existing database.
    Return,
}

/// Create a database
///
/// SQL works after a few milliseconds; the job ends when its worker is healthy. If a database of that
/// name is being deleted, the job waits for that.
#[utoipa::path(post, path = "/v1/databases", tag = "databases",
    params(CreateParameters, KeyHeader, WaitHeader), request_body = CreateBody,
    responses((status = 202, body = JobView), (status = 201, body = JobView),
        (status = 200, description = "With `if_exists=return`: the existing database", body = DatabaseView)))]
pub(super) async fn create_database(
    State(gateway): State<Arc<Gateway>>,
    StrictQuery(parameters): StrictQuery<CreateParameters>,
    mutation: Mutation<CreateBody>,
) -> Result<Response, Problem> {
    let if_exists = match parameters.if_exists {
        Some(Existing::Return) => IfExists::Return,
        None => IfExists::Refuse,
    };
    let Mutation { request, body } = mutation.or_plan(parameters.dry_run);
    let wanted = || {
        let mut wanted = body.command(if_exists, gateway.service.data.engines())?;
        if let Some(id) = body.upload() {
            let upload = gateway.service.upload_to_load(&request.caller, id);
            wanted.from = Some(upload?.id);
        }
        Ok::<_, Problem>(wanted)
    };
    let name = body.name.as_deref();
    let created = gateway.service.create_database(&request, name, wanted);
    match created.await? {
        Outcome::Done(Creation::Enqueued(enqueued)) => gateway.enqueued(&enqueued),
        Outcome::Done(Creation::Existing(shown)) => {
            let location = format!("/v1/databases/{}", shown.database.name);
            Ok(gateway
                .show_changed(&shown)
                .with(header::LOCATION, &location))
        }
        Outcome::Preview(preview) => Ok(PlanView::answer(preview)),
    }
}

/// List databases
///
/// Includes databases in the trash.
#[utoipa::path(get, path = "/v1/databases", tag = "databases", params(DatabaseListParameters),
    responses((status = 200, body = List<DatabaseView>)))]
pub(super) async fn list_databases(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(asked): StrictQuery<DatabaseListParameters>,
) -> Result<Response, Problem> {
    let word = asked.state.as_deref();
    let state = word
        .map(|word| known_word("state", word, DatabaseState::ALL, DatabaseState::as_str))
        .transpose()?;
    let now = gateway.service.control.clock().now();
    let paging = asked.paging()?;
    let filter = DatabaseFilter {
        state: state.map(|it| (it, now)),
        labels: asked.label.as_deref().map_or(Ok(Vec::new()), labels)?,
        name_part: asked.q,
        order: paging.order,
    };
    let page = gateway
        .service
        .list_databases(&caller, filter, paging.min_sequence, paging.page);
    Ok(page_answer(page.await?, |it| gateway.view(&it)))
}

/// Get a database
///
/// By name, or by id. If the name is not in use, the most recently deleted database of that name.
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
    let current = gateway.service.present_at(parameters.min_sequence());
    let current = current.await?;
    let database = caller.find_database(&current.state, &db)?;
    let answer = reply::json(StatusCode::OK, &gateway.view(database));
    Ok(answer.etag(database.sequence).seen(current.head.sequence))
}

/// Change database settings
#[utoipa::path(patch, path = "/v1/databases/{db}", tag = "databases",
    params(("db" = String, Path, description = "Name or id"), CommandParameters, ChangeHeaders),
    request_body = ChangeBody,
    responses((status = 200, body = DatabaseView)))]
pub(super) async fn change_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<ChangeBody>,
) -> Result<Response, Problem> {
    let Mutation { request, body } = mutation.or_plan(parameters.dry_run);
    let change = |limits| body.change(limits);
    match gateway
        .service
        .change_database(&request, &db, change)
        .await?
    {
        Outcome::Done(shown) => Ok(gateway.show_changed(&shown)),
        Outcome::Preview(preview) => Ok(PlanView::answer(preview)),
    }
}

impl Gateway {
    /// A database after a command about it.
    fn show_changed(&self, shown: &Shown) -> Response {
        let Shown {
            database,
            accepted,
            seen,
        } = shown;
        let answer = reply::json(StatusCode::OK, &self.view(database)).etag(database.sequence);
        mark_replayed(answer, accepted).seen(*seen)
    }
}

/// `team=red`: a label's key and value. Either may contain `=`, so that there may be several.
fn labels(text: &str) -> Result<Vec<(String, String)>, Problem> {
    let signs = text.match_indices('=').filter(|(at, _)| *at > 0);
    let labels =
        signs.map(|(at, sign)| (text[..at].to_owned(), text[at + sign.len()..].to_owned()));
    let labels: Vec<_> = labels.take(MAX_LABEL_KEY).collect();
    if labels.is_empty() {
        return Err(Problem::invalid(
            "`label` must be key=value: `label=team=red`.",
        ));
    }
    Ok(labels)
}
