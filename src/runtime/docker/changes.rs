//! Follows the engine's events, across restarts of the engine.
use super::engine::{DockerEngine, QUICK};
use super::recipe;
use crate::domain::ids::InstanceId;
use bollard::errors::Error;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// An engine that was restarted is back within a second or so.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Asking an engine that stays away twice a minute costs nothing; the reconciler's own minute goes
/// on beside it.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// What changes how a worker is. Not `exec_…`: every check is one, and would wake the reconciler.
const EVENTS: &[&str] = &[
    "start",
    "die",
    "oom",
    "kill",
    "stop",
    "destroy",
    "pause",
    "unpause",
    "rename",
    "health_status",
];

type Events = BoxStream<'static, Result<EventMessage, Error>>;

/// A tick for each event, and one each time that the engine is found: it says nothing about what
/// happened while nobody listened.
pub(super) fn follow(engine: Arc<DockerEngine>, instance: InstanceId) -> BoxStream<'static, ()> {
    let follower = Follower {
        engine,
        instance,
        events: None,
        retry: FIRST_RETRY,
    };
    stream::unfold(follower, |mut it| async move {
        it.tick().await;
        Some(((), it))
    })
    .boxed()
}

struct Follower {
    engine: Arc<DockerEngine>,
    instance: InstanceId,
    events: Option<Events>,
    retry: Duration,
}

impl Follower {
    async fn tick(&mut self) {
        loop {
            match &mut self.events {
                Some(events) => {
                    if let Some(Ok(_)) = events.next().await {
                        self.retry = FIRST_RETRY;
                        return;
                    }
                    self.events = None;
                }
                None => {
                    if let Some(events) = listen(&self.engine, self.instance).await {
                        self.events = Some(events);
                        return;
                    }
                }
            }
            tokio::time::sleep(self.retry).await;
            self.retry = (self.retry * 2).min(LAST_RETRY);
        }
    }
}

async fn listen(engine: &DockerEngine, instance: InstanceId) -> Option<Events> {
    // The stream connects when it is first read; a ping says now whether it would.
    engine.bounded(QUICK, |docker| docker.ping()).await.ok()?;
    let docker = engine.docker().await.ok()?;
    let filters = HashMap::from([
        ("type", vec!["container".to_owned()]),
        ("label", recipe::labels_of(instance, None)),
        ("event", EVENTS.iter().map(|it| (*it).to_owned()).collect()),
    ]);
    let options = EventsOptionsBuilder::new().filters(&filters).build();
    Some(docker.events(Some(options)).boxed())
}
