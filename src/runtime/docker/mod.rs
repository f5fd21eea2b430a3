//! Workers as containers, one for each database, locked down; the only room that knows bollard.
//!
//! Nothing is remembered that Docker does not know: containers are found by their labels, so a
//! lost reply, a restart of the gateway, or a hand that renamed something changes nothing.
mod answer;
mod changes;
mod engine;
mod errands;
mod found;
mod host;
mod own_program;
mod recipe;

pub use engine::{DockerAvailability, DockerEngine};
pub use recipe::DockerConfig;

use super::{
    Errand, ImageFacts, QUARANTINED, Runtime, RuntimeError, Worker, WorkerSpec, WorkerState,
};
use crate::domain::ids::DatabaseId;
use crate::locks::Mutex;
use answer::{Answer, NAME, refused};
use async_trait::async_trait;
use bollard::models::ContainerCreateBody;
use engine::{QUICK, SLOW};
use found::{Found, Life, Verdict};
use futures_util::stream::BoxStream;
use own_program::OwnProgram;
use recipe::Check;
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many containers are made or started at once. Measured: four at a time gives the most
/// containers a second on two cores; more only makes each of them late.
const STARTS: usize = 4;

/// How many are checked at once. Beside the starts and not among them: in one queue with twenty
/// starts, the first worker was checked when the last one had started (2.6 s instead of 0.6 s).
const CHECKS: usize = 2;

/// How long one waits for its turn: a hundred ahead of it, at the six to ten a second
/// that Docker manages, and as long again.
const TURN: Duration = Duration::from_secs(30);

/// Runs workers with the Docker of this machine.
#[derive(Debug)]
pub struct DockerRuntime {
    engine: Arc<DockerEngine>,
    config: DockerConfig,
    starts: Semaphore,
    checks: Semaphore,
    /// Containers that answered our own check before Docker's first one was due.
    answered: Mutex<HashSet<String>>,
    own_program: OwnProgram,
}

impl DockerRuntime {
    /// A runtime on `engine`, which need not answer yet.
    ///
    /// # Errors
    /// [`RuntimeError::Refused`] when workers would run as root.
    pub fn new(engine: DockerEngine, config: DockerConfig) -> Result<Self, RuntimeError> {
        let (uid, _) = config.user;
        if uid == 0 {
            return Err(refused("run workers", "a worker never runs as root"));
        }
        Ok(Self {
            engine: Arc::new(engine),
            config,
            starts: Semaphore::new(STARTS),
            checks: Semaphore::new(CHECKS),
            answered: Mutex::default(),
            own_program: OwnProgram::default(),
        })
    }

    /// The database's containers, whatever became of them.
    async fn containers_of(&self, database: DatabaseId) -> Result<Vec<Found>, RuntimeError> {
        let labels = recipe::labels_of(self.config.instance, Some(database));
        self.engine.list(labels).await
    }

    /// A container of this forge by its id.
    async fn known(&self, id: &str) -> Result<Option<Found>, RuntimeError> {
        let ours = recipe::labels_of(self.config.instance, None);
        let found = self.engine.list(ours).await?;
        Ok(found.into_iter().find(|it| it.id == id))
    }

    /// Makes and starts a container.
    async fn make(
        &self,
        spec: &WorkerSpec,
        body: ContainerCreateBody,
    ) -> Result<String, RuntimeError> {
        let _turn = turn(&self.starts, "start a worker").await?;
        match self.engine.create(&spec.name, body).await {
            Ok(id) => {
                self.start(&id).await?;
                Ok(id)
            }
            Err(Answer::Said { status: 409, .. }) => Err(self.why_name_is_taken(spec).await?),
            // The only thing that a container is made from, besides what we say, is its image.
            Err(Answer::Said {
                status: 404,
                message,
            }) => Err(refused("create a worker", message)),
            Err(answer) => Err(self.without_paths(answer).into_error("create a worker")),
        }
    }

