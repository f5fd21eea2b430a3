//! The reconciler on fleets in any state: it settles them, never ends too much at once, and does
//! nothing about what it does not see.
use crate::support::database as database_id;
use crate::support::test_forge::{INSTANCE, TestForge};
use dbforge::clock::timestamp::Timestamp;
use dbforge::domain::database::{Database, DatabaseState};
use dbforge::domain::ids::{DatabaseId, RequestId};
use dbforge::domain::state::State;
use dbforge::jobs::reconciler::{Finding, Look, Memory, ReconcilePlan, plan};
use dbforge::runtime::simulated::{Action, Fault, Meddling};
use dbforge::runtime::{Program, QUARANTINED, Worker, WorkerSpec, WorkerState};
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;
use uuid::Uuid;

const DATABASES: usize = 6;

/// A state with databases that are ready.
fn state() -> &'static State {
    static STATE: OnceLock<State> = OnceLock::new();
    STATE.get_or_init(|| {
        tokio().block_on(async {
            let forge = TestForge::new().await;
            for n in 0..DATABASES {
                forge.ready(&format!("shop-{n}")).await;
            }
            forge.control.current().state.clone()
        })
    })
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn spec_of(database: &Database) -> WorkerSpec {
    let folder = PathBuf::from(database.id.to_string());
    let no_request = RequestId(Uuid::nil());
    let program = Program::sleeping();
    WorkerSpec::of(database, INSTANCE, folder, no_request, program)
}

/// The engine as a list that a plan is carried out on.
#[derive(Debug, Clone)]
struct Fleet(Vec<Worker>);

impl Fleet {
    fn of(databases: &[Found], orphans: usize, quarantined: usize) -> Self {
        let known = state().databases().zip(databases);
        let mut workers: Vec<Worker> = known.filter_map(|(it, found)| found.of(it.id)).collect();
        workers.extend((0..orphans + quarantined).map(|n| {
            let name = format!("orphan-{n}");
            Worker {
                id: format!("id-of-{name}"),
                name: if n < orphans {
                    name
                } else {
                    format!("{QUARANTINED}{name}")
                },
                database: database_id(0x1_0000 + n as u64),
                spec: String::new(),
                state: WorkerState::Healthy,
            }
        }));
        Self(workers)
    }

    fn orphans(&self) -> usize {
        let is_orphan = |it: &&Worker| {
            state().database(it.database).is_none() && !it.name.starts_with(QUARANTINED)
        };
        self.0.iter().filter(is_orphan).count()
    }

    fn planned(&self, memory: &mut Memory, seconds: i64) -> ReconcilePlan {
        look(Some(self.0.clone()), memory, seconds)
    }

    fn apply(&mut self, plan: &ReconcilePlan) {
        for finding in &plan.findings {
            match finding {
                Finding::Repair { database, .. } => {
                    self.0.retain(|it| it.database != *database);
                    self.0.extend(Found::Well.of(*database));
                }
                Finding::Quarantine { worker, .. } => {
                    let it = self.0.iter_mut().find(|it| it.id == *worker).unwrap();
                    it.name = format!("{QUARANTINED}{}", it.name);
                    it.state = WorkerState::Exited;
                }
                other => panic!("nothing here asks for {other}"),
            }
        }
    }
}

fn look(workers: Option<Vec<Worker>>, memory: &mut Memory, seconds: i64) -> ReconcilePlan {
    let seen = Look {
        workers,
        ..Look::default()
    };
    let now = Timestamp::from_millis(1_772_366_400_000 + seconds * 1000);
    let wanted = |database: &Database| Some(spec_of(database).hash());
    plan(state(), &seen, state(), &wanted, memory, now)
}

/// How one database's worker is found.
#[derive(Debug, Clone, Copy)]
enum Found {
    Well,
    Starting,
    Missing,
    Exited,
    Unhealthy,
    OfOtherSettings,
}

