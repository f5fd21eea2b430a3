//! Calls to Docker: each bounded in time, each answer read once.
use super::answer::Answer;
use super::found::{self, Found};
use crate::runtime::{LONGEST_STOP_GRACE, RuntimeError};
use bollard::Docker;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    RenameContainerOptionsBuilder,
};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::OnceCell;

/// Questions are answered in milliseconds; a daemon that starts many containers takes a second
/// or two. After this time Docker is reported as unreachable.
pub(super) const QUICK: Duration = Duration::from_secs(10);

/// Making, starting or removing a container takes 0.1 to 0.5 s; a machine under load, or a disk
/// that syncs, many times that.
pub(super) const SLOW: Duration = Duration::from_secs(30);

/// The longest call: a program takes its whole grace to end.
const LONGEST_CALL: Duration = SLOW.saturating_add(LONGEST_STOP_GRACE);

/// A Docker daemon, met when it is first needed: it may come up after the gateway.
#[derive(Debug, Default)]
pub struct DockerEngine {
    socket: Option<PathBuf>,
    docker: OnceCell<Docker>,
}

impl DockerEngine {
    /// The Docker daemon of this machine: at `DOCKER_HOST` where that names a socket, else at the
    /// usual one.
    #[must_use]
    pub fn local() -> Self {
        Self::default()
    }

    /// The Docker daemon behind a socket of its own.
    #[must_use]
    pub fn at(socket: PathBuf) -> Self {
        Self {
            socket: Some(socket),
            docker: OnceCell::new(),
        }
    }

    /// Whether workers can run here: does Docker answer, and has it the image?
    pub async fn availability(&self, image: &str) -> DockerAvailability {
        let looked_up = self
            .bounded(QUICK, |docker| docker.inspect_image(image))
            .await;
        match looked_up {
            Ok(_) => DockerAvailability::Available {
                image: image.to_owned(),
            },
            Err(Answer::Said { status: 404, .. }) => DockerAvailability::NoImage {
                image: image.to_owned(),
            },
            Err(answer) => DockerAvailability::NoEngine {
                reason: answer.into_error("look an image up").to_string(),
            },
        }
    }

