//! Spawn, prune and delete: create or start, stop, and move to the trash.
//!
//! The legacy API is synchronous: the request waits for the job.
use super::instances::{find_living, is_running, not_running, worker_of};
use crate::clock::Deadline;
use crate::clock::timestamp::Timestamp;
use crate::domain::command::{Command, CreateDatabase};
use crate::domain::database::{Condition, Database, Limits, Prospect};
use crate::domain::ids::JobId;
use crate::domain::job::Job;
use crate::domain::name::DatabaseName;
use crate::domain::state::State as ForgeState;
use crate::domain::token::Scope;
use crate::domain::verb::Verb;
use crate::engine::registry::{DEFAULT_ENGINE, Engines};
use crate::http::Gateway;
use crate::http::extract::PathParts;
use crate::http::extract::mutation::Mutation;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::job_answers::problem_of;
use crate::http::response::reply;
use crate::http::response::reply::Marked;
use crate::service::commands::CommandError;
use crate::service::resolver::ResolveError;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde::de::IgnoredAny;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

const RUNS: &str = "Database instance already exists and is running.";
const COMES: &str = "Database instance is being spawned.";

/// What came of a spawn.
#[derive(Serialize, ToSchema)]
struct Spawned<'a> {
    #[schema(example = "Database instance spawned successfully.")]
    message: &'static str,
    db_name: &'a str,
    container_id: String,
    /// The job that brought it about; null when there was nothing to do.
    #[schema(value_type = Option<String>, required = true)]
    job_id: Option<JobId>,
}

/// What came of a prune.
#[derive(Serialize, ToSchema)]
struct Pruned<'a> {
    #[schema(example = "Database instance pruned successfully.")]
    message: &'static str,
    db_name: &'a str,
}

/// What came of a delete.
#[derive(Serialize, ToSchema)]
struct Deleted {
    #[schema(example = "Database 'shop' deleted successfully")]
    message: String,
    #[schema(value_type = Option<String>, required = true)]
    deleted_at: Option<Timestamp>,
    container_removed: bool,
    /// Whether its rows are gone: not while it is in the trash.
    file_removed: bool,
    /// When it is permanently deleted.
    #[schema(value_type = Option<String>, required = true)]
    purge_at: Option<Timestamp>,
}

