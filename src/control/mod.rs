//! The one writer: decides commands, appends their events, updates the state.
//!
//! [`ControlPlane::submit`] is the only way to add events. Readers take the [`CurrentState`], which
//! shows nothing that is not on disk yet.
pub mod past;
mod repeats;
pub mod state_snapshot;
mod writer;

use self::past::Moment;
use crate::clock::{Clock, IdSource};
use crate::domain::command::refusal::Refusal;
use crate::domain::command::{Command, DecisionContext};
use crate::domain::event::Event;
use crate::domain::event::recorded::{Head, Idempotency, RecordedEvent, enqueued_job};
use crate::domain::ids::{Actor, DatabaseId, JobId, RequestId, Sequence, TokenId};
use crate::domain::state::State;
use crate::event_log::{AppendError, EventLog, ReadError};
use crate::locks::Mutex;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Capacity of the writer's queue; further senders wait.
const WAITING_COMMANDS: usize = 1024;
/// Events read at a time while the state is rebuilt.
const FOLD_CHUNK: usize = 10_000;

/// Limits that decisions respect.
#[derive(Debug, Clone, Copy)]
pub struct ControlConfig {
    /// How long the trash keeps a database.
    pub trash_retention: Duration,
    /// Most jobs that may be unfinished at once.
    pub queue_bound: usize,
}

/// A command and its sender.
#[derive(Debug, Clone)]
pub struct Submission {
    pub command: Command,
    /// Who sends it.
    pub actor: Actor,
    /// The sender's token; none for root and for internal commands.
    pub token: Option<TokenId>,
    pub request: RequestId,
    /// The first request in the chain of causes.
    pub correlation: RequestId,
    /// The event that caused it, where one did.
    pub causation: Option<Sequence>,
    /// The caller's idempotency key.
    pub idempotency: Option<Idempotency>,
    /// The last event of the command's database that the caller has seen.
    pub if_match: Option<Sequence>,
}

impl Submission {
    /// A command without conditions.
    #[must_use]
    pub fn new(command: Command, actor: Actor, request: RequestId) -> Self {
        Self {
            command,
            actor,
            token: None,
            request,
            correlation: request,
            causation: None,
            idempotency: None,
            if_match: None,
        }
    }
}

/// The result of a command.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The appended events; empty when there was nothing to do.
    pub events: Vec<RecordedEvent>,
    /// The end of the log at that time.
    pub sequence: Sequence,
    /// Whether this is the result of an earlier request with the same idempotency key.
    pub replayed: bool,
}

impl Accepted {
    /// The job that the command enqueued.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        enqueued_job(&self.events)
    }

    /// The database that the command was about.
    #[must_use]
    pub fn database(&self) -> Option<DatabaseId> {
        self.events
            .iter()
            .find_map(|recorded| recorded.event.database())
    }
}

/// Why a command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The rules do not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The caller's idempotency key was used for another request.
    #[error("this idempotency key was used for a different request")]
    KeyReused,
    /// The database has changed since the caller read it.
    #[error("the database was last changed by event {actual}, not by {expected}")]
    Changed {
        /// The caller's version.
        expected: Sequence,
        /// The current version.
        actual: Sequence,
    },
    /// The events could not be appended.
    #[error(transparent)]
    NotAppended(#[from] AppendError),
    /// The event log could not be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// The gateway is stopping.
    #[error("the gateway is shutting down and accepts no more commands")]
    Stopping,
}

/// The current state, as far as it is on disk.
#[derive(Debug, Clone, Default)]
pub struct CurrentState {
    /// The state after all events.
    pub state: State,
    /// The last event.
    pub head: Head,
    /// Why no command is accepted, where that is so.
    pub read_only: Option<String>,
}

/// Called with each group of appended events. It must not block.
pub type Listener = Box<dyn Fn(Arc<[RecordedEvent]>) + Send>;

/// Decides commands, appends their events and publishes the state.
pub struct ControlPlane {
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    config: ControlConfig,
    current: watch::Receiver<Arc<CurrentState>>,
    commands: Mutex<Option<mpsc::Sender<Waiting>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// A submission and where its answer goes.
struct Waiting {
    submission: Submission,
    answer: oneshot::Sender<Result<Accepted, SubmitError>>,
}

impl ControlPlane {
    /// Rebuilds the state from the log, then accepts commands; calls `listener` with appended events.
    ///
    /// # Errors
    /// When the log cannot be read to its end.
    pub fn start(
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        config: ControlConfig,
        listener: Listener,
    ) -> Result<Self, ReadError> {
        let state = fold(log.as_ref())?;
        Ok(Self::start_at(state, log, clock, ids, config, listener))
    }

