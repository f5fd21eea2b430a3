//! The simulated engine, and the handles by which a test makes it misbehave.
use super::containers::{Containers, Meddling, NAME, refused};
use crate::domain::ids::{DatabaseId, InstanceId};
use crate::locks::Mutex;
use crate::runtime::RuntimeError;
use std::collections::{BTreeMap, VecDeque};
use std::sync::MutexGuard;
use std::time::Duration;
use tokio::sync::broadcast;

/// How many changes a listener may be behind before it is told only that it missed some.
const CHANGES_KEPT: usize = 64;

/// A call of the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// `ping`
    Ping,
    /// `ensure_running`
    EnsureRunning,
    /// `ensure_removed`
    EnsureRemoved,
    /// `inspect`
    Inspect,
    /// `list`
    List,
    /// `quarantine`
    Quarantine,
    /// `remove_quarantined`
    RemoveQuarantined,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "answer a ping",
            Self::EnsureRunning => "run a worker",
            Self::EnsureRemoved => "remove a worker",
            Self::Inspect => "look at a worker",
            Self::List => "list workers",
            Self::Quarantine => "quarantine a worker",
            Self::RemoveQuarantined => "remove a worker",
        }
    }
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The engine does not answer, and nothing is done.
    Unavailable,
    /// The engine answers with an error that may pass.
    Failed,
    /// The engine answers no, for good.
    Refused,
    /// It is done, and the caller does not hear of it.
    LostReply,
}

/// An engine in memory: no chance and no time in it, but what a test asks for.
#[derive(Debug)]
pub struct SimulatedEngine {
    containers: Mutex<Containers>,
    script: Mutex<Script>,
    changes: broadcast::Sender<InstanceId>,
}

/// How the next calls go.
#[derive(Debug, Default)]
struct Script {
    delay: Duration,
    away: bool,
    list_is_partial: bool,
    faults: BTreeMap<Action, VecDeque<Fault>>,
}

impl Default for SimulatedEngine {
    fn default() -> Self {
        Self {
            containers: Mutex::default(),
            script: Mutex::default(),
            changes: broadcast::channel(CHANGES_KEPT).0,
        }
    }
}

impl SimulatedEngine {
    /// Makes the next `times` calls of `action` fail, after those that are to fail already.
    pub fn fail_next(&self, action: Action, fault: Fault, times: usize) {
        let mut script = self.script();
        let faults = script.faults.entry(action).or_default();
        faults.extend(std::iter::repeat_n(fault, times));
    }

    /// Whether the engine is away: no call reaches it.
    pub fn set_away(&self, away: bool) {
        self.script().away = away;
    }

    /// Whether the engine can tell only a part of its list, which is then an error.
    pub fn set_list_partial(&self, partial: bool) {
        self.script().list_is_partial = partial;
    }

    /// How long every call takes, by tokio's clock.
    pub fn set_delay(&self, delay: Duration) {
        self.script().delay = delay;
    }

    /// Lets workers that are started from now on stay `starting`.
    pub fn hold_starts(&self) {
        self.change(Containers::hold_starts);
    }

    /// Lets every worker that is `starting` become healthy, and those of later at once.
    pub fn release_starts(&self) {
        self.change(Containers::release_starts);
    }

    /// Does something to a database's worker. Says whether there was one.
    pub fn meddle(&self, instance: InstanceId, database: DatabaseId, how: Meddling) -> bool {
        self.change(|it| it.meddle(instance, database, how))
    }

    /// Places a worker with a forge's label that the forge did not ask for. Returns its id.
    pub fn place_orphan(&self, instance: InstanceId, database: DatabaseId, name: &str) -> String {
        self.change(|it| it.place_orphan(instance, database, name.to_owned()))
    }

    /// Adds a container of another owner. Returns its id.
    pub fn place_foreign(&self, name: &str) -> String {
        self.change(|it| it.place_foreign(name.to_owned()))
    }

    /// The names of all containers of all owners, oldest first.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.containers().names()
    }

    /// One call of the runtime, as it goes today.
    pub(super) async fn call<T>(
        &self,
        action: Action,
        act: impl FnOnce(&mut Containers) -> Result<T, RuntimeError>,
    ) -> Result<T, RuntimeError> {
        let delay = self.script().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let fault = self.script().next_fault(action);
        match fault {
            None => self.change(act),
            Some(Fault::LostReply) => {
                self.change(act)?;
                Err(unavailable("it was done, and the reply was lost"))
            }
            Some(Fault::Unavailable) => Err(unavailable("it is away")),
            Some(Fault::Failed) => Err(RuntimeError::Failed {
                runtime: NAME,
                action: action.as_str().to_owned(),
                reason: "it was told to fail".to_owned(),
            }),
            Some(Fault::Refused) => Err(refused(action.as_str(), "it was told to refuse")),
        }
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<InstanceId> {
        self.changes.subscribe()
    }

    /// Changes the containers, and notifies listeners.
    fn change<T>(&self, change: impl FnOnce(&mut Containers) -> T) -> T {
        let mut containers = self.containers();
        let result = change(&mut containers);
        for instance in containers.take_happened() {
            // An error means that there are no listeners.
            let _ = self.changes.send(instance);
        }
        result
    }

    fn containers(&self) -> MutexGuard<'_, Containers> {
        self.containers.lock()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock()
    }
}

impl Script {
    fn next_fault(&mut self, action: Action) -> Option<Fault> {
        if self.away {
            return Some(Fault::Unavailable);
        }
        if self.list_is_partial && action == Action::List {
            return Some(Fault::Failed);
        }
        self.faults.get_mut(&action)?.pop_front()
    }
}

fn unavailable(reason: &str) -> RuntimeError {
    RuntimeError::Unavailable {
        runtime: NAME,
        reason: reason.to_owned(),
    }
}