/// Create a database, or start it
///
/// Waits up to 25 s until its worker runs, then answers 202.
#[utoipa::path(post, path = "/admin/databases/spawn/{db}", tag = "original",
    params(("db" = String, Path, description = "Its name",
        pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")),
    responses((status = 201, body = Spawned<'_>), (status = 200, body = Spawned<'_>),
        (status = 202, body = Spawned<'_>)))]
pub(in crate::http) async fn spawn_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(name): PathParts<String>,
    mutation: Mutation<IgnoredAny>,
) -> Result<Response, Problem> {
    mutation.request.caller.require(Scope::Manage)?;
    let valid_name = DatabaseName::parse(&name)
        .map_err(|reason| Problem::invalid("Invalid database name.").hint(reason.to_string()))?;
    mutation.request.caller.require_name(&name)?;

    let deadline = Deadline::after(gateway.config.legacy_wait);
    let mut changes = gateway.service.control.changes();
    loop {
        let current = changes.borrow_and_update().clone();
        let now = gateway.service.control.clock().now();
        let found = find_living(&current.state, &name, now);
        let create = || create(&valid_name, gateway.service.data.engines());
        let late = match Wanted::to_run(found, create, now) {
            Wanted::Nothing(database) => {
                let answer = spawned(StatusCode::OK, RUNS, &name, database, None);
                return Ok(answer.seen(current.head.sequence));
            }
            Wanted::Command(command) => match gateway.ask_to_run(&mutation, command).await {
                Ok(job) => return gateway.spawned_by(job, &name, deadline).await,
                // Created concurrently by another request: wait for its job.
                Err(problem) if problem.code() == ErrorCode::DatabaseExists => Err(problem),
                Err(problem) => return Err(problem),
            },
            Wanted::Arrival(database) => {
                let job = database.queue.first().map(|it| it.id);
                let answer = spawned(StatusCode::ACCEPTED, COMES, &name, database, job);
                Ok(answer.seen(current.head.sequence))
            }
            Wanted::Departure(database) => Err(Problem::new(
                ErrorCode::DatabaseBusy,
                format!("Database `{}` is {}.", database.name, database.state()),
            )),
        };
        if !gateway.service.sees_change(&mut changes, deadline).await {
            return late;
        }
    }
}

/// Stop a database
///
/// Removes its worker and keeps its rows; a later spawn brings it back.
#[utoipa::path(post, path = "/admin/databases/prune/{db}", tag = "original",
    params(("db" = String, Path, description = "Its name")),
    responses((status = 200, body = Pruned<'_>), (status = 202, body = Pruned<'_>)))]
pub(in crate::http) async fn prune_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(name): PathParts<String>,
    mutation: Mutation<IgnoredAny>,
) -> Result<Response, Problem> {
    mutation.request.caller.require(Scope::Manage)?;
    if !mutation.request.caller.covers(&name) {
        return Err(not_running());
    }
    let now = gateway.service.control.clock().now();
    let stop = |state: &ForgeState| match find_living(state, &name, now) {
        Some(it) if it.prospect() == Prospect::Ready => Ok(Verb::Stop.on(it.id)),
        _ => Err(ResolveError::NotFound(name.clone()).into()),
    };
    let stopped = gateway.service.carry_out(&mutation.request, stop).await;
    let accepted = stopped.map_err(or_not_running)?;
    let wait = gateway.config.legacy_wait;
    let job = gateway.outcome_of(accepted.job(), wait).await?;
    let (status, message) = if job.state.is_final() {
        (StatusCode::OK, "Database instance pruned successfully.")
    } else {
        (StatusCode::ACCEPTED, "Database instance is being pruned.")
    };
    let db_name = &name;
    Ok(reply::json(status, &Pruned { message, db_name }).seen(job.sequence))
}

/// Delete a database
///
/// Moves it to the trash, from which `POST /v1/databases/{db}/undelete` brings it back.
#[utoipa::path(delete, path = "/admin/databases/{db}", tag = "original",
    params(("db" = String, Path, description = "Its name")),
    responses((status = 200, body = Deleted), (status = 202, body = Deleted)))]
pub(in crate::http) async fn trash_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(name): PathParts<String>,
    mutation: Mutation<IgnoredAny>,
) -> Result<Response, Problem> {
    mutation.request.caller.require(Scope::Manage)?;
    if !mutation.request.caller.covers(&name) {
        return Err(not_running());
    }
    let now = gateway.service.control.clock().now();
    let delete = |state: &ForgeState| match find_living(state, &name, now) {
        Some(it) => Ok(Verb::Delete.on(it.id)),
        None => Err(ResolveError::NotFound(name.clone()).into()),
    };
    let deleted = gateway.service.carry_out(&mutation.request, delete).await;
    let accepted = deleted.map_err(or_not_running)?;
    let wait = gateway.config.legacy_wait;
    let job = gateway.outcome_of(accepted.job(), wait).await?;
    let current = gateway.service.control.current();
    let database = current.state.database(job.database);
    let purge_at = match database.map(|it| it.condition) {
        Some(Condition::Trashed { purge_at }) => Some(purge_at),
        _ => None,
    };
    let is_done = job.state.is_final();
    let (status, outcome) = if is_done {
        (StatusCode::OK, "deleted successfully")
    } else {
        (StatusCode::ACCEPTED, "is being deleted")
    };
    let deleted = Deleted {
        message: format!("Database '{name}' {outcome}"),
        deleted_at: job.finished_at,
        container_removed: is_done,
        file_removed: false,
        purge_at,
    };
    Ok(reply::json(status, &deleted).seen(current.head.sequence))
}

