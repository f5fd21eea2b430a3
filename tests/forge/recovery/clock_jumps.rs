//! A machine's clock may jump: the log's times never go back, nothing ends before it is due, and
//! the reconciler is neither hurried nor held up.
use crate::support::database as database_id;
use crate::support::test_forge::{INSTANCE, TestForge, create};
use dbforge::clock::timestamp::Timestamp;
use dbforge::domain::command::Command;
use dbforge::domain::database::DatabaseState;
use dbforge::domain::ids::{DatabaseId, Sequence};
use dbforge::domain::verb::Verb;
use dbforge::jobs::retention::Retention;
use dbforge::runtime::simulated::Meddling;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn set_back(forge: &TestForge, by: Duration) {
    let now = forge.job_context.control.clock().now();
    let back = now.millis() - i64::try_from(by.as_millis()).unwrap();
    forge.kept.clock.set(Timestamp::from_millis(back));
}

async fn with_ttl(forge: &TestForge, name: &str, ttl: Duration) -> DatabaseId {
    let Command::CreateDatabase(mut wanted) = create(name) else {
        unreachable!("what it makes")
    };
    wanted.ttl = Some(ttl);
    let accepted = forge.submit(Command::CreateDatabase(wanted)).await.unwrap();
    forge.settle().await;
    accepted.database().unwrap()
}

async fn expire(forge: &TestForge) {
    Retention::default().submit_due(&forge.control).await;
    forge.settle().await;
}

#[tokio::test]
async fn the_logs_times_never_go_back() {
    let forge = TestForge::new().await;
    forge.ready("before").await;
    for (n, jump) in [10, 1, 100].into_iter().enumerate() {
        set_back(&forge, HOUR * jump);
        forge.ready(&format!("back-{n}")).await;
        forge.kept.clock.advance(HOUR * 2);
        forge.ready(&format!("ahead-{n}")).await;
    }
    let events = forge.kept.log.read_after(Sequence(0), 10_000).unwrap();
    let times: Vec<_> = events.iter().map(|it| it.commit.time).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_ends_what_is_due_and_nothing_else() {
    let forge = TestForge::new().await;
    let short = with_ttl(&forge, "short", HOUR).await;
    let long = with_ttl(&forge, "long", HOUR * 24).await;
    let stopped = with_ttl(&forge, "stopped", HOUR).await;
    let endless = forge.ready("endless").await;
    let trashed = forge.ready("trashed").await;
    for command in [Verb::Stop.on(stopped), Verb::Delete.on(trashed)] {
        forge.submit(command).await.unwrap();
    }
    forge.settle().await;

    set_back(&forge, HOUR * 5);
    expire(&forge).await;
    assert_eq!(forge.database(short).state(), DatabaseState::Ready);

    forge.kept.clock.advance(HOUR * 12);
    expire(&forge).await;
    let is = |id| forge.database(id).state();
    assert_eq!(is(short), DatabaseState::Trashed);
    assert_eq!(is(long), DatabaseState::Ready);
    assert_eq!(is(stopped), DatabaseState::Trashed, "stopped or not");
    assert_eq!(is(endless), DatabaseState::Ready);
    assert!(
        forge.exists(trashed),
        "its week in the trash has not passed"
    );
    assert_eq!(forge.reconcile().await, []);
}

#[tokio::test]
async fn a_back_off_is_neither_skipped_nor_prolonged_by_a_jump() {
    for jump_back in [true, false] {
        let forge = TestForge::new().await;
        let database = forge.ready("shop").await;
        let engine = forge.kept.engine.clone();
        let end_and_look = async || {
            engine.meddle(INSTANCE, database, Meddling::Exit);
            forge.reconcile().await.len()
        };
        // Waits of 0, 5, 10 and 20 s lie behind it; the next one is 40 s.
        for wait in [0, 5, 10, 20] {
            forge.kept.clock.advance(Duration::from_secs(wait));
            assert_eq!(end_and_look().await, 1);
        }
        if jump_back {
            set_back(&forge, HOUR * 10);
            assert_eq!(end_and_look().await, 0, "nothing has passed");
            forge.kept.clock.advance(Duration::from_secs(39));
            assert_eq!(end_and_look().await, 0);
            forge.kept.clock.advance(Duration::from_secs(1));
        } else {
            // One look counts for two minutes at most: that is more than the wait.
            forge.kept.clock.advance(HOUR * 10);
        }
        assert_eq!(end_and_look().await, 1);
        assert_eq!(forge.database(database).state(), DatabaseState::Ready);
    }
}

#[tokio::test]
async fn a_jump_forgives_no_worker_that_was_replaced_just_now() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    for _ in 0..6 {
        forge.kept.engine.meddle(INSTANCE, database, Meddling::Exit);
        forge.reconcile().await;
        // A night passes between two looks, and it is well in each.
        forge.kept.clock.advance(HOUR * 8);
        forge.reconcile().await;
    }
    let degraded = forge.database(database).degraded.clone();
    assert!(degraded.is_some(), "five repairs in a row did not help");
}

#[tokio::test]
async fn no_grace_passes_unwatched() {
    let forge = TestForge::new().await;
    let engine = forge.kept.engine.clone();
    engine.place_orphan(INSTANCE, database_id(0x57), "orphan");
    forge.reconcile().await;
    forge.kept.clock.advance(HOUR * 10);
    assert_eq!(forge.reconcile().await, [], "two minutes of five");
    set_back(&forge, HOUR * 20);
    assert_eq!(forge.reconcile().await, []);
    assert_eq!(engine.names(), ["orphan"]);
    forge.watch(Duration::from_secs(179)).await;
    assert_eq!(engine.names(), ["orphan"]);
    forge.watch(Duration::from_secs(1)).await;
    assert_eq!(engine.names(), ["quarantined-orphan"]);
}
