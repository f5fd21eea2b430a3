//! What every runtime has to do. One suite; each runtime runs it through a [`TestForge`].
use dbforge::domain::ids::DatabaseId;
use dbforge::runtime::{Runtime, Worker, WorkerSpec, WorkerState};
use futures_util::future::join_all;
use std::time::Duration;

/// A forge of one's own, with its runtime.
pub(crate) trait TestForge: Sized {
    /// A fresh forge.
    fn new() -> impl Future<Output = Self>;
    /// Another forge on the same engine, where there is one.
    fn neighbour(&self) -> impl Future<Output = Self>;
    /// Its runtime.
    fn runtime(&self) -> &dyn Runtime;
    /// A worker for a fresh database, whose folder and file are there.
    fn spec(&self, name: &str) -> WorkerSpec;
}

/// Makes one test of each behaviour.
macro_rules! runtime_contract {
    ($forge:ty) => {
        $crate::support::runtime_contract::runtime_contract!(@each $forge:
            the_engine_answers
            a_worker_that_was_started_becomes_healthy
            a_worker_tells_its_name_its_database_and_its_spec
            starting_twice_is_starting_once
            starting_from_two_sides_at_once_leaves_one_worker
            a_worker_of_another_spec_is_replaced
            another_request_is_no_other_spec
            a_removed_worker_is_gone_and_may_be_removed_again
            a_removed_worker_can_be_started_anew
            a_database_without_a_worker_has_none
            many_start_at_once_and_all_are_listed
            removing_one_leaves_the_others
            two_forges_do_not_see_each_others_workers
            a_quarantined_worker_runs_no_more_and_twice_is_once
            a_worker_is_removed_by_its_id_only_from_quarantine
            no_forge_quarantines_or_removes_anothers_worker
        );
    };
    (@each $forge:ty: $($behaviour:ident)*) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                let forge = <$forge as $crate::support::runtime_contract::TestForge>::new().await;
                $crate::support::runtime_contract::$behaviour(&forge).await;
            }
        )*
    };
}
pub(crate) use runtime_contract;

pub(crate) async fn the_engine_answers(forge: &impl TestForge) {
    forge.runtime().ping().await.unwrap();
}

pub(crate) async fn a_worker_that_was_started_becomes_healthy(forge: &impl TestForge) {
    let spec = forge.spec("shop");
    forge.runtime().ensure_running(&spec).await.unwrap();
    until_healthy(forge, spec.database).await;
    let listed = forge.runtime().list().await.unwrap();
    assert_eq!(listed[0].state, WorkerState::Healthy);
}

pub(crate) async fn a_worker_tells_its_name_its_database_and_its_spec(forge: &impl TestForge) {
    let spec = forge.spec("shop");
    let id = forge.runtime().ensure_running(&spec).await.unwrap();
    let worker = inspect(forge, spec.database).await.unwrap();
    assert_eq!(worker.id, id);
    assert_eq!(worker.name, spec.name);
    assert_eq!(worker.database, spec.database);
    assert_eq!(worker.spec, spec.hash());
}

pub(crate) async fn starting_twice_is_starting_once(forge: &impl TestForge) {
    let spec = forge.spec("shop");
    let first = forge.runtime().ensure_running(&spec).await.unwrap();
    let second = forge.runtime().ensure_running(&spec).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(ids(forge).await, [first]);
}

pub(crate) async fn starting_from_two_sides_at_once_leaves_one_worker(forge: &impl TestForge) {
    let spec = forge.spec("shop");
    let runtime = forge.runtime();
    let sides = join_all([runtime.ensure_running(&spec), runtime.ensure_running(&spec)]).await;
    assert!(sides.iter().any(Result::is_ok), "{sides:?}");
    for error in sides.into_iter().filter_map(Result::err) {
        assert!(
            error.is_transient(),
            "the one that came late may try again: {error}"
        );
    }
    let id = runtime.ensure_running(&spec).await.unwrap();
    assert_eq!(ids(forge).await, [id]);
}

