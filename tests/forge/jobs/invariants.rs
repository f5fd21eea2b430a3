//! What holds of jobs whatever people ask, whatever fails, whenever the gateway dies.
use crate::support::test_forge::TestForge;
use dbforge::domain::command::Command;
use dbforge::domain::database::Condition;
use dbforge::domain::event::{Event, EventKind};
use dbforge::domain::ids::{DatabaseId, JobId, Sequence};
use dbforge::domain::job::JobState;
use dbforge::domain::verb::Verb;
use dbforge::event_log::EventLog;
use dbforge::runtime::simulated::{Action, Fault};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Something that happens to a forge with three databases at most.
#[derive(Debug, Clone)]
enum Happening {
    Create(u8),
    Ask(u8, u8),
    Cancel(u8),
    Release(u8),
    /// One job is moved by one step, or refused that.
    Move(u8),
    /// The gateway dies and starts again.
    Crash,
    /// The next call of this sort goes wrong.
    Trouble(u8, u8),
    /// Time passes, in seconds.
    Wait(u8),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => (0..3u8).prop_map(Happening::Create),
        4 => (any::<u8>(), 0..6u8).prop_map(|(which, what)| Happening::Ask(which, what)),
        1 => any::<u8>().prop_map(Happening::Cancel),
        1 => any::<u8>().prop_map(Happening::Release),
        12 => any::<u8>().prop_map(Happening::Move),
        1 => Just(Happening::Crash),
        2 => (0..3u8, 0..4u8).prop_map(|(what, how)| Happening::Trouble(what, how)),
        2 => (1..40u8).prop_map(Happening::Wait),
    ]
}

fn pick<T: Copy>(them: &[T], which: u8) -> Option<T> {
    let place = usize::from(which).checked_rem(them.len())?;
    Some(them[place])
}

fn jobs(forge: &TestForge) -> Vec<JobId> {
    let current = forge.control.current();
    current.state.jobs().map(|it| it.id).collect()
}

fn databases(forge: &TestForge) -> Vec<DatabaseId> {
    let current = forge.control.current();
    current.state.databases().map(|it| it.id).collect()
}

async fn happen(forge: TestForge, happening: &Happening) -> TestForge {
    let command = match *happening {
        Happening::Create(name) => Some(crate::support::test_forge::create(&format!("db-{name}"))),
        Happening::Ask(which, what) => pick(&databases(&forge), which).map(|database| match what {
            0 => Verb::Stop.on(database),
            1 => Verb::Start.on(database),
            2 => Verb::Delete.on(database),
            3 => Verb::Undelete.on(database),
            4 => Verb::Purge.on(database),
            _ => Verb::Restart.on(database),
        }),
        Happening::Cancel(which) => {
            pick(&jobs(&forge), which).map(|job| Command::CancelJob { job })
        }
        Happening::Release(which) => {
            pick(&jobs(&forge), which).map(|job| Command::ReleaseJob { job })
        }
        Happening::Move(which) => {
            if let Some(job) = pick(&jobs(&forge), which) {
                // One whose turn it is not is refused; that is what this is about.
                let _ = forge.runner.move_once(job).await;
            }
            None
        }
        Happening::Crash => return forge.restart(),
        Happening::Trouble(what, how) => {
            let actions = [
                Action::EnsureRunning,
                Action::EnsureRemoved,
                Action::Inspect,
            ];
            let faults = [
                Fault::Refused,
                Fault::Failed,
                Fault::Unavailable,
                Fault::LostReply,
            ];
            let (action, fault) = (actions[usize::from(what)], faults[usize::from(how)]);
            forge.kept.engine.fail_next(action, fault, 1);
            None
        }
        Happening::Wait(seconds) => {
            let passed = std::time::Duration::from_secs(seconds.into());
            forge.kept.clock.advance(passed);
            None
        }
    };
    if let Some(command) = command {
        // Many are refused: that is an answer too.
        let _ = forge.submit(command).await;
    }
    forge
}

/// Follows the log: at most one begun and unfinished job in each database, nothing about a job
/// behind its end, and an end for each but those that `may_go_on`.
fn assert_log_is_right(log: &dyn EventLog, may_go_on: &BTreeSet<JobId>) {
    let mut under_way: BTreeMap<DatabaseId, JobId> = BTreeMap::new();
    let mut unfinished = BTreeSet::new();
    for recorded in log.read_after(Sequence(0), usize::MAX).unwrap() {
        if let Event::JobEnqueued(it) = &recorded.event {
            assert!(unfinished.insert(it.job), "one job begins once");
            continue;
        }
        let Some(job) = recorded.event.job() else {
            continue;
        };
        let database = recorded.event.database().unwrap();
        let kind = recorded.event.kind();
        assert!(
            unfinished.contains(&job),
            "{kind:?} behind the end of {job}"
        );
        if kind == EventKind::JobStarted {
            let other = under_way.insert(database, job);
            assert!(other.is_none_or(|it| it == job), "two run at once");
        }
        let ends = [
            EventKind::JobSucceeded,
            EventKind::JobFailed,
            EventKind::JobCancelled,
        ];
        if ends.contains(&kind) {
            unfinished.remove(&job);
            if under_way.get(&database) == Some(&job) {
                under_way.remove(&database);
            }
        }
    }
    assert_eq!(&unfinished, may_go_on);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_job_runs_per_database_and_every_job_ends_once_the_trouble_does(
        happenings in prop::collection::vec(happening(), 1..80),
    ) {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(async {
            let mut forge = TestForge::new().await;
            for it in &happenings {
                forge = happen(forge, it).await;
                assert_log_is_right(forge.kept.log.as_ref(), &jobs(&forge).into_iter().collect());
            }
            // Each round meets at least one of the troubles that are left.
            for _ in 0..=happenings.len() {
                forge.settle().await;
                for job in jobs(&forge) {
                    // Others wait behind a stuck one.
                    if forge.job(job).await.state == JobState::Stuck {
                        forge.submit(Command::ReleaseJob { job }).await.unwrap();
                    }
                }
            }
            assert_log_is_right(forge.kept.log.as_ref(), &BTreeSet::new());
            let workers = forge.kept.engine.names().len();
            let current = forge.control.current();
            let ready = current.state.databases().filter(|it| it.condition == Condition::Ready);
            assert_eq!(workers, ready.count(), "no worker without its database");
        });
    }
}
