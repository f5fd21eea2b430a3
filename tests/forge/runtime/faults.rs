//! The simulated engine misbehaves as it is told, and tells truly what it did.
use super::contract::Simulated;
use crate::support::runtime_contract::{TestForge, ids};
use dbforge::clock::{IdSource, RandomIds, Stopwatch};
use dbforge::domain::ids::DatabaseId;
use dbforge::runtime::simulated::{Action, Fault, Meddling};
use dbforge::runtime::{RuntimeError, WorkerSpec, WorkerState};
use futures_util::{FutureExt, StreamExt};
use std::time::Duration;

async fn forge_with_a_worker() -> (Simulated, WorkerSpec, String) {
    let forge = Simulated::new().await;
    let spec = forge.spec("shop");
    let id = forge.runtime().ensure_running(&spec).await.unwrap();
    (forge, spec, id)
}

async fn state(forge: &Simulated, database: DatabaseId) -> Option<WorkerState> {
    let seen = forge.runtime().inspect(database).await.unwrap();
    seen.map(|it| it.state)
}

#[tokio::test]
async fn the_next_calls_fail_as_told_and_the_one_after_works() {
    let forge = Simulated::new().await;
    let spec = forge.spec("shop");
    forge
        .engine
        .fail_next(Action::EnsureRunning, Fault::Unavailable, 1);
    forge
        .engine
        .fail_next(Action::EnsureRunning, Fault::Failed, 1);
    forge
        .engine
        .fail_next(Action::EnsureRunning, Fault::Refused, 1);
    let mut transient = Vec::new();
    for _ in 0..3 {
        let error = forge.runtime().ensure_running(&spec).await.unwrap_err();
        transient.push(error.is_transient());
        assert_eq!(ids(&forge).await, [""; 0], "nothing was done: {error}");
    }
    assert_eq!(transient, [true, true, false]);
    forge.runtime().ensure_running(&spec).await.unwrap();
}

#[tokio::test]
async fn a_lost_reply_hides_what_was_done() {
    let forge = Simulated::new().await;
    let spec = forge.spec("shop");
    forge
        .engine
        .fail_next(Action::EnsureRunning, Fault::LostReply, 1);
    forge.runtime().ensure_running(&spec).await.unwrap_err();
    let made = ids(&forge).await;
    let again = forge.runtime().ensure_running(&spec).await.unwrap();
    assert_eq!(
        made,
        [again],
        "the second call finds what the first has made"
    );

    forge
        .engine
        .fail_next(Action::EnsureRemoved, Fault::LostReply, 1);
    forge
        .runtime()
        .ensure_removed(spec.database)
        .await
        .unwrap_err();
    assert_eq!(ids(&forge).await, [""; 0]);
    forge.runtime().ensure_removed(spec.database).await.unwrap();
}

#[tokio::test]
async fn an_engine_that_is_away_is_unavailable_and_loses_nothing() {
    let (forge, spec, id) = forge_with_a_worker().await;
    forge.engine.set_away(true);
    let errors = [
        forge.runtime().ping().await.unwrap_err(),
        forge.runtime().list().await.unwrap_err(),
        forge.runtime().inspect(spec.database).await.unwrap_err(),
        forge
            .runtime()
            .ensure_removed(spec.database)
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, RuntimeError::Unavailable { .. }), "{error}");
    }
    forge.engine.set_away(false);
    assert_eq!(ids(&forge).await, [id]);
}

#[tokio::test]
async fn a_partial_list_is_an_error_and_no_shorter_list() {
    let (forge, _, id) = forge_with_a_worker().await;
    forge.engine.set_list_partial(true);
    assert!(forge.runtime().list().await.unwrap_err().is_transient());
    forge.engine.set_list_partial(false);
    assert_eq!(ids(&forge).await, [id]);
}

#[tokio::test]
async fn a_worker_that_exited_is_started_again_and_one_that_was_paused_is_replaced() {
    let (forge, spec, id) = forge_with_a_worker().await;
    let meddle = |how| forge.engine.meddle(forge.instance, spec.database, how);
    assert!(meddle(Meddling::Exit));
    assert_eq!(
        state(&forge, spec.database).await,
        Some(WorkerState::Exited)
    );
    assert_eq!(forge.runtime().ensure_running(&spec).await.unwrap(), id);

    assert!(meddle(Meddling::Pause));
    assert_eq!(
        state(&forge, spec.database).await,
        Some(WorkerState::Unhealthy)
    );
    let fresh = forge.runtime().ensure_running(&spec).await.unwrap();
    assert_ne!(fresh, id);
    assert_eq!(ids(&forge).await, [fresh]);
    assert_eq!(
        state(&forge, spec.database).await,
        Some(WorkerState::Healthy)
    );
}

