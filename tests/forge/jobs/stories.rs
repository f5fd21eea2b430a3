//! The story of every kind of job: how it comes about, and what must be true when it is over.
use crate::support::log_copy::copy_of;
use crate::support::test_forge::{Kept, TestForge};
use dbforge::domain::command::Command;
use dbforge::domain::database::DatabaseState;
use dbforge::domain::ids::{DatabaseId, JobId};
use dbforge::domain::verb::Verb;

/// Every kind of job a person can ask for, from the state it begins in.
pub(crate) const STORIES: &[(&str, &[&str])] = &[
    ("create", &[]),
    ("stop", &["create"]),
    ("start", &["create", "stop"]),
    ("delete", &["create"]),
    ("undelete", &["create", "delete"]),
    ("purge", &["create"]),
    ("purge", &["create", "delete"]),
    ("restart", &["create"]),
    ("repair", &["create"]),
];

pub(crate) async fn ask(forge: &TestForge, what: &str) -> JobId {
    if what == "create" {
        return forge.request("shop").await.1;
    }
    let database = only_database(forge).unwrap();
    let command = match what {
        "stop" => Verb::Stop.on(database),
        "start" => Verb::Start.on(database),
        "delete" => Verb::Delete.on(database),
        "undelete" => Verb::Undelete.on(database),
        "purge" => Verb::Purge.on(database),
        "restart" => Verb::Restart.on(database),
        "repair" => Command::RepairWorker {
            database,
            finding: "a test says so".to_owned(),
        },
        other => panic!("no such command: {other}"),
    };
    forge.submit(command).await.unwrap().job().unwrap()
}

pub(crate) fn only_database(forge: &TestForge) -> Option<DatabaseId> {
    let current = forge.control.current();
    current.state.databases().next().map(|it| it.id)
}

/// Every story, on databases of this process and on some that their workers serve.
pub(crate) fn stories() -> impl Iterator<Item = (Told, &'static str)> {
    let engines: [fn() -> Kept; 2] = [Kept::new, Kept::with_fake_engine];
    engines.into_iter().flat_map(|kept| {
        let stories = STORIES.iter();
        stories.map(move |(what, before)| (Told { kept, before }, *what))
    })
}

/// What was before a story.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    kept: fn() -> Kept,
    pub(crate) before: &'static [&'static str],
}

impl Told {
    /// A forge to which that has happened.
    pub(crate) async fn forge(self) -> TestForge {
        tell((self.kept)(), self.before).await
    }
}

/// A forge with SQLite's databases to which that has happened.
pub(crate) async fn told(before: &[&str]) -> TestForge {
    tell(Kept::new(), before).await
}

async fn tell(kept: Kept, before: &[&str]) -> TestForge {
    let forge = TestForge::found(kept).await;
    for what in before {
        ask(&forge, what).await;
        forge.settle().await;
    }
    forge
}

/// What is there, as far as a person can tell: state, folders, containers.
pub(crate) fn outcome(forge: &TestForge) -> (Option<DatabaseState>, usize, usize, usize) {
    let state = only_database(forge).map(|it| forge.database(it).state());
    (
        state,
        forge.folders("databases").len(),
        forge.folders("trash").len(),
        forge.kept.engine.names().len(),
    )
}

/// Files and workers are what the state says.
pub(crate) fn assert_consistent(forge: &TestForge, when: &str) {
    let expected = match only_database(forge).map(|it| forge.database(it).state()) {
        None => (None, 0, 0, 0),
        Some(DatabaseState::Ready) => (Some(DatabaseState::Ready), 1, 0, 1),
        Some(DatabaseState::Stopped) => (Some(DatabaseState::Stopped), 1, 0, 0),
        Some(DatabaseState::Trashed) => (Some(DatabaseState::Trashed), 0, 1, 0),
        Some(other) => panic!("{when}: the database is {other}"),
    };
    assert_eq!(outcome(forge), expected, "{when}");
    assert_eq!(forge.control.current().state.jobs().count(), 0, "{when}");
}

/// Moves a job by one step, and dies behind the work of it and before its record.
pub(crate) async fn work_without_record(forge: TestForge, job: JobId) -> TestForge {
    let log = forge.kept.log.clone();
    let head = log.head().sequence;
    forge.runner.move_once(job).await.unwrap();
    let kept = Kept {
        log: copy_of(log.as_ref(), head),
        ..forge.kept.clone()
    };
    drop(forge);
    TestForge::start(kept)
}
