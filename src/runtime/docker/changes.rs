//! Follows Docker's events, across restarts.
use super::engine::{DockerEngine, QUICK};
use super::recipe;
use crate::domain::ids::InstanceId;
use bollard::errors::Error;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A Docker daemon that was restarted is back within a second or so.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Asking a daemon that stays away twice a minute costs nothing; the reconciler's own minute goes
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

/// A tick for each event, and one each time that Docker is found: it says nothing about what
/// happened while there was no connection.
///
/// It also listens while no ticks are received; pending ticks are merged. Call it inside tokio.
pub(super) fn follow(engine: Arc<DockerEngine>, instance: InstanceId) -> BoxStream<'static, ()> {
    let (tick, ticks) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = tick.closed() => {} // the stream was dropped
            _ = relay(&engine, instance, &tick) => {}
        }
    });
    stream::unfold(ticks, |mut ticks| async move {
        ticks.recv().await.map(|()| ((), ticks))
    })
    .boxed()
}

async fn relay(engine: &DockerEngine, instance: InstanceId, tick: &mpsc::Sender<()>) -> Infallible {
    let mut retry = FIRST_RETRY;
    loop {
        if let Some(mut events) = listen(engine, instance).await {
            give(tick);
            while let Some(Ok(_)) = events.next().await {
                retry = FIRST_RETRY;
                give(tick);
            }
        }
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(LAST_RETRY);
    }
}

fn give(tick: &mpsc::Sender<()>) {
    // Full: a tick is pending already, and its receiver inspects everything.
    let _ = tick.try_send(());
}

async fn listen(engine: &DockerEngine, instance: InstanceId) -> Option<Events> {
    // The stream connects when it is first read; a ping says now whether it would.
    engine.bounded(QUICK, |docker| docker.ping()).await.ok()?;
    let docker = engine.docker().await.ok()?;
    let filters = HashMap::from([
        ("type", vec!["container".to_owned()]),
        ("label", recipe::labels_of(instance, None)),
        (
            "event",
            EVENTS.iter().map(|event| (*event).to_owned()).collect(),
        ),
    ]);
    let options = EventsOptionsBuilder::new().filters(&filters).build();
    Some(docker.events(Some(options)).boxed())
}