#[tokio::test]
async fn an_unhealthy_worker_runs_and_stays_until_it_is_removed() {
    let (forge, spec, id) = forge_with_a_worker().await;
    forge
        .engine
        .meddle(forge.instance, spec.database, Meddling::Sicken);
    assert_eq!(forge.runtime().ensure_running(&spec).await.unwrap(), id);
    assert_eq!(
        state(&forge, spec.database).await,
        Some(WorkerState::Unhealthy)
    );
}

#[tokio::test]
async fn a_worker_removed_or_renamed_by_hand_is_told_as_it_is() {
    let (forge, spec, id) = forge_with_a_worker().await;
    let rename = Meddling::Rename("old-shop".to_owned());
    forge.engine.meddle(forge.instance, spec.database, rename);
    let listed = forge.runtime().list().await.unwrap();
    assert_eq!((&listed[0].id, listed[0].name.as_str()), (&id, "old-shop"));
    assert_eq!(forge.runtime().ensure_running(&spec).await.unwrap(), id);

    assert!(
        forge
            .engine
            .meddle(forge.instance, spec.database, Meddling::Remove)
    );
    assert_eq!(state(&forge, spec.database).await, None);
    assert!(
        !forge
            .engine
            .meddle(forge.instance, spec.database, Meddling::Remove)
    );
}

#[tokio::test]
async fn strays_are_listed_and_foreign_containers_are_not_touched() {
    let (forge, spec, _) = forge_with_a_worker().await;
    let unknown = DatabaseId(RandomIds.fresh());
    forge.engine.place_orphan(forge.instance, unknown, "orphan");
    let wanted = forge.spec("blog");
    forge.engine.place_foreign(&wanted.name);

    let listed = forge.runtime().list().await.unwrap();
    let databases: Vec<_> = listed.iter().map(|it| it.database).collect();
    assert_eq!(databases, [spec.database, unknown]);
    let refusal = forge.runtime().ensure_running(&wanted).await.unwrap_err();
    assert!(!refusal.is_transient(), "{refusal}");
    forge
        .runtime()
        .ensure_removed(wanted.database)
        .await
        .unwrap();
    assert_eq!(
        forge.engine.names(),
        [spec.name.as_str(), "orphan", &wanted.name]
    );
}

#[tokio::test]
async fn a_worker_of_another_forge_is_refused() {
    let forge = Simulated::new().await;
    let theirs = forge.neighbour().await.spec("shop");
    let refusal = forge.runtime().ensure_running(&theirs).await.unwrap_err();
    assert!(!refusal.is_transient(), "{refusal}");
}

#[tokio::test]
async fn a_held_start_is_starting_until_it_is_released() {
    let forge = Simulated::new().await;
    let spec = forge.spec("shop");
    forge.engine.hold_starts();
    forge.runtime().ensure_running(&spec).await.unwrap();
    assert_eq!(
        state(&forge, spec.database).await,
        Some(WorkerState::Starting)
    );
    forge.engine.release_starts();
    assert_eq!(
        state(&forge, spec.database).await,
        Some(WorkerState::Healthy)
    );
}

#[tokio::test]
async fn a_slow_engine_takes_its_time() {
    let forge = Simulated::new().await;
    let slow = Duration::from_millis(30);
    forge.engine.set_delay(slow);
    let watch = Stopwatch::start();
    forge.runtime().ping().await.unwrap();
    assert!(watch.elapsed() >= slow);
}

#[tokio::test]
async fn a_change_ticks_for_the_forge_it_happened_to_alone() {
    let (forge, spec, _) = forge_with_a_worker().await;
    let neighbour = forge.neighbour().await;
    let (mut ours, mut theirs) = (forge.runtime().changes(), neighbour.runtime().changes());
    forge
        .engine
        .meddle(forge.instance, spec.database, Meddling::Exit);
    assert_eq!(ours.next().now_or_never(), Some(Some(())));
    assert_eq!(ours.next().now_or_never(), None);
    assert_eq!(theirs.next().now_or_never(), None);
}
