//! What stands beside a forge, and what it stands on: neighbours, an engine that comes and goes, a
//! log that takes no more events.
use crate::support::database as database_id;
use crate::support::faulty_log::FaultyLog;
use crate::support::http::HttpForge;
use crate::support::test_forge::{INSTANCE, Kept, TestForge, create};
use dbforge::domain::database::DatabaseState;
use dbforge::domain::ids::InstanceId;
use dbforge::event_log::AppendError;
use dbforge::jobs::reconciler::PassError;
use dbforge::runtime::simulated::{Action, Fault, Meddling};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const NEIGHBOUR: InstanceId = InstanceId(Uuid::from_u128(0xf1));

#[tokio::test]
async fn two_forges_on_one_engine_repair_and_set_aside_their_own_alone() {
    let ours = TestForge::new().await;
    let theirs = TestForge::found(ours.kept.neighbour(NEIGHBOUR)).await;
    let engine = ours.kept.engine.clone();
    let (shop, store) = (ours.ready("shop").await, theirs.ready("store").await);
    engine.place_orphan(NEIGHBOUR, database_id(0x57), "their-orphan");
    engine.meddle(NEIGHBOUR, store, Meddling::Exit);
    engine.meddle(INSTANCE, shop, Meddling::Remove);

    for _ in 0..3 {
        ours.reconcile().await;
    }
    ours.watch(Duration::from_secs(600)).await;
    let names = engine.names();
    assert!(names.contains(&"their-orphan".to_owned()), "{names:?}");
    let of = |forge: &TestForge| {
        let runtime = forge.job_context.runtime.clone();
        async move { runtime.list().await.unwrap() }
    };
    let listed = of(&theirs).await;
    assert_eq!(
        listed[0].state.as_str(),
        "exited",
        "it is not ours to start"
    );
    assert_eq!(of(&ours).await.len(), 1);

    theirs.reconcile().await;
    theirs.watch(Duration::from_secs(300)).await;
    let (orphans, workers): (Vec<_>, Vec<_>) = of(&theirs)
        .await
        .into_iter()
        .partition(|it| it.is_quarantined());
    assert_eq!(orphans.len(), 1);
    assert_eq!(workers[0].state.as_str(), "healthy");
    assert_eq!(ours.reconcile().await, []);
}

#[tokio::test]
async fn an_engine_that_went_away_and_lost_everything_is_filled_again() {
    let forge = TestForge::new().await;
    let mut databases = Vec::new();
    for n in 0..12 {
        databases.push(forge.ready(&format!("shop-{n}")).await);
    }
    let engine = forge.kept.engine.clone();
    engine.set_away(true);
    for _ in 0..3 {
        let pass = forge.reconciler.pass().await;
        assert!(matches!(pass, Err(PassError::Unseen(_))), "{pass:?}");
    }
    for database in &databases {
        engine.meddle(INSTANCE, *database, Meddling::Remove);
    }
    engine.set_away(false);
    // The first worker fails to start; its job tries again.
    engine.fail_next(Action::EnsureRunning, Fault::LostReply, 1);
    assert_eq!(forge.reconcile().await, [], "missing once is no reason");
    assert_eq!(forge.reconcile().await.len(), 12, "repairs are not limited");
    assert_eq!(engine.names().len(), 12);
    for database in databases {
        assert_eq!(forge.database(database).state(), DatabaseState::Ready);
    }
    assert_eq!(forge.reconcile().await, []);
}

#[tokio::test]
async fn a_log_that_takes_no_events_switches_the_reconciler_off() {
    let log = Arc::new(FaultyLog::default());
    let kept = Kept {
        log: log.clone(),
        ..Kept::new()
    };
    let forge = HttpForge::found(kept).await;
    let database = forge.ready("shop").await;
    let engine = forge.kept.engine.clone();
    engine.place_orphan(INSTANCE, database_id(0x57), "orphan");
    engine.meddle(INSTANCE, database, Meddling::Exit);
    let reason = "the journal and its copy tell different stories".to_owned();
    log.set(AppendError::ReadOnly { reason });
    // Whoever tries to write next learns of it.
    forge.submit(create("other")).await.unwrap_err();
    for _ in 0..12 {
        let pass = forge.reconciler.pass().await;
        assert!(matches!(pass, Err(PassError::ReadOnly)), "{pass:?}");
        forge.kept.clock.advance(Duration::from_secs(60));
    }
    let drift = forge.get("/v1/drift").await.json();
    assert!(
        drift["trouble"].as_str().unwrap().contains("read-only"),
        "{drift}"
    );
    assert!(engine.names().contains(&"orphan".to_owned()));
    let workers = forge.job_context.runtime.list().await.unwrap();
    assert!(workers.iter().any(|it| it.state.as_str() == "exited"));
}
