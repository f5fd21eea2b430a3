//! The one writer: decides commands, appends their events, updates the state.
//!
//! [`ControlPlane::submit`] is the only way to add events. Readers take the [`CurrentState`], which
//! shows nothing that is not on disk yet.
mod decision;
pub mod narrator;
pub mod past;
mod repeats;
pub mod state_snapshot;
mod submission;
mod writer;

pub use self::decision::ControlConfig;
pub use self::submission::{Accepted, Submission, SubmitError};
pub use self::writer::{CurrentState, Listener};

use self::decision::context;
use self::past::Moment;
use self::submission::Waiting;
use crate::clock::{Clock, IdSource};
use crate::domain::command::Command;
use crate::domain::command::refusal::Refusal;
use crate::domain::event::Event;
use crate::domain::event::recorded::{Idempotency, RecordedEvent};
use crate::domain::ids::{Actor, RequestId, Sequence, TokenId};
use crate::domain::state::State;
use crate::event_log::{EventLog, ReadError};
use crate::locks::Mutex;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Capacity of the writer's queue; further senders wait.
const WAITING_COMMANDS: usize = 1024;

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
