//! Hands that meddle with workers, and containers that are not ours.
use crate::support::runtime_contract::{TestForge, ids, until, until_healthy};
use crate::support::{DockerForge, Foreign, docker, labelled};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, RemoveContainerOptionsBuilder,
    RenameContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use dbforge::runtime::{WorkerSpec, WorkerState};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use std::collections::HashMap;
use std::time::Duration;

async fn forge_with_a_worker() -> (DockerForge, WorkerSpec, String) {
    let forge = DockerForge::new().await;
    let spec = forge.spec("shop");
    let id = forge.runtime().ensure_running(&spec).await.unwrap();
    until_healthy(&forge, spec.database).await;
    (forge, spec, id)
}

/// A container with these labels, made and not started. It goes with its forge.
async fn create(name: &str, labels: HashMap<String, String>) -> String {
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    let body = labelled(labels);
    let created = docker().await.create_container(Some(options), body).await;
    created.unwrap().id
}

async fn labels(id: &str) -> HashMap<String, String> {
    let container = docker().await.inspect_container(id, None).await.unwrap();
    container.config.unwrap().labels.unwrap()
}

async fn runs(id: &str) -> bool {
    let container = docker().await.inspect_container(id, None).await.unwrap();
    container.state.unwrap().running.unwrap()
}

#[tokio::test]
async fn a_worker_removed_by_hand_is_listed_no_longer_and_comes_back_anew() {
    let (forge, spec, id) = forge_with_a_worker().await;
    let force = RemoveContainerOptionsBuilder::new().force(true).build();
    docker()
        .await
        .remove_container(&id, Some(force))
        .await
        .unwrap();
    assert_eq!(forge.runtime().list().await.unwrap(), []);
    assert_eq!(forge.runtime().inspect(spec.database).await.unwrap(), None);
    assert_ne!(forge.runtime().ensure_running(&spec).await.unwrap(), id);
    until_healthy(&forge, spec.database).await;
}

#[tokio::test]
async fn a_stopped_worker_is_exited_and_started_again() {
    let (forge, spec, id) = forge_with_a_worker().await;
    let patient = StopContainerOptionsBuilder::new().t(30).build();
    docker()
        .await
        .stop_container(&id, Some(patient))
        .await
        .unwrap();
    let stopped = docker().await.inspect_container(&id, None).await.unwrap();
    let code = stopped.state.unwrap().exit_code;
    assert_eq!(code, Some(0), "it ended by itself when it was asked to");
    comes_back(&forge, &spec, &id, WorkerState::Exited).await;
}

#[tokio::test]
async fn a_killed_worker_is_exited_and_started_again() {
    let (forge, spec, id) = forge_with_a_worker().await;
    kill(&id).await;
    comes_back(&forge, &spec, &id, WorkerState::Exited).await;
}

/// The worker is seen in this state, by both questions, and runs again under its id.
async fn comes_back(forge: &DockerForge, spec: &WorkerSpec, id: &str, seen: WorkerState) {
    is_seen(forge, spec, seen).await;
    assert_eq!(forge.runtime().ensure_running(spec).await.unwrap(), id);
    until_healthy(forge, spec.database).await;
}

async fn is_seen(forge: &DockerForge, spec: &WorkerSpec, state: WorkerState) {
    until(forge, spec.database, state).await;
    assert_eq!(forge.runtime().list().await.unwrap()[0].state, state);
}

#[tokio::test]
async fn a_paused_worker_is_unhealthy_and_replaced() {
    let (forge, spec, id) = forge_with_a_worker().await;
    docker().await.pause_container(&id).await.unwrap();
    is_seen(&forge, &spec, WorkerState::Unhealthy).await;
    let fresh = forge.runtime().ensure_running(&spec).await.unwrap();
    assert_ne!(fresh, id);
    assert_eq!(ids(&forge).await, [fresh]);
    until_healthy(&forge, spec.database).await;
}

#[tokio::test]
async fn the_engines_own_verdict_counts_for_the_worse_and_for_the_better() {
    let (forge, spec, id) = forge_with_a_worker().await;
    // Woken by hand, a container is unhealthy for the engine until its next check.
    docker().await.pause_container(&id).await.unwrap();
    docker().await.unpause_container(&id).await.unwrap();
    is_seen(&forge, &spec, WorkerState::Unhealthy).await;
    assert_eq!(forge.runtime().ensure_running(&spec).await.unwrap(), id);
    is_seen(&forge, &spec, WorkerState::Healthy).await;
}

#[tokio::test]
async fn a_renamed_worker_is_found_by_its_labels() {
    let (forge, spec, id) = forge_with_a_worker().await;
    let name = format!("renamed-{}", spec.database.short());
    let rename = RenameContainerOptionsBuilder::new().name(&name).build();
    docker().await.rename_container(&id, rename).await.unwrap();
    let worker = forge
        .runtime()
        .inspect(spec.database)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((worker.id, worker.name), (id.clone(), name));
    assert_eq!(forge.runtime().ensure_running(&spec).await.unwrap(), id);
    forge.runtime().ensure_removed(spec.database).await.unwrap();
    assert_eq!(ids(&forge).await, [""; 0]);
}

