//! Undo: an event's command is taken back by another command.
use super::schedules::require_rights;
use super::{CommandError, CommandRequest, Enqueued};
use crate::control::Accepted;
use crate::domain::command::Command;
use crate::domain::event::recorded::RecordedEvent;
use crate::domain::event::{Event, EventKind, Stream};
use crate::domain::ids::Sequence;
use crate::domain::name::DatabaseName;
use crate::domain::state::State;
use crate::domain::token::Scope;
use crate::domain::undo::{Story, Undo, undo};
use crate::event_log::{EventLog, ReadError};
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::commands::preview::Preview;

/// Most events of a commit on either side of one of them; the largest commits have some six.
const COMMIT_REACH: u64 = 64;
/// Events of a stream that are in memory at once, beside those that matter to an undo.
const CHUNK: usize = 1000;

/// What came of an undo.
#[derive(Debug)]
pub enum Undone {
    /// A job takes it back.
    Job(Enqueued),
    /// The job that was to do it is cancelled.
    Cancelled(Enqueued),
    /// It was taken back at once.
    AtOnce {
        /// The event of the command that was undone.
        cause: Sequence,
        /// What undid it.
        accepted: Accepted,
    },
    /// What would happen.
    Preview(Preview),
}

impl Service {
    /// Undoes what the command of an event has done.
    ///
    /// # Errors
    /// When the caller may not, there is no such event, or nothing takes it back.
    pub async fn undo_event(
        &self,
        mut request: CommandRequest,
        reference: &str,
    ) -> Result<Undone, CommandError> {
        request.caller.require(Scope::Manage)?;
        if let Some(earlier) = self.find_earlier(&request).await? {
            return self.undone_before(&request, earlier).await;
        }
        let told = self.read_story(reference).await?;
        let told = told.ok_or_else(|| CommandError::EventNotFound(reference.to_owned()))?;
        if let Some(name) = told.database()
            && !request.caller.covers(name.as_str())
        {
            return Err(CommandError::EventNotFound(reference.to_owned()));
        }
        if told.database().is_none() {
            request.caller.require_all()?;
        }
        // From here on no other undo comes in between. What it did before is looked at, which is
        // little: the story itself was read without holding up others.
        let first_comes = self.undoing.lock().await;
        if let Some(earlier) = self.find_earlier(&request).await? {
            drop(first_comes);
            return self.undone_before(&request, earlier).await;
        }
        // Taken first: what happens while the log is read is either in what is read, or makes the
        // sequence of the database another.
        let current = self.control.current();
        let told = self.read_on(told).await?;
        let story = Story {
            commit: &told.commit,
            stream: &told.stream,
            state: &current.state,
            rights: request.caller.token_id(),
            now: self.control.clock().now(),
        };
        let Undo { cause, command } = undo(story)?;
        self.require_right(&request.caller, &current.state, &command)?;
        if request.dry_run {
            return Ok(Undone::Preview(self.preview(&request, &command)?));
        }
        request.causation = Some(cause);
        if let Command::ChangeDatabase { database, .. } = &command {
            let known = current.state.database(*database).map(|it| it.sequence);
            request.if_match = request.if_match.or(known);
        }
        let cancelled = match &command {
            Command::CancelJob { job } => Some(*job),
            _ => None,
        };
        let accepted = self.carry_out(&request, |_| Ok(command)).await?;
        drop(first_comes);
        if let Some(job) = accepted.job() {
            let enqueued = self.follow_job(&request, accepted, job).await?;
            return Ok(Undone::Job(enqueued));
        }
        match cancelled {
            Some(job) => {
                let enqueued = self.follow_job(&request, accepted, job).await?;
                Ok(Undone::Cancelled(enqueued))
            }
            None => Ok(Undone::AtOnce { cause, accepted }),
        }
    }

    /// What undoing it takes beside `manage`: the right to what is brought back, or taken away.
    fn require_right(
        &self,
        caller: &Caller,
        state: &State,
        command: &Command,
    ) -> Result<(), CommandError> {
        match command {
            Command::RevokeToken { .. } => Ok(caller.require_admin()?),
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

    /// What an earlier request with the same key has brought about.
    async fn undone_before(
        &self,
        request: &CommandRequest,
        earlier: Accepted,
    ) -> Result<Undone, CommandError> {
        match earlier.job() {
            Some(_) => {
                let enqueues = |it: &RecordedEvent| matches!(it.event, Event::JobEnqueued(_));
                let is_new = earlier.events.iter().any(enqueues);
                let enqueued = self.follow(request, earlier).await?;
                Ok(if is_new {
                    Undone::Job(enqueued)
                } else {
                    Undone::Cancelled(enqueued)
                })
            }
            None => {
                let cause = earlier
                    .events
                    .first()
                    .and_then(|event| event.commit.causation);
                Ok(Undone::AtOnce {
                    cause: cause.unwrap_or_default(),
                    accepted: earlier,
                })
            }
        }
    }

    /// The same story with what has happened since it was read.
    async fn read_on(&self, mut told: Told) -> Result<Told, CommandError> {
        let log = self.control.log().clone();
        let read = tokio::task::spawn_blocking(move || {
            told.read_on(log.as_ref())?;
            Ok::<_, ReadError>(told)
        });
        Ok(read.await.map_err(CommandError::internal)??)
    }

    async fn read_story(&self, reference: &str) -> Result<Option<Told>, CommandError> {
        let Ok(sequence) = reference.parse().map(Sequence) else {
            return Ok(None);
        };
        let log = self.control.log().clone();
        let read = tokio::task::spawn_blocking(move || read(log.as_ref(), sequence));
        Ok(read.await.map_err(CommandError::internal)??)
    }
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

    /// The name of the database that the commit is about.
    fn database(&self) -> Option<&DatabaseName> {
        self.stream.iter().find_map(|it| match &it.event {
            Event::JobEnqueued(it) => Some(&it.database_name),
            Event::DatabaseRequested(it) => Some(&it.name),
            _ => None,
        })
    }
}

/// The commit of an event and what matters of its stream; none where there is no such event.
fn read(log: &dyn EventLog, sequence: Sequence) -> Result<Option<Told>, ReadError> {
    let reach = usize::try_from(2 * COMMIT_REACH).expect("a hundred or two are an address");
    let before = Sequence(sequence.0.saturating_sub(COMMIT_REACH));
    let mut commit = log.read_after(before, reach)?;
    let Some(id) = commit.iter().find(|event| event.sequence == sequence) else {
        return Ok(None);
    };
    let id = id.commit.id;
    commit.retain(|event| event.commit.id == id);
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