    /// Docker repeats the paths it was given; jobs show its words to users.
    fn without_paths(&self, answer: Answer) -> Answer {
        match answer {
            Answer::Said { status, message } => {
                let host_data_dir = self.config.host_data_dir.display().to_string();
                let message = message.replace(&host_data_dir, "<data>");
                Answer::Said { status, message }
            }
            Answer::None(reason) => Answer::None(reason),
        }
    }

    /// Ours, when a call whose reply was lost comes through after all: the next attempt finds it by
    /// its labels. Anyone else's is not to be touched.
    async fn why_name_is_taken(&self, spec: &WorkerSpec) -> Result<RuntimeError, RuntimeError> {
        let name = &spec.name;
        let ours = recipe::labels_of(self.config.instance, Some(spec.database));
        Ok(if self.engine.has_labels(name, &ours).await? {
            RuntimeError::Failed {
                runtime: NAME,
                action: "create a worker".to_owned(),
                reason: format!("`{name}` was made by another call just now"),
            }
        } else {
            refused(
                "create a worker",
                format!(
                    "a container named `{name}` exists and is not this database's worker; \
                     rename or remove it"
                ),
            )
        })
    }

    async fn start_in_turn(&self, id: &str) -> Result<(), RuntimeError> {
        let _turn = turn(&self.starts, "start a worker").await?;
        self.start(id).await
    }

    async fn start(&self, id: &str) -> Result<(), RuntimeError> {
        // What it answered in an earlier life says nothing about this one.
        self.answered().remove(id);
        self.engine
            .bounded(SLOW, |docker| docker.start_container(id, None))
            .await
            .map_err(|answer| answer.into_error("start a worker"))
    }

    /// Checks a running container before Docker has done so for the first time.
    ///
    /// Docker's first check comes one interval after the start, and the interval is long so
    /// that idle workers cost little (see [`recipe`]). A create should not wait
    /// that long, so the first check is ours.
    async fn first_check(&self, container: &Found) -> Result<(), RuntimeError> {
        let id = &container.id;
        if self.has_answered(id) {
            return Ok(());
        }
        let _turn = turn(&self.checks, "check a worker").await?;
        let (Check::OfSleeping(check) | Check::OfProgram(check)) = &container.check;
        if self.engine.exec(id, check).await? {
            self.answered().insert(id.clone());
        }
        Ok(())
    }

    /// Removes a container; a program in it is asked to end first.
    async fn take_away(&self, container: &Found) -> Result<(), RuntimeError> {
        if container.holds_data() {
            self.engine.stop(&container.id).await?;
        }
        self.engine.remove(&container.id).await
    }

    /// The file of this program for containers whose image may not have it.
    async fn own_program(&self) -> Result<&Path, RuntimeError> {
        let is_new = !self.own_program.is_known();
        let folder = self.config.programs();
        let file = self.own_program.file(&self.config.program, folder).await?;
        if is_new {
            // Those of other versions that no container has any more.
            let ours = recipe::labels_of(self.config.instance, None);
            let found = self.engine.list(ours).await?;
            let used: Vec<String> = found.into_iter().flat_map(|it| it.mounted).collect();
            own_program::remove_unused(self.config.programs(), file.to_owned(), used).await;
        }
        Ok(file)
    }

    fn has_answered(&self, id: &str) -> bool {
        self.answered().contains(id)
    }

