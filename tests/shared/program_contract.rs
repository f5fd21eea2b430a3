//! What every runtime that runs programs has to do with them. One suite; each runtime runs it
//! through a [`ProgramForge`].
use super::runtime_contract::{TestForge, ids, until, until_healthy};
use dbforge::clock::Stopwatch;
use dbforge::runtime::{Program, WorkerSpec, WorkerState};
use futures_util::StreamExt as _;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

/// A forge that can do to programs what others do to them.
pub(crate) trait ProgramForge: TestForge {
    /// A program that does not end when it is asked to.
    fn deaf(&self, program: Program) -> Program;
    /// Waits until it would not.
    fn until_deaf(&self, spec: &WorkerSpec) -> impl Future<Output = ()>;
    /// Kills the database's program, as the kernel does.
    fn kill(&self, spec: &WorkerSpec) -> impl Future<Output = ()>;
}

/// Makes one test of each behaviour.
macro_rules! program_contract {
    ($forge:ty) => {
        $crate::support::program_contract::program_contract!(@each $forge:
            a_program_becomes_healthy_and_locks_its_folder_until_it_is_removed
            another_program_is_another_spec
            a_killed_program_is_told_and_starts_again
            what_a_killed_program_left_is_removed_before_the_next_one_starts
            no_second_program_runs_on_a_folder
            a_program_that_does_not_end_when_asked_is_killed_after_its_grace
            a_program_whose_check_fails_never_becomes_healthy
            a_program_that_cannot_be_started_has_exited
        );
    };
    (@each $forge:ty: $($behaviour:ident)*) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                let forge = <$forge as $crate::support::runtime_contract::TestForge>::new().await;
                $crate::support::program_contract::$behaviour(&forge).await;
            }
        )*
    };
}
pub(crate) use program_contract;

/// Long enough for a busy machine; a test that takes it all has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Longer than the program of these tests takes to end.
const GRACE: Duration = Duration::from_secs(20);

/// A worker for a fresh database whose program is a server: one that does nothing but run.
pub(crate) fn serving(forge: &impl TestForge, name: &str) -> WorkerSpec {
    let spec = forge.spec(name);
    let place = forge.runtime().place(&spec.folder);
    let command = [place.dbforge(), "worker", "run"].map(str::to_owned);
    let program = Program {
        command: command.to_vec(),
        health: place.own_check("sqlite"),
        stop_grace: GRACE,
        ..Program::sleeping()
    };
    WorkerSpec { program, ..spec }
}

/// Whether a program has the folder's lock.
pub(crate) fn is_locked(folder: &Path) -> bool {
    match File::open(folder.join("lock")) {
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockShared).is_err(),
        Err(_) => false,
    }
}

/// Waits until the program of this worker runs and is healthy: its check may be quicker than its
/// start.
pub(crate) async fn until_serving(forge: &impl TestForge, spec: &WorkerSpec) {
    until_healthy(forge, spec.database).await;
    polled("the folder is locked", || is_locked(&spec.folder)).await;
}

/// Looks until `is_so`.
pub(crate) async fn polled(what: &str, is_so: impl Fn() -> bool) {
    let looked = async {
        while !is_so() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let looked = tokio::time::timeout(PATIENCE, looked).await;
    assert!(looked.is_ok(), "not within a minute: {what}");
}

fn locked_by_us(folder: &Path) -> File {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let lock = open(folder.join("lock"), flags, Mode::from_raw_mode(0o666)).unwrap();
    rustix::fs::fchmod(&lock, Mode::from_raw_mode(0o666)).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    File::from(lock)
}

pub(crate) async fn a_program_becomes_healthy_and_locks_its_folder_until_it_is_removed(
    forge: &impl ProgramForge,
) {
    let spec = serving(forge, "shop");
    let id = forge.runtime().ensure_running(&spec).await.unwrap();
    until_serving(forge, &spec).await;
    assert!(is_locked(&spec.folder));
    assert_eq!(forge.runtime().ensure_running(&spec).await.unwrap(), id);
    for _ in 0..2 {
        forge.runtime().ensure_removed(spec.database).await.unwrap();
        assert!(!is_locked(&spec.folder));
        assert_eq!(ids(forge).await, [""; 0]);
    }
    forge.runtime().ensure_running(&spec).await.unwrap();
    until_serving(forge, &spec).await;
}

pub(crate) async fn another_program_is_another_spec(forge: &impl ProgramForge) {
    let first = serving(forge, "shop");
    forge.runtime().ensure_running(&first).await.unwrap();
    until_serving(forge, &first).await;
    let program = Program {
        environment: vec![("COLOUR".to_owned(), "green".to_owned())],
        ..first.program.clone()
    };
    let second = WorkerSpec { program, ..first };
    let id = forge.runtime().ensure_running(&second).await.unwrap();
    until_serving(forge, &second).await;
    let listed = forge.runtime().list().await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0].id, &listed[0].spec), (&id, &second.hash()));
    // And back to none that would hold the folder.
    let program = Program::sleeping();
    let third = WorkerSpec { program, ..second };
    forge.runtime().ensure_running(&third).await.unwrap();
    assert!(!is_locked(&third.folder));
}