pub(crate) async fn a_worker_of_another_spec_is_replaced(forge: &impl TestForge) {
    let small = forge.spec("shop");
    forge.runtime().ensure_running(&small).await.unwrap();
    let large = WorkerSpec {
        memory_bytes: small.memory_bytes * 2,
        ..small
    };
    let id = forge.runtime().ensure_running(&large).await.unwrap();
    let listed = forge.runtime().list().await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0].id, id);
    assert_eq!(listed[0].spec, large.hash());
}

pub(crate) async fn another_request_is_no_other_spec(forge: &impl TestForge) {
    let spec = forge.spec("shop");
    let first = forge.runtime().ensure_running(&spec).await.unwrap();
    let again = WorkerSpec {
        request: forge.spec("other").request,
        ..spec
    };
    assert_eq!(forge.runtime().ensure_running(&again).await.unwrap(), first);
}

pub(crate) async fn a_removed_worker_is_gone_and_may_be_removed_again(forge: &impl TestForge) {
    let spec = forge.spec("shop");
    forge.runtime().ensure_running(&spec).await.unwrap();
    for _ in 0..2 {
        forge.runtime().ensure_removed(spec.database).await.unwrap();
        assert_eq!(inspect(forge, spec.database).await, None);
        assert_eq!(ids(forge).await, [""; 0]);
    }
}

pub(crate) async fn a_removed_worker_can_be_started_anew(forge: &impl TestForge) {
    let spec = forge.spec("shop");
    forge.runtime().ensure_running(&spec).await.unwrap();
    forge.runtime().ensure_removed(spec.database).await.unwrap();
    let id = forge.runtime().ensure_running(&spec).await.unwrap();
    assert_eq!(ids(forge).await, [id]);
    until_healthy(forge, spec.database).await;
}

pub(crate) async fn a_database_without_a_worker_has_none(forge: &impl TestForge) {
    let nobody = forge.spec("nobody").database;
    assert_eq!(inspect(forge, nobody).await, None);
    forge.runtime().ensure_removed(nobody).await.unwrap();
}

pub(crate) async fn many_start_at_once_and_all_are_listed(forge: &impl TestForge) {
    let specs: Vec<_> = (0..8).map(|n| forge.spec(&format!("shop-{n}"))).collect();
    let started = join_all(specs.iter().map(|it| forge.runtime().ensure_running(it))).await;
    let mut started: Vec<_> = started.into_iter().map(Result::unwrap).collect();
    started.sort();
    assert_eq!(ids(forge).await, started);
}

pub(crate) async fn removing_one_leaves_the_others(forge: &impl TestForge) {
    let (gone, stays) = (forge.spec("gone"), forge.spec("stays"));
    forge.runtime().ensure_running(&gone).await.unwrap();
    let id = forge.runtime().ensure_running(&stays).await.unwrap();
    forge.runtime().ensure_removed(gone.database).await.unwrap();
    assert_eq!(ids(forge).await, [id]);
}

pub(crate) async fn two_forges_do_not_see_each_others_workers(forge: &impl TestForge) {
    let neighbour = forge.neighbour().await;
    let (ours, theirs) = (forge.spec("shop"), neighbour.spec("shop"));
    let id = forge.runtime().ensure_running(&ours).await.unwrap();
    let their_id = neighbour.runtime().ensure_running(&theirs).await.unwrap();
    assert_eq!(ids(forge).await, [id.as_str()]);
    assert_eq!(ids(&neighbour).await, [their_id.as_str()]);

    assert_eq!(inspect(forge, theirs.database).await, None);
    forge
        .runtime()
        .ensure_removed(theirs.database)
        .await
        .unwrap();
    assert_eq!(ids(&neighbour).await, [their_id]);
}

