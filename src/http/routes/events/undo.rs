//! Undo: an event's command is taken back by another command.
use crate::control::Accepted;
use crate::domain::command::Command;
use crate::domain::event::{Event, EventKind, Stream};
use crate::domain::ids::Sequence;
use crate::domain::recorded::RecordedEvent;
use crate::domain::state::State as ForgeState;
use crate::domain::token::Scope;
use crate::domain::undo::{Story, Undo, undo};
use crate::event_log::{EventLog, ReadError};
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::{NoFields, PathParts, StrictQuery};
use crate::http::middleware::auth::Caller;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::job_answers::mark_replayed;
use crate::http::response::reply;
use crate::http::response::reply::Marked;
use crate::http::routes::databases::CommandParameters;
use crate::http::routes::jobs::view::JobView;
use crate::http::routes::plans::dry_run::PlannedEvent;
use crate::http::routes::schedules::require_rights;
use crate::http::routes::tokens::require_keeper;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Most events of a commit on either side of one of them; the largest commits have some six.
const COMMIT_REACH: u64 = 64;
/// Events of a stream that are in memory at once, beside those that matter to an undo.
const CHUNK: usize = 1000;

/// What took a command back at once, without a job.
#[derive(Serialize, ToSchema)]
#[schema(as = Undone)]
pub(crate) struct UndoneView {
    /// The event of the command that was undone.
    undone: u64,
    /// What undid it.
    events: Vec<PlannedEvent>,
}

/// What an undo answers at once.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes which answers there are")]
enum UndoOutcome {
    /// It took a job, which has ended within the time that `Prefer: wait=` gave it.
    Job(Box<JobView>),
    Undone(UndoneView),
}

/// Undo what an event's command has done
///
/// Any event stands for the command that caused it. A delete is followed by an undelete, a changed
/// setting goes back, a job that has not ended is cancelled. What cannot be undone says why.
#[utoipa::path(post, path = "/v1/events/{sequence}/undo", tag = "history",
    params(("sequence" = u64, Path, description = "Its place in the log"), CommandParameters),
    request_body = NoFields,
    responses((status = 202, body = JobView),
        (status = 200, description = "The job; what was undone without one; or, with `dry_run=plan`, the plan", body = UndoOutcome)))]
pub(crate) async fn undo_event(
    State(gateway): State<Arc<Gateway>>,
    PathParts(reference): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mut mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    mutation.caller.require(Scope::Manage)?;
    if let Some(earlier) = gateway.find_earlier(&mutation).await? {
        return gateway.answer_again(&mutation, &earlier).await;
    }
    let Some(told) = gateway.read_story(&reference).await? else {
        let detail = format!("There is no event `{reference}`.");
        return Err(Problem::new(ErrorCode::EventNotFound, detail)
            .hint("GET /v1/audit/head has the last one's sequence"));
    };
    told.require_cover(&mutation.caller)?;
    // From here on no other undo comes in between. What it did before is looked at, which is
    // little: the story itself was read without holding anybody up.
    let first_comes = gateway.undoing.lock().await;
    if let Some(earlier) = gateway.find_earlier(&mutation).await? {
        drop(first_comes);
        return gateway.answer_again(&mutation, &earlier).await;
    }
    // Taken first: what happens while the log is read is either in what is read, or makes the
    // sequence of the database another.
    let present = gateway.control.present();
    let told = gateway.read_on(told).await?;
    let story = Story {
        commit: &told.commit,
        stream: &told.stream,
        state: &present.state,
        rights: mutation.caller.token_id(),
        now: gateway.control.clock().now(),
    };
    let Undo { cause, command } = undo(story)?;
    gateway.require_right(&mutation.caller, &present.state, &command)?;
    if parameters.dry_run.is_some() {
        return gateway.answer_with_plan(&mutation, &command);
    }
    mutation.causation = Some(cause);
    if let Command::ChangeDatabase { database, .. } = &command {
        let known = present.state.database(*database).map(|it| it.sequence);
        mutation.if_match = mutation.if_match.or(known);
    }
    let job = match &command {
        Command::CancelJob { job } => Some(*job),
        _ => None,
    };
    let accepted = gateway.carry_out(&mutation, |_| Ok(command)).await?;
    drop(first_comes);
    match accepted.job().or(job) {
        Some(job) if accepted.job().is_some() => {
            gateway.answer_with(&mutation, &accepted, job).await
        }
        Some(job) => Ok(gateway.accepted_answer(&*gateway.known_job(job).await?)),
        None => Ok(undone_answer(cause, &accepted)),
    }
}

fn undone_answer(undone: Sequence, accepted: &Accepted) -> Response {
    let view = UndoneView {
        undone: undone.0,
        events: accepted
            .events
            .iter()
            .map(|it| it.event.clone().into())
            .collect(),
    };
    let answer = reply::json(StatusCode::OK, &view).seen(accepted.sequence);
    mark_replayed(answer, accepted)
}