pub(crate) async fn a_killed_program_is_told_and_starts_again(forge: &impl ProgramForge) {
    let spec = serving(forge, "shop");
    let id = forge.runtime().ensure_running(&spec).await.unwrap();
    until_serving(forge, &spec).await;
    let mut changes = forge.runtime().changes();
    forge.kill(&spec).await;
    until(forge, spec.database, WorkerState::Exited).await;
    let tick = tokio::time::timeout(GRACE, changes.next()).await;
    tick.expect("the end was told").expect("the stream goes on");
    assert_eq!(forge.runtime().ensure_running(&spec).await.unwrap(), id);
    until_serving(forge, &spec).await;
    assert!(is_locked(&spec.folder));
}

pub(crate) async fn what_a_killed_program_left_is_removed_before_the_next_one_starts(
    forge: &impl ProgramForge,
) {
    let spec = serving(forge, "shop");
    let program = Program {
        leftovers: vec!["server.pid".into(), "never-there".into()],
        ..spec.program.clone()
    };
    let spec = WorkerSpec { program, ..spec };
    let (left, kept) = (spec.folder.join("server.pid"), spec.folder.join("data"));
    for file in [&left, &kept] {
        fs::write(file, "1").unwrap();
    }
    forge.runtime().ensure_running(&spec).await.unwrap();
    until_serving(forge, &spec).await;
    assert!(!left.exists());
    assert!(kept.exists());
}

pub(crate) async fn no_second_program_runs_on_a_folder(forge: &impl ProgramForge) {
    let spec = serving(forge, "shop");
    let first = locked_by_us(&spec.folder);
    match forge.runtime().ensure_running(&spec).await {
        Ok(_) => until(forge, spec.database, WorkerState::Exited).await,
        Err(refusal) => assert!(refusal.is_transient(), "{refusal}"),
    }
    assert!(is_locked(&spec.folder));
    drop(first);
    forge.runtime().ensure_running(&spec).await.unwrap();
    until_serving(forge, &spec).await;
}

pub(crate) async fn a_program_that_does_not_end_when_asked_is_killed_after_its_grace(
    forge: &impl ProgramForge,
) {
    let spec = serving(forge, "shop");
    let grace = Duration::from_secs(1);
    let program = Program {
        stop_grace: grace,
        ..forge.deaf(spec.program.clone())
    };
    let spec = WorkerSpec { program, ..spec };
    forge.runtime().ensure_running(&spec).await.unwrap();
    until_serving(forge, &spec).await;
    forge.until_deaf(&spec).await;
    let watch = Stopwatch::start();
    forge.runtime().ensure_removed(spec.database).await.unwrap();
    assert!(watch.elapsed() >= grace, "it had its time");
    assert!(!is_locked(&spec.folder));
    assert_eq!(ids(forge).await, [""; 0]);
}

pub(crate) async fn a_program_whose_check_fails_never_becomes_healthy(forge: &impl ProgramForge) {
    let spec = serving(forge, "shop");
    fs::write(spec.folder.join("main.db"), "no database").unwrap();
    forge.runtime().ensure_running(&spec).await.unwrap();
    for _ in 0..3 {
        let worker = forge.runtime().inspect(spec.database).await.unwrap();
        assert_eq!(worker.unwrap().state, WorkerState::Starting);
    }
}

pub(crate) async fn a_program_that_cannot_be_started_has_exited(forge: &impl ProgramForge) {
    let spec = serving(forge, "shop");
    let program = Program {
        command: vec!["/no/such/program".to_owned()],
        ..spec.program.clone()
    };
    let spec = WorkerSpec { program, ..spec };
    forge.runtime().ensure_running(&spec).await.unwrap();
    until(forge, spec.database, WorkerState::Exited).await;
    assert!(!is_locked(&spec.folder));
}