    /// Makes one call, for at most `limit`.
    pub(super) async fn bounded<'a, T, F>(
        &'a self,
        limit: Duration,
        call: impl FnOnce(&'a Docker) -> F,
    ) -> Result<T, Answer>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let answered = async { call(self.docker().await?).await };
        match tokio::time::timeout(limit, answered).await {
            Ok(answer) => answer.map_err(Answer::from),
            Err(_) => Err(Answer::None(format!("no answer in {} s", limit.as_secs()))),
        }
    }

    /// The connection, its API version agreed upon: ours is newer than many daemons know.
    pub(super) async fn docker(&self) -> Result<&Docker, Error> {
        let meet = || async {
            let docker = match &self.socket {
                None => Docker::connect_with_local_defaults()?,
                Some(path) => Docker::connect_with_unix(
                    &path.to_string_lossy(),
                    LONGEST_CALL.as_secs(),
                    bollard::API_DEFAULT_VERSION,
                )?,
            };
            docker.negotiate_version().await
        };
        self.docker.get_or_try_init(meet).await
    }

    /// Every container with all these labels.
    pub(super) async fn list(&self, labels: Vec<String>) -> Result<Vec<Found>, RuntimeError> {
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&HashMap::from([("label", labels)]))
            .build();
        let listed = self
            .bounded(QUICK, |docker| docker.list_containers(Some(options)))
            .await
            .map_err(|answer| answer.into_error("list workers"))?;
        Ok(listed.into_iter().filter_map(found::read).collect())
    }

    /// Whether the container of this name has all these labels (`key=value`).
    pub(super) async fn has_labels(
        &self,
        name: &str,
        labels: &[String],
    ) -> Result<bool, RuntimeError> {
        let container = self
            .bounded(QUICK, |docker| docker.inspect_container(name, None))
            .await
            .map_err(|answer| answer.into_error("look at a container"))?;
        let current: Vec<String> = container
            .config
            .and_then(|it| it.labels)
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        Ok(labels.iter().all(|label| current.contains(label)))
    }

    pub(super) async fn create(
        &self,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<String, Answer> {
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        self.bounded(SLOW, |docker| docker.create_container(Some(options), body))
            .await
            .map(|created| created.id)
    }

    /// Asks a container's program to end, with the signal and the grace that it was made with;
    /// Docker kills it then. One that does not run, or is gone, is as good.
    pub(super) async fn stop(&self, id: &str) -> Result<(), RuntimeError> {
        let stopped = self
            .bounded(LONGEST_CALL, |docker| docker.stop_container(id, None))
            .await;
        match stopped {
            Err(Answer::Said { status: 404, .. }) | Ok(()) => Ok(()),
            Err(answer) => Err(answer.into_error("stop a worker")),
        }
    }

    /// Removes a container by force, with the volumes that its image may have asked for; one that
    /// is gone already is as good.
    pub(super) async fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
        let options = options.build();
        let removed = self
            .bounded(SLOW, |docker| docker.remove_container(id, Some(options)))
            .await;
        match removed {
            Err(Answer::Said { status: 404, .. }) | Ok(()) => Ok(()),
            Err(answer) => Err(answer.into_error("remove a worker")),
        }
    }

    /// Ends a container; one that does not run, or is gone, is as good.
    pub(super) async fn kill(&self, id: &str) -> Result<(), RuntimeError> {
        // Paused, it would not hear of its end.
        let killed = self
            .bounded(SLOW, |docker| docker.kill_container(id, None))
            .await;
        match killed {
            Err(Answer::Said {
                status: 404 | 409, ..
            })
            | Ok(()) => Ok(()),
            Err(answer) => Err(answer.into_error("end a worker")),
        }
    }

    /// Gives a container another name; one that is gone needs none.
    pub(super) async fn rename(&self, id: &str, name: &str) -> Result<(), RuntimeError> {
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        let renamed = self
            .bounded(QUICK, |docker| docker.rename_container(id, options))
            .await;
        match renamed {
            Err(Answer::Said { status: 404, .. }) | Ok(()) => Ok(()),
            Err(answer) => Err(answer.into_error("rename a worker")),
        }
    }

    /// Runs a command in a container, and says whether it ended well.
    ///
    /// One that stopped meanwhile, or is gone, did not: that is an answer, no error.
    pub(super) async fn exec(&self, id: &str, command: &[String]) -> Result<bool, RuntimeError> {
        let options: CreateExecOptions<String> = CreateExecOptions {
            attach_stdout: Some(true), // so that its end is seen
            cmd: Some(command.to_vec()),
            ..Default::default()
        };
        let ended = self
            .bounded(QUICK, |docker| async move {
                let exec = docker.create_exec(id, options).await?;
                if let StartExecResults::Attached { mut output, .. } =
                    docker.start_exec(&exec.id, None).await?
                {
                    while output.next().await.is_some() {}
                }
                docker.inspect_exec(&exec.id).await
            })
            .await;
        match ended {
            Ok(exec) => Ok(exec.exit_code == Some(0)),
            Err(Answer::Said {
                status: 404 | 409, ..
            }) => Ok(false),
            Err(answer) => Err(answer.into_error("check a worker")),
        }
    }
}

/// Whether workers can run in Docker, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerAvailability {
    /// Docker answers and has the image.
    Available {
        /// The workers' image.
        image: String,
    },
    /// Docker does not answer.
    NoEngine {
        /// What was seen.
        reason: String,
    },
    /// Docker answers, and the image is not there.
    NoImage {
        /// The image that was looked for.
        image: String,
    },
}

impl fmt::Display for DockerAvailability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Available { image } => {
                write!(f, "the Docker engine answers and has the image `{image}`")
            }
            Self::NoEngine { reason } => f.write_str(reason),
            Self::NoImage { image } => write!(
                f,
                "the Docker engine answers, but has no image `{image}` (`make images` builds it)"
            ),
        }
    }
}
