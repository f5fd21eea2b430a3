//! Hands that meddle behind the forge's back, on the real engine: what should run comes back, what
//! belongs to nobody is set aside, and nothing else is touched.
use crate::support::gateway_forge::Forge;
use crate::support::runtime_contract::TestForge;
use crate::support::{DockerForge, Foreign, docker, labelled};
use bollard::query_parameters::{
    InspectContainerOptions, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use dbforge::clock::timestamp::Timestamp;
use dbforge::clock::{CountingIds, ManualClock};
use dbforge::control::{ControlConfig, ControlPlane, Submission};
use dbforge::data::{DataConfig, DataPlane};
use dbforge::domain::command::Command;
use dbforge::domain::ids::Actor;
use dbforge::engine::registry::Engines;
use dbforge::event_log::memory::MemoryEventLog;
use dbforge::jobs::JobContext;
use dbforge::jobs::reconciler::{Finding, Reconciler};
use dbforge::jobs::worker_status::WorkerStatuses;
use dbforge::runtime::child::ChildStarter;
use dbforge::runtime::docker::{DockerEngine, DockerRuntime};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn workers_that_are_removed_stopped_or_paused_by_hand_come_back_and_a_renamed_one_stays() {
    let forge = Forge::start();
    forge.create(&["removed", "stopped", "paused", "renamed"]);
    let id = |name: &str| forge.worker_of(name).unwrap().id.unwrap();
    let [removed, stopped, paused, renamed] = ["removed", "stopped", "paused", "renamed"].map(id);
    let odd = format!("odd-{}", &renamed[..12]);
    forge.tokio.block_on(async {
        let docker = docker().await;
        let rename = RenameContainerOptionsBuilder::new().name(&odd).build();
        docker.rename_container(&renamed, rename).await.unwrap();
        docker.pause_container(&paused).await.unwrap();
        let at_once = StopContainerOptionsBuilder::new().t(0).build();
        docker
            .stop_container(&stopped, Some(at_once))
            .await
            .unwrap();
        let force = RemoveContainerOptionsBuilder::new().force(true).build();
        docker
            .remove_container(&removed, Some(force))
            .await
            .unwrap();
    });
    for (name, earlier) in [
        ("removed", &removed),
        ("stopped", &stopped),
        ("paused", &paused),
    ] {
        forge.gateway().poll("another worker runs", || {
            forge.worker_of(name).is_some_and(|it| {
                let state = it.state.unwrap();
                it.id.as_ref() != Some(earlier)
                    && state.running == Some(true)
                    && state.paused == Some(false)
            })
        });
    }
    let worker = forge.worker_of("renamed").unwrap();
    assert_eq!(worker.id.as_ref(), Some(&renamed));
    assert_eq!(worker.name.unwrap(), format!("/{odd}"));
    let repairs = |name: &str| {
        let path = format!("/v1/jobs?kind=repair_worker&database={name}");
        let (_, jobs) = forge.gateway().get(&path).unwrap();
        jobs["data"].as_array().unwrap().clone()
    };
    assert_eq!(repairs("renamed").len(), 0);
    assert_eq!(repairs("paused")[0]["actor"], "reconciler");
    assert_eq!(forge.containers().len(), 4);
}

async fn seen(id: &str) -> (String, bool) {
    let options = None::<InspectContainerOptions>;
    let it = docker().await.inspect_container(id, options).await.unwrap();
    let is_running = it.state.unwrap().running.unwrap();
    (it.name.unwrap(), is_running)
}

/// A reconciler of the forge's on the real engine, under a clock that does as told.
async fn reconciler(forge: &DockerForge, clock: Arc<ManualClock>) -> Reconciler {
    let config = ControlConfig {
        trash_retention: Duration::from_secs(7 * 86_400),
        queue_bound: 1000,
    };
    let log = Arc::new(MemoryEventLog::default());
    let ids = Arc::new(CountingIds::default());
    let control = ControlPlane::start(log, clock, ids, config, Box::new(|_| {}));
    let control = Arc::new(control.unwrap());
    let instance = Some(forge.config.instance);
    let command = Command::InitializeForge { instance };
    let founded = Submission::new(command, Actor::named("test"), control.fresh_request());
    control.submit(founded).await.unwrap();
    std::fs::create_dir_all(&forge.config.data_dir).unwrap();
    let data = DataPlane::open(
        &forge.config.data_dir,
        DataConfig::default(),
        Engines::standard(),
    )
    .unwrap();
    let runtime = DockerRuntime::new(DockerEngine::local(), forge.config.clone()).unwrap();
    Reconciler::new(Arc::new(JobContext {
        control,
        runtime: Arc::new(runtime),
        data: Arc::new(data),
        worker_status: Arc::new(WorkerStatuses::default()),
        progress: Arc::default(),
        children: ChildStarter::new(env!("CARGO_BIN_EXE_dbforge").into(), None),
    }))
}

#[tokio::test]
async fn a_worker_of_no_database_is_ended_and_renamed_after_its_grace_and_nobody_elses_is() {
    let forge = DockerForge::new().await;
    let neighbour = forge.neighbour().await;
    let start = async |forge: &DockerForge, name: &str| {
        let spec = forge.spec(name);
        let id = forge.runtime().ensure_running(&spec).await.unwrap();
        (spec.name, id)
    };
    let (name, orphan) = start(&forge, "orphan").await;
    let (their_name, theirs) = start(&neighbour, "theirs").await;
    let unmarked = format!("unmarked-{}", &orphan[..12]);
    let unmarked = Foreign::start(&unmarked, labelled(HashMap::new())).await;
    docker().await.pause_container(&orphan).await.unwrap();

    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_772_366_400_000)));
    let reconciler = reconciler(&forge, clock.clone()).await;
    // The folders of both are unknown too, and not what this is about.
    let found = async || {
        let mut found = reconciler.pass().await.unwrap();
        found.retain(|it| !matches!(it, Finding::UnknownFolder { .. }));
        found
    };
    for _ in 0..5 {
        assert_eq!(found().await, []);
        assert_eq!(seen(&orphan).await, (format!("/{name}"), true));
        clock.advance(Duration::from_secs(60));
    }
    assert_eq!(found().await.len(), 1);
    let quarantined = format!("/quarantined-{name}-{}", &orphan[..12]);
    assert_eq!(seen(&orphan).await, (quarantined, false));
    assert_eq!(found().await, []);

    assert_eq!(seen(&theirs).await, (format!("/{their_name}"), true));
    assert!(seen(&unmarked.0).await.1);
}
