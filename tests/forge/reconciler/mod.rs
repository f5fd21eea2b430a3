//! What should run, runs; what cannot be seen is left alone.
mod drift;
mod fleets;
mod surroundings;

use crate::support::test_forge::{INSTANCE, TestForge};
use dbforge::domain::command::{Command, DatabaseChange};
use dbforge::domain::database::{DatabaseState, Limits};
use dbforge::domain::verb::Verb;
use dbforge::jobs::reconciler::{Finding, PassError};
use dbforge::runtime::simulated::Meddling;
use std::time::Duration;

#[tokio::test]
async fn a_forge_as_it_should_be_asks_for_nothing() {
    let forge = TestForge::new().await;
    forge.ready("shop").await;
    assert_eq!(forge.reconcile().await, []);
    assert_eq!(forge.reconcile().await, []);
}

#[tokio::test]
async fn a_missing_worker_is_brought_back_once_it_was_missing_twice() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    forge
        .kept
        .engine
        .meddle(INSTANCE, database, Meddling::Remove);
    assert_eq!(forge.reconcile().await, []);
    let findings = forge.reconcile().await;
    assert!(
        matches!(findings[..], [Finding::Repair { .. }]),
        "{findings:?}"
    );
    assert_eq!(forge.kept.engine.names().len(), 1);
    assert_eq!(forge.reconcile().await, []);
}

#[tokio::test]
async fn a_worker_that_goes_missing_again_is_brought_back_after_its_back_off() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    for round in 0..2 {
        let engine = &forge.kept.engine;
        engine.meddle(INSTANCE, database, Meddling::Remove);
        forge.reconcile().await;
        let in_time = forge.reconcile().await;
        assert_eq!(in_time.len(), 1 - round, "the second repair has to wait");
    }
    assert_eq!(forge.reconcile().await, [], "it still has to");
    forge.kept.clock.advance(Duration::from_secs(5));
    assert_eq!(forge.reconcile().await.len(), 1, "one look is enough then");
}

#[tokio::test]
async fn an_exited_paused_or_failing_worker_is_replaced() {
    for meddling in [Meddling::Exit, Meddling::Pause, Meddling::Sicken] {
        let forge = TestForge::new().await;
        let database = forge.ready("shop").await;
        forge.kept.engine.meddle(INSTANCE, database, meddling);
        let findings = forge.reconcile().await;
        assert!(
            matches!(findings[..], [Finding::Repair { .. }]),
            "{findings:?}"
        );
        assert_eq!(forge.reconcile().await, []);
    }
}

#[tokio::test]
async fn a_renamed_worker_is_the_same_worker() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    forge
        .kept
        .engine
        .meddle(INSTANCE, database, Meddling::Rename("other".to_owned()));
    assert_eq!(forge.reconcile().await, []);
}

#[tokio::test]
async fn a_worker_that_always_ends_is_left_alone_in_the_end() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    for _ in 0..20 {
        forge.kept.engine.meddle(INSTANCE, database, Meddling::Exit);
        forge.reconcile().await;
        forge.kept.clock.advance(Duration::from_secs(120));
    }
    assert_eq!(forge.database(database).state(), DatabaseState::Degraded);
    assert_eq!(forge.reconcile().await, []);

    forge.submit(Verb::Restart.on(database)).await.unwrap();
    forge.settle().await;
    assert_eq!(forge.database(database).state(), DatabaseState::Ready);
}

#[tokio::test]
async fn other_settings_ask_for_another_worker() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    let change = DatabaseChange {
        limits: Some(Limits {
            cpu_millis: 1000,
            ..Limits::default()
        }),
        ..DatabaseChange::default()
    };
    forge
        .submit(Command::ChangeDatabase { database, change })
        .await
        .unwrap();
    assert_eq!(forge.reconcile().await.len(), 1);
    assert_eq!(forge.reconcile().await, []);
}

#[tokio::test]
async fn an_engine_that_is_away_or_tells_a_part_is_unknown_and_not_missing() {
    let forge = TestForge::new().await;
    forge.ready("shop").await;
    for _ in 0..3 {
        forge.kept.engine.set_away(true);
        let away = forge.reconciler.pass().await;
        assert!(matches!(away, Err(PassError::Unseen(_))), "{away:?}");
        forge.kept.engine.set_away(false);
        forge.kept.engine.set_list_partial(true);
        let partial = forge.reconciler.pass().await;
        assert!(matches!(partial, Err(PassError::Unseen(_))), "{partial:?}");
        forge.kept.engine.set_list_partial(false);
    }
    assert_eq!(forge.reconcile().await, []);
}

#[tokio::test]
async fn foreign_containers_are_never_touched() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    let foreign = forge.database(database).worker_name() + "-somebody-elses";
    forge.kept.engine.place_foreign(&foreign);
    forge.reconcile().await;
    forge.submit(Verb::Purge.on(database)).await.unwrap();
    forge.settle().await;
    assert_eq!(forge.kept.engine.names(), [foreign]);
}