pub(crate) async fn a_quarantined_worker_runs_no_more_and_twice_is_once(forge: &impl TestForge) {
    let (orphan, stays) = (forge.spec("orphan"), forge.spec("stays"));
    let id = forge.runtime().ensure_running(&orphan).await.unwrap();
    let other = forge.runtime().ensure_running(&stays).await.unwrap();
    let mut names = Vec::new();
    for _ in 0..2 {
        forge.runtime().quarantine(&id).await.unwrap();
        let listed = forge.runtime().list().await.unwrap();
        assert!(
            listed
                .iter()
                .any(|it| it.id == other && !it.is_quarantined())
        );
        // A runtime whose workers hold nothing to look at may forget it instead.
        let its = listed.into_iter().filter(|it| it.id == id);
        let its: Vec<_> = its.collect();
        assert!(its.iter().all(|it| it.is_quarantined()), "{its:?}");
        assert!(
            its.iter().all(|it| it.state == WorkerState::Exited),
            "{its:?}"
        );
        names.push(its.into_iter().map(|it| it.name).collect::<Vec<_>>());
    }
    assert_eq!(names[0], names[1], "a second time gives no second name");
    forge.runtime().quarantine("of-nobody").await.unwrap();
}

pub(crate) async fn a_worker_is_removed_by_its_id_only_from_quarantine(forge: &impl TestForge) {
    let spec = forge.spec("shop");
    let id = forge.runtime().ensure_running(&spec).await.unwrap();
    if let Err(refusal) = forge.runtime().remove_quarantined(&id).await {
        assert!(!refusal.is_transient(), "{refusal}");
    }
    assert_eq!(ids(forge).await, [id.as_str()]);
    forge.runtime().quarantine(&id).await.unwrap();
    for _ in 0..2 {
        forge.runtime().remove_quarantined(&id).await.unwrap();
        assert_eq!(ids(forge).await, [""; 0]);
    }
}

pub(crate) async fn no_forge_quarantines_or_removes_anothers_worker(forge: &impl TestForge) {
    let neighbour = forge.neighbour().await;
    let theirs = neighbour.spec("shop");
    let id = neighbour.runtime().ensure_running(&theirs).await.unwrap();
    let before = inspect(&neighbour, theirs.database).await.unwrap();
    forge.runtime().quarantine(&id).await.unwrap();
    forge.runtime().remove_quarantined(&id).await.unwrap();
    let after = inspect(&neighbour, theirs.database).await.unwrap();
    assert_eq!((before.id, before.name), (after.id, after.name));
    assert_ne!(after.state, WorkerState::Exited);
    neighbour.runtime().quarantine(&id).await.unwrap();
    let listed = ids(&neighbour).await;
    forge.runtime().remove_quarantined(&id).await.unwrap();
    assert_eq!(ids(&neighbour).await, listed, "theirs to remove");
}

/// Longer than any start takes, and than Docker waits before a check of its own (30 s); a test
/// that gets here has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until the database's worker is healthy.
pub(crate) async fn until_healthy(forge: &impl TestForge, database: DatabaseId) {
    until(forge, database, WorkerState::Healthy).await;
}

/// Looks until the database's worker is in this state.
pub(crate) async fn until(forge: &impl TestForge, database: DatabaseId, state: WorkerState) {
    let looked = async {
        while inspect(forge, database).await.map(|it| it.state) != Some(state) {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(PATIENCE, looked).await.is_err() {
        let seen = inspect(forge, database).await;
        panic!("no worker in state `{}`: {seen:?}", state.as_str());
    }
}

async fn inspect(forge: &impl TestForge, database: DatabaseId) -> Option<Worker> {
    forge.runtime().inspect(database).await.unwrap()
}

/// The ids of all that are listed, in order.
pub(crate) async fn ids(forge: &impl TestForge) -> Vec<String> {
    let listed = forge.runtime().list().await.unwrap();
    let mut ids: Vec<_> = listed.into_iter().map(|it| it.id).collect();
    ids.sort();
    ids
}
