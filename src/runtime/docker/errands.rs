//! Errands: this program run once in an image, with a folder, as locked down as a worker.
use super::DockerRuntime;
use super::answer::{Answer, NAME, refused};
use super::engine::{QUICK, SLOW};
use super::recipe;
use crate::runtime::{Errand, ImageFacts, RuntimeError};
use bollard::query_parameters::{LogsOptionsBuilder, WaitContainerOptions};
use futures_util::StreamExt as _;
use std::pin::pin;

/// Bytes of what an errand says that an error shows.
const SHOWN: usize = 2 << 10;

impl DockerRuntime {
    pub(super) async fn facts_of_image(
        &self,
        name: &str,
    ) -> Result<Option<ImageFacts>, RuntimeError> {
        let inspected = self
            .engine
            .bounded(QUICK, |docker| docker.inspect_image(name))
            .await;
        let image = match inspected {
            Ok(image) => image,
            Err(Answer::Said { status: 404, .. }) => return Ok(None),
            Err(answer) => return Err(answer.into_error("look an image up")),
        };
        let environment = image.config.and_then(|config| config.env);
        let environment = environment.unwrap_or_default().into_iter();
        let split = |text: String| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Ok(image.id.map(|id| ImageFacts {
            id,
            environment: environment.filter_map(split).collect(),
        }))
    }

    pub(super) async fn run_errand_once(&self, errand: &Errand) -> Result<(), RuntimeError> {
        // One of this name is what a gateway left that was killed.
        let name = format!("db-errand-{}", self.config.instance);
        self.engine.remove(&name).await?;
        let own_program = self.own_program().await?;
        let body = recipe::errand(&self.config, errand, own_program)?;
        let created = self.engine.create(&name, body).await;
        let id = created.map_err(|answer| self.without_paths(answer).into_error(ACTION))?;
        let ended = tokio::time::timeout(errand.longest, self.start_and_wait(&id)).await;
        let said = self.what_it_said(&id).await;
        self.engine.remove(&id).await?;
        match ended {
            Ok(Ok(0)) => Ok(()),
            Ok(Ok(code)) => Err(RuntimeError::Failed {
                runtime: NAME,
                action: ACTION.to_owned(),
                reason: format!("it ended with code {code}: {said}"),
            }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(RuntimeError::Failed {
                runtime: NAME,
                action: ACTION.to_owned(),
                reason: format!("it did not end within {} s", errand.longest.as_secs()),
            }),
        }
    }

    async fn start_and_wait(&self, id: &str) -> Result<i64, RuntimeError> {
        let started = self
            .engine
            .bounded(SLOW, |docker| docker.start_container(id, None))
            .await;
        started.map_err(|answer| self.without_paths(answer).into_error(ACTION))?;
        let docker = self.engine.docker().await.map_err(Answer::from);
        let docker = docker.map_err(|answer| answer.into_error(ACTION))?;
        let mut waited = pin!(docker.wait_container(id, None::<WaitContainerOptions>));
        match waited.next().await {
            Some(Ok(ended)) => Ok(ended.status_code),
            // Docker's way to say that the code is not 0.
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(Answer::from(error).into_error(ACTION)),
            None => Err(refused(ACTION, "Docker does not tell how it ended")),
        }
    }

    async fn what_it_said(&self, id: &str) -> String {
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail("5")
            .build();
        let read = self.engine.bounded(QUICK, |docker| async move {
            let mut said = String::new();
            let mut lines = pin!(docker.logs(id, Some(options)));
            while let Some(Ok(line)) = lines.next().await {
                said.push_str(&line.to_string());
            }
            Ok(said)
        });
        let said = read.await.unwrap_or_default();
        let text = said.trim().replace('\n', " / ");
        text.chars().take(SHOWN).collect()
    }
}

const ACTION: &str = "run a program in an image";
