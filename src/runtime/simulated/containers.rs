//! What the simulated engine runs: containers that are rows in a list, numbered as they are made.
use crate::domain::ids::{DatabaseId, InstanceId};
use crate::runtime::{QUARANTINED, RuntimeError, Worker, WorkerSpec, WorkerState};

/// The name of the runtime.
pub(super) const NAME: &str = "simulated";

/// What a hand, or fate, does to a worker behind its forge's back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meddling {
    /// It ends.
    Exit,
    /// Its check fails.
    Sicken,
    /// It is paused.
    Pause,
    /// It is removed.
    Remove,
    /// It is given another name.
    Rename(String),
}

/// All containers of the engine, oldest first.
#[derive(Debug, Default)]
pub(super) struct Containers {
    all: Vec<Container>,
    made: u64,
    /// Whether what is started stays `starting`.
    held: bool,
    /// Forges whose workers changed since the last call.
    happened: Vec<InstanceId>,
}

#[derive(Debug)]
struct Container {
    id: String,
    name: String,
    /// `None` for a container of another owner.
    owner: Option<Owner>,
    life: Life,
}

#[derive(Debug, Clone)]
struct Owner {
    instance: InstanceId,
    database: DatabaseId,
    spec: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Starting,
    Healthy,
    Unhealthy,
    Paused,
    Exited,
}

impl Containers {
    pub(super) fn ensure_running(&mut self, spec: &WorkerSpec) -> Result<String, RuntimeError> {
        let hash = spec.hash();
        let started = self.started();
        self.remove_where(|it, life| {
            let ours = it.instance == spec.instance && it.database == spec.database;
            ours && (it.spec != hash || life == Life::Paused)
        });
        if let Some(it) = self.find(spec.instance, spec.database) {
            let id = it.id.clone();
            if it.life == Life::Exited {
                it.life = started;
                self.happened.push(spec.instance);
            }
            return Ok(id);
        }
        if self.all.iter().any(|it| it.name == spec.name) {
            let taken = format!(
                "a container named `{}` exists and is not this database's worker",
                spec.name
            );
            return Err(refused("create a worker", taken));
        }
        let owner = Owner {
            instance: spec.instance,
            database: spec.database,
            spec: hash,
        };
        Ok(self.place(spec.name.clone(), Some(owner), started))
    }

    pub(super) fn remove(&mut self, instance: InstanceId, database: DatabaseId) {
        self.remove_where(|it, _| it.instance == instance && it.database == database);
    }

    pub(super) fn quarantine(&mut self, instance: InstanceId, id: &str) {
        let ours = |it: &&mut Container| {
            it.id == id && it.owner.as_ref().is_some_and(|it| it.instance == instance)
        };
        if let Some(it) = self.all.iter_mut().find(ours) {
            it.life = Life::Exited;
            if !it.name.starts_with(QUARANTINED) {
                it.name = format!("{QUARANTINED}{}", it.name);
            }
            self.happened.push(instance);
        }
    }

    /// Whether it is gone: one that is not quarantined stays.
    pub(super) fn remove_quarantined(&mut self, instance: InstanceId, id: &str) -> bool {
        let ours = |it: &Container| {
            it.id == id && it.owner.as_ref().is_some_and(|it| it.instance == instance)
        };
        self.all
            .retain(|it| !(ours(it) && it.name.starts_with(QUARANTINED)));
        !self.all.iter().any(ours)
    }

    pub(super) fn workers_of(&self, instance: InstanceId) -> Vec<Worker> {
        let ours = |it: &Container| it.owner.clone().filter(|owner| owner.instance == instance);
        self.all
            .iter()
            .filter_map(|it| Some((it, ours(it)?)))
            .map(|(it, owner)| Worker {
                id: it.id.clone(),
                name: it.name.clone(),
                database: owner.database,
                spec: owner.spec,
                state: match it.life {
                    Life::Starting => WorkerState::Starting,
                    Life::Healthy => WorkerState::Healthy,
                    Life::Unhealthy | Life::Paused => WorkerState::Unhealthy,
                    Life::Exited => WorkerState::Exited,
                },
            })
            .collect()
    }

    /// Whether there was such a worker to meddle with.
    pub(super) fn meddle(
        &mut self,
        instance: InstanceId,
        database: DatabaseId,
        how: Meddling,
    ) -> bool {
        let Some(it) = self.find(instance, database) else {
            return false;
        };
        match how {
            Meddling::Exit => it.life = Life::Exited,
            Meddling::Sicken => it.life = Life::Unhealthy,
            Meddling::Pause => it.life = Life::Paused,
            Meddling::Rename(name) => it.name = name,
            Meddling::Remove => {
                return self
                    .remove_where(|it, _| it.instance == instance && it.database == database);
            }
        }
        self.happened.push(instance);
        true
    }

    pub(super) fn place_orphan(
        &mut self,
        instance: InstanceId,
        database: DatabaseId,
        name: String,
    ) -> String {
        let owner = Owner {
            instance,
            database,
            spec: "of a spec that nobody knows".to_owned(),
        };
        self.place(name, Some(owner), Life::Healthy)
    }

    pub(super) fn place_foreign(&mut self, name: String) -> String {
        self.place(name, None, Life::Healthy)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.all.iter().map(|it| it.name.clone()).collect()
    }

    pub(super) fn hold_starts(&mut self) {
        self.held = true;
    }

    pub(super) fn release_starts(&mut self) {
        self.held = false;
        for it in &mut self.all {
            if it.life == Life::Starting {
                it.life = Life::Healthy;
                self.happened
                    .extend(it.owner.as_ref().map(|it| it.instance));
            }
        }
    }

    pub(super) fn take_happened(&mut self) -> Vec<InstanceId> {
        std::mem::take(&mut self.happened)
    }

    fn started(&self) -> Life {
        if self.held {
            Life::Starting
        } else {
            Life::Healthy
        }
    }

    fn place(&mut self, name: String, owner: Option<Owner>, life: Life) -> String {
        self.made += 1;
        let id = format!("simulated-{}", self.made);
        self.happened.extend(owner.as_ref().map(|it| it.instance));
        self.all.push(Container {
            id: id.clone(),
            name,
            owner,
            life,
        });
        id
    }

    fn find(&mut self, instance: InstanceId, database: DatabaseId) -> Option<&mut Container> {
        self.all.iter_mut().find(|it| {
            it.owner
                .as_ref()
                .is_some_and(|it| it.instance == instance && it.database == database)
        })
    }

    /// Whether any was there to remove.
    fn remove_where(&mut self, gone: impl Fn(&Owner, Life) -> bool) -> bool {
        let before = self.all.len();
        let happened = &mut self.happened;
        self.all.retain(|it| match &it.owner {
            Some(owner) if gone(owner, it.life) => {
                happened.push(owner.instance);
                false
            }
            _ => true,
        });
        self.all.len() < before
    }
}

pub(super) fn refused(action: &str, reason: impl Into<String>) -> RuntimeError {
    RuntimeError::Refused {
        runtime: NAME,
        action: action.to_owned(),
        reason: reason.into(),
    }
}