/// What a spawn has to do.
enum Wanted<'a> {
    /// Nothing: it runs.
    Nothing(&'a Database),
    /// Wait until it runs.
    Arrival(&'a Database),
    /// Wait until it is gone, after which another can be made.
    Departure(&'a Database),
    /// This.
    Command(Command),
}

impl<'a> Wanted<'a> {
    fn to_run(
        database: Option<&'a Arc<Database>>,
        create: impl FnOnce() -> Command,
        now: Timestamp,
    ) -> Self {
        let Some(database) = database else {
            return Self::Command(create());
        };
        match database.prospect() {
            Prospect::Ready if is_running(database, now) => Self::Nothing(database),
            Prospect::Ready if !database.stuck => Self::Arrival(database),
            Prospect::Trashed(_) | Prospect::Purged(_) if !database.stuck => {
                Self::Departure(database)
            }
            // Where a job is stuck, the rules refuse this with the job's id.
            Prospect::Ready | Prospect::Stopped | Prospect::Trashed(_) | Prospect::Purged(_) => {
                Self::Command(Verb::Start.on(database.id))
            }
        }
    }
}

impl Gateway {
    /// Submits a command that needs the runtime, which is asked first: the job would only wait
    /// for it.
    async fn ask_to_run(
        &self,
        mutation: &Mutation<IgnoredAny>,
        command: Command,
    ) -> Result<Option<JobId>, Problem> {
        if !self.service.runtime_answers().await {
            return Err(Problem::new(
                ErrorCode::RuntimeUnavailable,
                "What runs the workers does not answer, so nothing can be spawned now.",
            ));
        }
        let accepted = self
            .service
            .carry_out(&mutation.request, |_| Ok(command))
            .await?;
        Ok(accepted.job())
    }

    /// The answer to a spawn that asked for a job.
    async fn spawned_by(
        &self,
        job: Option<JobId>,
        name: &str,
        deadline: Deadline,
    ) -> Result<Response, Problem> {
        let job = self.outcome_of(job, deadline.remaining()).await?;
        let current = self.service.control.current();
        let database = current
            .state
            .database(job.database)
            .ok_or_else(not_running)?;
        let (status, message) = if job.state.is_final() {
            (
                StatusCode::CREATED,
                "Database instance spawned successfully.",
            )
        } else {
            (StatusCode::ACCEPTED, COMES)
        };
        let answer = spawned(status, message, name, database, Some(job.id));
        Ok(answer.seen(current.head.sequence))
    }

    /// The job once it has ended well, or as it is when `wait` is over.
    ///
    /// # Errors
    /// When it ended badly.
    async fn outcome_of(&self, job: Option<JobId>, wait: Duration) -> Result<Arc<Job>, Problem> {
        let id = job.ok_or_else(|| Problem::internal("a command put no job in the queue"))?;
        let job = self.service.wait_for_job(id, wait).await?;
        match problem_of(&job) {
            Some(problem) => Err(problem),
            None => Ok(job),
        }
    }
}

/// A command that found no such database.
fn or_not_running(error: CommandError) -> Problem {
    match error {
        CommandError::Resolve(ResolveError::NotFound(_)) => not_running(),
        other => other.into(),
    }
}

fn spawned(
    status: StatusCode,
    message: &'static str,
    db_name: &str,
    database: &Database,
    job_id: Option<JobId>,
) -> Response {
    let spawned = Spawned {
        message,
        db_name,
        container_id: worker_of(database),
        job_id,
    };
    reply::json(status, &spawned)
}

/// A database with default settings, as clients of the legacy API expect.
fn create(name: &DatabaseName, engines: &Engines) -> Command {
    Command::CreateDatabase(CreateDatabase {
        name: Some(name.clone()),
        isolation: engines.isolation_of_new(DEFAULT_ENGINE),
        ..CreateDatabase::of_engine(DEFAULT_ENGINE, Limits::default())
    })
}