#[tokio::test]
async fn a_worker_that_was_made_and_never_started_is_started() {
    let (forge, spec, id) = forge_with_a_worker().await;
    let labels = labels(&id).await;
    forge.runtime().ensure_removed(spec.database).await.unwrap();
    // What a lost reply leaves behind.
    let made = create(&spec.name, labels).await;
    let worker = forge.runtime().inspect(spec.database).await.unwrap();
    assert_eq!(worker.unwrap().state, WorkerState::Starting);
    assert_eq!(forge.runtime().ensure_running(&spec).await.unwrap(), made);
    assert!(runs(&made).await);
}

#[tokio::test]
async fn of_two_workers_for_one_database_the_one_that_runs_stays() {
    let (forge, spec, id) = forge_with_a_worker().await;
    let name = format!("double-{}", spec.database.short());
    create(&name, labels(&id).await).await;
    assert_eq!(ids(&forge).await.len(), 2);
    assert_eq!(forge.runtime().ensure_running(&spec).await.unwrap(), id);
    assert_eq!(ids(&forge).await, [id]);
}

#[tokio::test]
async fn a_worker_made_by_another_recipe_is_of_another_spec_and_is_replaced() {
    let (forge, spec, id) = forge_with_a_worker().await;
    let mut labels = labels(&id).await;
    labels.insert("dbforge.generation".to_owned(), "0".to_owned());
    forge.runtime().ensure_removed(spec.database).await.unwrap();
    let old = create(&spec.name, labels).await;
    let told = forge.runtime().inspect(spec.database).await.unwrap();
    assert_ne!(told.unwrap().spec, spec.hash());
    let new = forge.runtime().ensure_running(&spec).await.unwrap();
    assert_ne!(new, old);
    assert_eq!(ids(&forge).await, [new]);
}

#[tokio::test]
async fn a_foreign_container_is_never_seen_and_its_name_is_refused() {
    let forge = DockerForge::new().await;
    let spec = forge.spec("shop");
    let stranger = Foreign::start(&spec.name, labelled(HashMap::new())).await;

    let refusal = forge.runtime().ensure_running(&spec).await.unwrap_err();
    assert!(!refusal.is_transient(), "{refusal}");
    assert!(refusal.to_string().contains(&spec.name), "{refusal}");
    assert_eq!(forge.runtime().list().await.unwrap(), []);
    forge.runtime().ensure_removed(spec.database).await.unwrap();
    assert!(runs(&stranger.0).await);
}

#[tokio::test]
async fn a_container_with_our_label_and_no_database_is_left_alone() {
    let (forge, spec, id) = forge_with_a_worker().await;
    let instance = forge.config.instance.to_string();
    let labels = HashMap::from([("dbforge.instance".to_owned(), instance)]);
    let name = format!("odd-{}", spec.database.short());
    let odd = Foreign::start(&name, labelled(labels)).await;
    assert_eq!(ids(&forge).await, [id]);
    forge.runtime().ensure_removed(spec.database).await.unwrap();
    assert!(runs(&odd.0).await);
}

#[tokio::test]
async fn a_worker_of_another_forge_is_refused() {
    let forge = DockerForge::new().await;
    let theirs = forge.neighbour().await.spec("shop");
    let refusal = forge.runtime().ensure_running(&theirs).await.unwrap_err();
    assert!(!refusal.is_transient(), "{refusal}");
}

#[tokio::test]
async fn an_end_ticks_for_its_forge_alone_and_a_check_for_nobody() {
    let (forge, spec, id) = forge_with_a_worker().await;
    let neighbour = forge.neighbour().await;
    let mut ours = forge.runtime().changes();
    let mut theirs = neighbour.runtime().changes();
    ours.next().await.expect("the engine was found");
    theirs.next().await.expect("the engine was found");
    until_silent(&mut ours).await;

    kill(&id).await;
    let tick = tokio::time::timeout(Duration::from_secs(10), ours.next()).await;
    tick.expect("the end was told").expect("the stream goes on");

    forge.runtime().ensure_running(&spec).await.unwrap();
    until_silent(&mut ours).await;
    until_healthy(&forge, spec.database).await; // by a check of ours, in its second life
    let after_the_check = tokio::time::timeout(SILENCE, ours.next()).await;
    assert!(after_the_check.is_err(), "a check woke the reconciler");
    assert!(
        theirs.next().now_or_never().is_none(),
        "told of another forge"
    );
}

/// Events come within milliseconds.
const SILENCE: Duration = Duration::from_millis(500);

async fn until_silent(changes: &mut BoxStream<'static, ()>) {
    while tokio::time::timeout(SILENCE, changes.next()).await.is_ok() {}
}

async fn kill(id: &str) {
    let kill = KillContainerOptionsBuilder::new().signal("KILL").build();
    docker().await.kill_container(id, Some(kill)).await.unwrap();
}
