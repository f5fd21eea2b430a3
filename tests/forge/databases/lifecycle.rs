//! Databases come, rest, go and come back.
use crate::support::test_forge::{INSTANCE, TestForge, create};
use dbforge::domain::command::Command;
use dbforge::domain::database::DatabaseState;
use dbforge::domain::job::JobState;
use dbforge::domain::verb::Verb;
use dbforge::runtime::simulated::Meddling;
use std::time::Duration;

#[tokio::test]
async fn a_created_database_has_a_folder_and_a_worker() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    assert_eq!(forge.database(database).state(), DatabaseState::Ready);
    assert_eq!(forge.folders("databases"), [database.to_string()]);
    assert_eq!(
        forge.kept.engine.names(),
        [forge.database(database).worker_name()]
    );
}

#[tokio::test]
async fn a_stopped_database_keeps_its_files_and_loses_its_worker() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    forge.submit(Verb::Stop.on(database)).await.unwrap();
    forge.settle().await;
    assert_eq!(forge.database(database).state(), DatabaseState::Stopped);
    assert!(forge.kept.engine.names().is_empty());
    assert_eq!(forge.folders("databases").len(), 1);

    forge.submit(Verb::Start.on(database)).await.unwrap();
    forge.settle().await;
    assert_eq!(forge.database(database).state(), DatabaseState::Ready);
    assert_eq!(forge.kept.engine.names().len(), 1);
}

#[tokio::test]
async fn a_deleted_database_waits_in_the_trash_and_comes_back() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    forge.submit(Verb::Delete.on(database)).await.unwrap();
    forge.settle().await;
    assert_eq!(forge.database(database).state(), DatabaseState::Trashed);
    assert!(forge.folders("databases").is_empty());
    assert_eq!(forge.folders("trash"), [database.to_string()]);
    assert!(forge.kept.engine.names().is_empty());

    forge.submit(Verb::Undelete.on(database)).await.unwrap();
    forge.settle().await;
    assert_eq!(forge.database(database).state(), DatabaseState::Ready);
    assert_eq!(forge.folders("databases"), [database.to_string()]);
    assert!(forge.folders("trash").is_empty());
}

#[tokio::test]
async fn a_purged_database_leaves_nothing_and_frees_its_name() {
    let forge = TestForge::new().await;
    let living = forge.ready("shop").await;
    let trashed = forge.ready("old").await;
    let delete = Verb::Delete.on(trashed);
    forge.submit(delete).await.unwrap();
    forge.settle().await;
    for database in [living, trashed] {
        forge.submit(Verb::Purge.on(database)).await.unwrap();
    }
    forge.settle().await;
    assert!(!forge.exists(living) && !forge.exists(trashed));
    assert!(forge.folders("databases").is_empty() && forge.folders("trash").is_empty());
    assert!(forge.kept.engine.names().is_empty());
    forge.ready("shop").await;
}

#[tokio::test]
async fn a_restarted_worker_is_another_one() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    let before = forge.database(database).worker.clone();
    forge.submit(Verb::Restart.on(database)).await.unwrap();
    forge.settle().await;
    assert_ne!(forge.database(database).worker, before);
    assert_eq!(forge.kept.engine.names().len(), 1);
}

#[tokio::test]
async fn time_moves_what_expired_to_the_trash_and_purges_the_trash() {
    let forge = TestForge::new().await;
    let mut with_ttl = create("shop");
    if let Command::CreateDatabase(it) = &mut with_ttl {
        it.ttl = Some(Duration::from_secs(60));
    }
    let accepted = forge.submit(with_ttl).await.unwrap();
    let database = accepted.database().unwrap();
    forge.settle().await;
    let stopped = forge.ready("kept").await;
    let stop = Verb::Stop.on(stopped);
    forge.submit(stop).await.unwrap();
    forge.settle().await;

    forge.kept.clock.advance(Duration::from_secs(61));
    let mut retention = dbforge::jobs::retention::Retention::default();
    retention.submit_due(&forge.control).await;
    forge.settle().await;
    assert_eq!(forge.database(database).state(), DatabaseState::Trashed);

    forge.kept.clock.advance(Duration::from_secs(7 * 86_400));
    retention.submit_due(&forge.control).await;
    forge.settle().await;
    assert!(!forge.exists(database));
    assert!(
        forge.exists(stopped),
        "a stopped database never ends by itself"
    );
}

#[tokio::test]
async fn many_creates_are_independent_of_one_that_cannot_start() {
    let forge = TestForge::new().await;
    forge.kept.engine.hold_starts();
    let (_, held) = forge.request("held").await;
    let runner = &forge.runner;
    // Its worker stays `starting`: moved as far as its health check.
    for _ in 0..4 {
        runner.move_once(held).await.unwrap();
    }
    forge.kept.engine.release_starts();
    for n in 0..50 {
        forge.request(&format!("db{n}")).await;
    }
    forge.settle().await;
    let current = forge.control.current();
    assert_eq!(current.state.jobs().count(), 0);
    assert_eq!(current.state.databases().count(), 51);
    assert_eq!(forge.job(held).await.state, JobState::Succeeded);
}

#[tokio::test]
async fn a_worker_made_anew_while_its_check_is_awaited_is_the_one_that_the_log_names() {
    let forge = TestForge::new().await;
    let engine = &forge.kept.engine;
    let (database, job) = forge.request("shop").await;
    while forge.database(database).worker.is_none() {
        forge.runner.move_once(job).await.unwrap();
    }
    assert!(engine.meddle(INSTANCE, database, Meddling::Remove));
    forge.settle().await;
    assert_eq!(forge.job(job).await.state, JobState::Succeeded);
    let workers = forge.job_context.runtime.list().await.unwrap();
    let [worker] = &workers[..] else {
        panic!("one worker: {workers:?}");
    };
    assert_eq!(forge.database(database).worker.as_ref(), Some(&worker.id));
}