/// What was read of the log for an undo.
struct Told {
    commit: Vec<RecordedEvent>,
    of: Stream,
    stream: Vec<RecordedEvent>,
    /// The last event of the stream that was read.
    read_to: Sequence,
}

impl Told {
    /// Reads the stream on to its end.
    fn read_on(&mut self, log: &dyn EventLog) -> Result<(), ReadError> {
        loop {
            let events = log.read_stream(self.of, self.read_to, CHUNK)?;
            let Some(last) = events.last() else {
                return Ok(());
            };
            self.read_to = last.sequence;
            let matter = events.into_iter().filter(|it| matters(it.event.kind()));
            self.stream.extend(matter);
        }
    }

    /// Goes on only when the token covers what the commit is about.
    fn require_cover(&self, caller: &Caller) -> Result<(), Problem> {
        let name = self.stream.iter().find_map(|it| match &it.event {
            Event::JobEnqueued(it) => Some(&it.database_name),
            Event::DatabaseRequested(it) => Some(&it.name),
            _ => None,
        });
        match name {
            Some(name) => caller.require_name(name.as_str()),
            None => caller.require_all(),
        }
    }
}

impl Gateway {
    /// What undoing it takes beside `manage`: the right to what is brought back, or taken away.
    fn require_right(
        &self,
        caller: &Caller,
        state: &ForgeState,
        command: &Command,
    ) -> Result<(), Problem> {
        match command {
            Command::RevokeToken { .. } => require_keeper(caller),
            Command::CreateSchedule { plan, .. } => require_rights(self, caller, plan),
            Command::ChangeSchedule { schedule, plan, .. } => {
                require_rights(self, caller, plan)?;
                let now = state.schedule(*schedule);
                now.map_or(Ok(()), |it| require_rights(self, caller, &it.plan))
            }
            Command::DeleteSchedule { schedule } => {
                let now = state.schedule(*schedule);
                now.map_or(Ok(()), |it| require_rights(self, caller, &it.plan))
            }
            _ => Ok(()),
        }
    }

    /// The answer to an undo that an earlier request with the same key has brought about.
    async fn answer_again(
        &self,
        mutation: &Mutation<NoFields>,
        earlier: &Accepted,
    ) -> Result<Response, Problem> {
        let undone = earlier.events.first().and_then(|it| it.commit.causation);
        match earlier.job() {
            Some(_) => self.answer_with_job(mutation, earlier).await,
            None => Ok(undone_answer(undone.unwrap_or_default(), earlier)),
        }
    }

    /// The same story with what has happened since it was read.
    async fn read_on(&self, mut told: Told) -> Result<Told, Problem> {
        let log = self.control.log().clone();
        let read = tokio::task::spawn_blocking(move || {
            told.read_on(log.as_ref())?;
            Ok::<_, ReadError>(told)
        });
        Ok(read.await.map_err(Problem::internal)??)
    }

    async fn read_story(&self, reference: &str) -> Result<Option<Told>, Problem> {
        let Ok(sequence) = reference.parse().map(Sequence) else {
            return Ok(None);
        };
        let log = self.control.log().clone();
        let read = tokio::task::spawn_blocking(move || read(log.as_ref(), sequence));
        Ok(read.await.map_err(Problem::internal)??)
    }
}

/// The commit of an event and what matters of its stream; none where there is no such event.
fn read(log: &dyn EventLog, sequence: Sequence) -> Result<Option<Told>, ReadError> {
    let reach = usize::try_from(2 * COMMIT_REACH).expect("a hundred or two are an address");
    let before = Sequence(sequence.0.saturating_sub(COMMIT_REACH));
    let mut commit = log.read_after(before, reach)?;
    let Some(id) = commit.iter().find(|it| it.sequence == sequence) else {
        return Ok(None);
    };
    let id = id.commit.id;
    commit.retain(|it| it.commit.id == id);
    let database = commit.iter().find_map(|it| it.event.database());
    let mut told = Told {
        commit,
        of: database.map_or(Stream::Forge, Stream::Database),
        stream: Vec::new(),
        read_to: Sequence(0),
    };
    told.read_on(log)?;
    Ok(Some(told))
}

/// Steps and times are most of a stream, and say nothing about what was asked for.
fn matters(kind: EventKind) -> bool {
    !matches!(
        kind,
        EventKind::JobStarted
            | EventKind::StepStarted
            | EventKind::StepFinished
            | EventKind::StepUndone
            | EventKind::ScheduleFired
            | EventKind::NothingChanged
            | EventKind::WorkerStarted
            | EventKind::WorkerRemoved
    )
}