impl Found {
    fn of(self, database: DatabaseId) -> Option<Worker> {
        let database = state().database(database)?;
        let spec = spec_of(database);
        let (state, hash) = match self {
            Self::Missing => return None,
            Self::Well => (WorkerState::Healthy, spec.hash()),
            Self::Starting => (WorkerState::Starting, spec.hash()),
            Self::Exited => (WorkerState::Exited, spec.hash()),
            Self::Unhealthy => (WorkerState::Unhealthy, spec.hash()),
            Self::OfOtherSettings => (WorkerState::Healthy, "of other settings".to_owned()),
        };
        Some(Worker {
            id: format!("id-of-{}", database.id),
            name: spec.name,
            database: database.id,
            spec: hash,
            state,
        })
    }
}

fn any_found() -> impl Strategy<Value = Found> {
    prop_oneof![
        Just(Found::Well),
        Just(Found::Starting),
        Just(Found::Missing),
        Just(Found::Exited),
        Just(Found::Unhealthy),
        Just(Found::OfOtherSettings),
    ]
}

fn any_fleet() -> impl Strategy<Value = Fleet> {
    let databases = prop::collection::vec(any_found(), DATABASES);
    (databases, 0_usize..40, 0_usize..40)
        .prop_map(|(databases, orphans, settled)| Fleet::of(&databases, orphans, settled))
}

/// The disruption limit of a fleet of this size.
fn bound(workers: usize) -> usize {
    3.max(workers / 10)
}

proptest! {
    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_plan(mut fleet in any_fleet()) {
        let mut memory = Memory::default();
        let (orphans, size) = (fleet.orphans(), fleet.0.len());
        // Two looks settle every database's worker.
        for seconds in [0, 1] {
            let plan = fleet.planned(&mut memory, seconds);
            fleet.apply(&plan);
        }
        prop_assert_eq!(fleet.orphans(), orphans, "no orphan is ended at first sight");
        let settled = fleet.planned(&mut memory, 2);
        prop_assert_eq!(&settled.findings, &[]);
        prop_assert_eq!(settled.waiting.len(), orphans, "orphans alone wait");

        for minute in 1..=6 {
            let plan = fleet.planned(&mut memory, minute * 60);
            prop_assert!(plan.findings.len() <= bound(fleet.0.len()), "the disruption limit holds");
            fleet.apply(&plan);
        }
        let last = fleet.planned(&mut memory, 361);
        prop_assert_eq!(&last.findings, &[]);
        prop_assert_eq!(&last.waiting, &[]);
        // A repair may have added a worker that was missing.
        let (small, large) = (bound(size), bound(size + DATABASES));
        if orphans <= small {
            prop_assert_eq!(last, ReconcilePlan::default());
        } else if orphans > large {
            prop_assert_eq!(last.halted.len(), orphans, "more than that is none");
            prop_assert_eq!(fleet.orphans(), orphans);
        }
    }

    #[test]
    fn what_is_not_seen_wholly_changes_nothing(
        mut fleet in any_fleet(),
        looks in prop::collection::vec((any::<bool>(), -100_000_i64..100_000), 1..20),
    ) {
        let mut memory = Memory::default();
        let mut seconds = 200_000;
        let mut seen = 0;
        for (is_seen, step) in looks {
            seconds = (seconds + step).max(0);
            if !is_seen {
                prop_assert_eq!(look(None, &mut memory, seconds), ReconcilePlan::default());
                continue;
            }
            seen += 1;
            let orphans = fleet.orphans();
            let plan = fleet.planned(&mut memory, seconds);
            let missing = |it: &Finding| {
                matches!(it, Finding::Repair { finding, .. } if finding.ends_with("it is missing"))
            };
            if seen == 1 {
                prop_assert!(!plan.findings.iter().any(missing), "missing once");
            }
            let ended = plan.findings.iter().filter(|it| matches!(it, Finding::Quarantine { .. }));
            let ended = ended.count();
            // Five minutes at no more than two for each look.
            prop_assert!(ended == 0 || seen > 3, "{} looks", seen);
            prop_assert!(ended <= bound(fleet.0.len()));
            fleet.apply(&plan);
            prop_assert_eq!(fleet.orphans(), orphans - ended);
        }
    }
}

/// What happens to a forge on a simulated engine.
#[derive(Debug, Clone)]
enum Fate {
    Meddle(usize, Meddling),
    Orphan,
    Foreign,
    Away(bool),
    Partial(bool),
    Fail(Action, Fault),
    Wait(u64),
    Restart,
}