    fn answered(&self) -> MutexGuard<'_, HashSet<String>> {
        self.answered.lock()
    }

    /// As Docker tells it, with our own check where Docker has not made one.
    fn judged(&self, container: Found) -> Worker {
        let fit = self.has_answered(&container.id);
        container.into_worker(fit)
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn ping(&self) -> Result<(), RuntimeError> {
        self.engine
            .bounded(QUICK, |docker| docker.ping())
            .await
            .map(|_| ())
            .map_err(|answer| answer.into_error("answer a ping"))
    }

    async fn ensure_running(&self, spec: &WorkerSpec) -> Result<String, RuntimeError> {
        if spec.instance != self.config.instance {
            let other = format!("it is of another forge, {}", spec.instance);
            return Err(refused("run a worker", other));
        }
        // First, so that a spec that cannot be met costs no worker that runs.
        let own_program = match spec.program.image {
            Some(_) => Some(self.own_program().await?),
            None => None,
        };
        let body = recipe::container(&self.config, spec, own_program)?;
        let found = self.containers_of(spec.database).await?;
        let (kept, others) = found::choose(found, &spec.hash());
        for other in &others {
            self.take_away(other).await?;
        }
        match kept {
            Some(container) if container.runs() => Ok(container.id),
            Some(container) => match self.start_in_turn(&container.id).await {
                Ok(()) => Ok(container.id),
                // A Docker daemon that was killed while it started a container can never start it
                // again: something in it has that id already. A fresh one has a fresh id.
                Err(RuntimeError::Failed { .. }) => {
                    self.engine.remove(&container.id).await?;
                    self.make(spec, body).await
                }
                Err(error) => Err(error),
            },
            None => self.make(spec, body).await,
        }
    }

    async fn ensure_removed(&self, database: DatabaseId) -> Result<(), RuntimeError> {
        for container in self.containers_of(database).await? {
            self.take_away(&container).await?;
        }
        Ok(())
    }

    async fn inspect(&self, database: DatabaseId) -> Result<Option<Worker>, RuntimeError> {
        let found = self.containers_of(database).await?;
        let Some(container) = found::best(found) else {
            return Ok(None);
        };
        if container.life == Life::Running(Verdict::NotYet) {
            self.first_check(&container).await?;
        }
        Ok(Some(self.judged(container)))
    }

    async fn list(&self) -> Result<Vec<Worker>, RuntimeError> {
        let labels = recipe::labels_of(self.config.instance, None);
        let found = self.engine.list(labels).await?;
        // What is no longer starting has been judged by Docker, or has to be checked anew.
        self.answered().retain(|id| {
            found
                .iter()
                .any(|it| it.id == *id && it.state() == WorkerState::Starting)
        });
        Ok(found.into_iter().map(|it| self.judged(it)).collect())
    }

    async fn quarantine(&self, worker: &str) -> Result<(), RuntimeError> {
        let Some(found) = self.known(worker).await? else {
            return Ok(());
        };
        if found.holds_data() {
            self.engine.stop(&found.id).await?;
        }
        self.engine.kill(&found.id).await?;
        if found.name.starts_with(QUARANTINED) {
            return Ok(());
        }
        // Of several that had one name each has to have its own.
        let id = found.id.get(..12).unwrap_or(&found.id);
        let name = format!("{QUARANTINED}{}-{id}", found.name);
        self.engine.rename(&found.id, &name).await
    }

    async fn remove_quarantined(&self, worker: &str) -> Result<(), RuntimeError> {
        match self.known(worker).await? {
            None => Ok(()),
            Some(found) if found.name.starts_with(QUARANTINED) => {
                self.engine.remove(&found.id).await
            }
            Some(_) => Err(refused("remove a worker", "it is not in quarantine")),
        }
    }

    async fn image(&self, name: &str) -> Result<Option<ImageFacts>, RuntimeError> {
        self.facts_of_image(name).await
    }

    async fn run_errand(&self, errand: &Errand) -> Result<(), RuntimeError> {
        self.run_errand_once(errand).await
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        changes::follow(Arc::clone(&self.engine), self.config.instance)
    }
}

/// Waits for a permit, for a limited time.
async fn turn<'a>(queue: &'a Semaphore, action: &str) -> Result<SemaphorePermit<'a>, RuntimeError> {
    match tokio::time::timeout(TURN, queue.acquire()).await {
        Ok(permit) => Ok(permit.expect("these semaphores are never closed")),
        Err(_) => Err(RuntimeError::Failed {
            runtime: NAME,
            action: action.to_owned(),
            reason: format!("{} s passed and others were still ahead", TURN.as_secs()),
        }),
    }
}