    /// The same with a state that was already rebuilt.
    pub fn start_at(
        state: State,
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        config: ControlConfig,
        listener: Listener,
    ) -> Self {
        let first = Arc::new(CurrentState {
            state,
            head: log.head(),
            read_only: log.read_only(),
        });
        let (publish, current) = watch::channel(first);
        let (commands, waiting) = mpsc::channel(WAITING_COMMANDS);
        let writer = writer::Writer {
            log: log.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            config,
            publish,
            listener,
        };
        let writer = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || writer.run(waiting))
            .expect("a process that just started has room for one more thread");
        Self {
            log,
            clock,
            ids,
            config,
            current,
            commands: Mutex::new(Some(commands)),
            writer: Mutex::new(Some(writer)),
        }
    }

    /// Executes one command. When it returns, the events are on disk and in the published
    /// state.
    ///
    /// # Errors
    /// When the rules refuse it or the append fails; nothing has happened then, except after
    /// [`AppendError::Unknown`]: the command may have been, or may still be, executed. Repeated
    /// with its idempotency key, it is executed once.
    pub async fn submit(&self, submission: Submission) -> Result<Accepted, SubmitError> {
        let commands = self.commands.lock().clone().ok_or(SubmitError::Stopping)?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { submission, answer };
        commands
            .send(waiting)
            .await
            .map_err(|_| SubmitError::Stopping)?;
        answered.await.map_err(|_| SubmitError::Stopping)?
    }

    /// The events that `command` would append now. Changes nothing.
    ///
    /// # Errors
    /// When the rules refuse it.
    pub fn plan(&self, command: &Command) -> Result<Vec<Event>, Refusal> {
        let current = self.current();
        let context = context(self.clock.as_ref(), self.ids.as_ref(), self.config);
        current.state.decide(command, &context)
    }

    /// The result of an earlier request with the same idempotency key. Blocks.
    ///
    /// # Errors
    /// When that was a different request, or the log cannot be read.
    pub fn find_earlier(
        &self,
        actor: &Actor,
        token: Option<TokenId>,
        wanted: &Idempotency,
    ) -> Result<Option<Accepted>, SubmitError> {
        let current = self.current();
        let events = repeats::earlier(self.log.as_ref(), &current.state, actor, token, wanted)?;
        // Events that are in the log but not yet in the published state are left to the writer.
        let is_present = |events: &Vec<RecordedEvent>| {
            (events.last()).is_none_or(|last| last.sequence <= current.head.sequence)
        };
        Ok(events.filter(is_present).map(|events| Accepted {
            events,
            sequence: current.head.sequence,
            replayed: true,
        }))
    }

    /// How far the last event's time lies ahead of the clock: zero unless the clock was ahead
    /// once, or is behind now.
    #[must_use]
    pub fn lead_of_log(&self) -> Duration {
        self.current().head.time.since(self.clock.now())
    }

    /// The current state.
    #[must_use]
    pub fn current(&self) -> Arc<CurrentState> {
        self.current.borrow().clone()
    }

    /// Notifies about each new state.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<CurrentState>> {
        self.current.clone()
    }

    /// The log that it writes.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.log
    }

    /// The forge's clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The forge's source of ids.
    #[must_use]
    pub fn ids(&self) -> &Arc<dyn IdSource> {
        &self.ids
    }

    /// A request id for an internal command.
    #[must_use]
    pub fn fresh_request(&self) -> RequestId {
        RequestId(self.ids.fresh())
    }

    /// Answers the waiting commands, accepts no more, and closes the log. Blocks; may be repeated.
    pub fn stop(&self) {
        drop(self.commands.lock().take());
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            if writer.join().is_err() {
                tracing::error!("the writer thread panicked");
            }
            self.log.close();
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Rebuilds the state from the first event.
///
/// # Errors
/// When it cannot be read to its end.
pub fn fold(log: &dyn EventLog) -> Result<State, ReadError> {
    fold_onto(State::default(), log)
}

fn fold_onto(mut state: State, log: &dyn EventLog) -> Result<State, ReadError> {
    let end = Moment::Sequence(Sequence(u64::MAX));
    past::fold_on(log, &mut state, end)?;
    Ok(state)
}

/// The time and ids for a decision made now.
fn context(clock: &dyn Clock, ids: &dyn IdSource, config: ControlConfig) -> DecisionContext {
    DecisionContext {
        now: clock.now(),
        fresh: [ids.fresh(), ids.fresh()],
        jitter_permille: ids.jitter_permille(),
        trash_retention: config.trash_retention,
        queue_bound: config.queue_bound,
    }
}