fn any_fate() -> impl Strategy<Value = Fate> {
    let meddling = prop_oneof![
        Just(Meddling::Exit),
        Just(Meddling::Sicken),
        Just(Meddling::Pause),
        Just(Meddling::Remove),
        Just(Meddling::Rename("renamed".to_owned())),
    ];
    let action = prop_oneof![
        Just(Action::EnsureRunning),
        Just(Action::Inspect),
        Just(Action::List),
        Just(Action::Quarantine),
    ];
    let fault = prop_oneof![Just(Fault::Unavailable), Just(Fault::LostReply)];
    prop_oneof![
        4 => (0..3_usize, meddling).prop_map(|(n, how)| Fate::Meddle(n, how)),
        1 => Just(Fate::Orphan),
        1 => Just(Fate::Foreign),
        1 => any::<bool>().prop_map(Fate::Away),
        1 => any::<bool>().prop_map(Fate::Partial),
        2 => (action, fault).prop_map(|(action, fault)| Fate::Fail(action, fault)),
        2 => (0..400_u64).prop_map(Fate::Wait),
        1 => Just(Fate::Restart),
    ]
}

/// Lets it all happen, with a look behind each, and then leaves the forge in peace for an hour.
async fn suffer(fates: Vec<Fate>) {
    let mut forge = TestForge::new().await;
    let engine = forge.kept.engine.clone();
    let mut databases = Vec::new();
    for n in 0..3 {
        databases.push(forge.ready(&format!("shop-{n}")).await);
    }
    let (mut orphans, mut foreign) = (0, 0);
    for fate in fates {
        match fate {
            Fate::Meddle(n, how) => drop(engine.meddle(INSTANCE, databases[n], how)),
            Fate::Orphan => {
                orphans += 1;
                let nobody = database_id(0x1_0000 + orphans);
                engine.place_orphan(INSTANCE, nobody, &format!("orphan-{orphans}"));
            }
            Fate::Foreign => {
                foreign += 1;
                engine.place_foreign(&format!("foreign-{foreign}"));
            }
            Fate::Away(it) => engine.set_away(it),
            Fate::Partial(it) => engine.set_list_partial(it),
            Fate::Fail(action, fault) => engine.fail_next(action, fault, 1),
            Fate::Wait(seconds) => forge.kept.clock.advance(Duration::from_secs(seconds)),
            Fate::Restart => forge = forge.restart(),
        }
        let before = engine.names();
        let unseen = forge.reconciler.pass().await.is_err();
        assert!(!unseen || engine.names() == before, "unseen, and touched");
        let foreigners = |it: &&String| it.starts_with("foreign-");
        assert_eq!(engine.names().iter().filter(foreigners).count(), foreign);
        if !unseen {
            forge.settle().await;
        }
    }
    engine.set_away(false);
    engine.set_list_partial(false);
    for _ in 0..60 {
        forge.kept.clock.advance(Duration::from_secs(60));
        // Faults that were ordered and not yet met come now.
        let _ = forge.reconciler.pass().await;
        forge.settle().await;
    }
    let pass = forge.job_context.worker_status.drift.last();
    assert_eq!(pass.plan.findings, []);
    assert_eq!(pass.plan.waiting, []);
    let workers = forge.job_context.runtime.list().await.unwrap();
    for database in databases {
        let state = forge.database(database).state();
        let its: Vec<_> = workers
            .iter()
            .filter(|it| it.database == database)
            .collect();
        assert_eq!(its.len(), 1, "{its:?}");
        let is_well = state == DatabaseState::Ready && its[0].state == WorkerState::Healthy;
        assert!(is_well || state == DatabaseState::Degraded, "{its:?}");
    }
    let kept = workers.iter().filter(|it| it.name.contains("orphan-"));
    assert_eq!(kept.count() as u64, orphans, "no orphan is ever removed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_forge_settles_whatever_happened_to_its_engine(
        fates in prop::collection::vec(any_fate(), 0..25),
    ) {
        tokio().block_on(suffer(fates));
    }
}
