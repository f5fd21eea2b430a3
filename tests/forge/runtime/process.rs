//! The process runtime keeps the contracts of all runtimes, and what children need beside them.
use super::contract;
use crate::support::TempFolder;
use crate::support::program_contract::{ProgramForge, is_locked, polled, serving, until_serving};
use crate::support::runtime_contract::{TestForge, until};
use dbforge::clock::{IdSource, RandomIds};
use dbforge::domain::ids::InstanceId;
use dbforge::runtime::process::{ProcessConfig, ProcessRuntime};
use dbforge::runtime::{Program, Runtime, WorkerSpec, WorkerState};
use rustix::process::{Pid, Signal, geteuid, kill_process, test_kill_process};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

/// Who children run as when the tests are run by root.
const NOBODY: (u32, u32) = (65532, 65532);

/// A forge whose workers are entries in memory and children of the test.
struct Process {
    runtime: ProcessRuntime,
    instance: InstanceId,
    folder: TempFolder,
}

impl Process {
    fn config(folder: &Path) -> ProcessConfig {
        ProcessConfig {
            program: env!("CARGO_BIN_EXE_dbforge").into(),
            user: geteuid().is_root().then_some(NOBODY),
            databases: folder.to_owned(),
            logs: folder.join("logs"),
        }
    }

    /// The gateway is killed, and another one starts on the same folder.
    fn restart(&mut self) {
        self.runtime = ProcessRuntime::new(Self::config(self.folder.path()), []);
    }

    /// A worker that runs a script of the host's shell.
    fn script(&self, name: &str, script: &str) -> WorkerSpec {
        let spec = serving(self, name);
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let program = Program {
            command: command.to_vec(),
            ..spec.program.clone()
        };
        WorkerSpec { program, ..spec }
    }
}

impl TestForge for Process {
    async fn new() -> Self {
        let folder = TempFolder::new();
        // Children of another user pass through to their own folder.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        Self {
            runtime: ProcessRuntime::new(Self::config(folder.path()), []),
            instance: InstanceId(RandomIds.fresh()),
            folder,
        }
    }

    async fn neighbour(&self) -> Self {
        Self::new().await
    }

    fn runtime(&self) -> &dyn Runtime {
        &self.runtime
    }

    fn spec(&self, name: &str) -> WorkerSpec {
        let spec = contract::spec(self.instance, name);
        let folder = self.folder.path().join(spec.database.to_string());
        let file = folder.join("main.db");
        fs::create_dir(&folder).unwrap();
        fs::write(&file, b"SQLite format 3\0").unwrap();
        if geteuid().is_root() {
            for path in [&folder, &file] {
                chown(path, Some(NOBODY.0), Some(NOBODY.1)).unwrap();
            }
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        WorkerSpec { folder, ..spec }
    }
}

impl ProgramForge for Process {
    fn deaf(&self, program: Program) -> Program {
        let command = ["/bin/sh", "-c", "trap '' TERM; : > ready; exec sleep 1000"];
        Program {
            command: command.map(str::to_owned).to_vec(),
            ..program
        }
    }

    async fn until_deaf(&self, spec: &WorkerSpec) {
        until_ready(spec).await;
    }

    async fn kill(&self, spec: &WorkerSpec) {
        kill_process(process_of(spec), Signal::KILL).unwrap();
    }
}

/// The process of a program that has locked its folder.
fn process_of(spec: &WorkerSpec) -> Pid {
    let number = fs::read_to_string(spec.folder.join("lock")).unwrap();
    Pid::from_raw(number.trim().parse().unwrap()).unwrap()
}

/// Waits until a script says that it is ready.
async fn until_ready(spec: &WorkerSpec) {
    polled("the script is ready", || spec.folder.join("ready").exists()).await;
}

mod sleeping {
    crate::support::runtime_contract::runtime_contract!(super::Process);
}

mod programs {
    crate::support::program_contract::program_contract!(super::Process);
}

#[tokio::test]
async fn registrations_follow_from_the_state_after_a_restart() {
    let before = Process::new().await;
    let specs = [before.spec("shop"), before.spec("blog")];
    for spec in &specs {
        before.runtime.ensure_running(spec).await.unwrap();
    }
    let after = ProcessRuntime::new(Process::config(before.folder.path()), specs);
    assert_eq!(after.list().await, before.runtime.list().await);
}

#[tokio::test]
async fn a_child_has_its_own_user_folder_group_bounds_and_environment() {
    let forge = Process::new().await;
    let spec = serving(&forge, "shop");
    let program = Program {
        environment: vec![("COLOUR".to_owned(), "green".to_owned())],
        data_bytes: Some(256 << 20),
        ..spec.program.clone()
    };
    let spec = WorkerSpec { program, ..spec };
    forge.runtime.ensure_running(&spec).await.unwrap();
    until_serving(&forge, &spec).await;
    let process = process_of(&spec).as_raw_pid();
    let read = |name: &str| fs::read_to_string(format!("/proc/{process}/{name}")).unwrap();

    let place = forge.runtime.place(&spec.folder);
    let arguments = format!("{}\0worker\0run\0", place.dbforge());
    polled("it is the program", || read("cmdline") == arguments).await;
    assert_eq!(read("environ"), "COLOUR=green\0");
    let folder = fs::read_link(format!("/proc/{process}/cwd")).unwrap();
    assert_eq!(folder, spec.folder.canonicalize().unwrap());
    if geteuid().is_root() {
        let status = read("status");
        let is_nobody = |name: &str| {
            let line = format!("{name}:\t65532\t65532\t65532\t65532\n");
            status.contains(&line)
        };
        assert!(is_nobody("Uid") && is_nobody("Gid"), "{status}");
        assert!(status.contains("Groups:\t \n"), "{status}");
    }
    // Of `comm`, which may have spaces, only the end is fixed: state, parent, group.
    let stat = read("stat");
    let group = stat.rsplit(')').next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(group, process.to_string());
    let limits = read("limits");
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name));
        let rest = line.unwrap()[name.len()..].split_whitespace().next();
        rest.unwrap().to_owned()
    };
    assert_eq!(limit("Max data size"), (256 << 20).to_string());
    assert_eq!(limit("Max core file size"), "0");
}

#[tokio::test]
async fn a_child_is_asked_to_end_and_has_the_time_to_do_so() {
    let forge = Process::new().await;
    let script = "trap 'echo ended > end; exit 0' TERM; : > ready; \
                  while :; do sleep 0.05; done";
    let spec = forge.script("shop", script);
    forge.runtime.ensure_running(&spec).await.unwrap();
    until_ready(&spec).await;
    forge.runtime.ensure_removed(spec.database).await.unwrap();
    let said = fs::read_to_string(spec.folder.join("end")).unwrap();
    assert_eq!(said, "ended\n");
}

#[tokio::test]
async fn children_end_when_the_gateway_stops_and_are_told_as_exited() {
    let forge = Process::new().await;
    let specs = [serving(&forge, "shop"), serving(&forge, "blog")];
    for spec in &specs {
        forge.runtime.ensure_running(spec).await.unwrap();
        until_serving(&forge, spec).await;
    }
    forge.runtime.close().await;
    for spec in &specs {
        assert!(!is_locked(&spec.folder));
        until(&forge, spec.database, WorkerState::Exited).await;
    }
}

#[tokio::test]
async fn a_child_ends_with_its_gateway_and_is_started_by_the_next_one() {
    let mut forge = Process::new().await;
    let spec = serving(&forge, "shop");
    forge.runtime.ensure_running(&spec).await.unwrap();
    until_serving(&forge, &spec).await;
    let first = process_of(&spec);
    forge.restart();
    polled("the child has ended", || !is_locked(&spec.folder)).await;
    let before = forge.runtime.inspect(spec.database).await.unwrap();
    assert_eq!(before, None);
    forge.runtime.ensure_running(&spec).await.unwrap();
    until_serving(&forge, &spec).await;
    assert_ne!(process_of(&spec), first);
}

#[tokio::test]
async fn a_child_that_did_not_end_with_its_gateway_is_ended_by_the_next_one() {
    let mut forge = Process::new().await;
    let spec = serving(&forge, "shop");
    let program = Program {
        stop_grace: Duration::from_millis(200),
        ..spec.program.clone()
    };
    let spec = WorkerSpec { program, ..spec };
    forge.runtime.ensure_running(&spec).await.unwrap();
    until_serving(&forge, &spec).await;
    let first = process_of(&spec);
    // It hears of nothing.
    kill_process(first, Signal::STOP).unwrap();
    forge.restart();
    assert!(is_locked(&spec.folder));
    forge.runtime.ensure_running(&spec).await.unwrap();
    until_serving(&forge, &spec).await;
    assert_ne!(process_of(&spec), first);
    polled("the first is gone", || test_kill_process(first).is_err()).await;
}

#[tokio::test]
async fn a_child_that_did_not_end_with_its_gateway_is_gone_before_its_folder_is_moved() {
    let mut forge = Process::new().await;
    let spec = serving(&forge, "shop");
    forge.runtime.ensure_running(&spec).await.unwrap();
    until_serving(&forge, &spec).await;
    let first = process_of(&spec);
    // It goes on when it is woken up, and hears of its gateway's end only then.
    kill_process(first, Signal::STOP).unwrap();
    forge.restart();
    let runtime = &forge.runtime;
    let removed = async {
        let removing = runtime.ensure_removed(spec.database);
        let waking = async { kill_process(first, Signal::CONT).unwrap() };
        tokio::join!(removing, waking).0
    };
    removed.await.unwrap();
    assert!(!is_locked(&spec.folder));
}

#[tokio::test]
async fn a_process_that_only_stands_in_the_locks_file_is_let_be() {
    let forge = Process::new().await;
    let spec = serving(&forge, "shop");
    // What a crash of the machine left: the number is another process's today.
    let other = std::process::Command::new("sleep").arg("1000").spawn();
    let mut other = other.unwrap();
    let lock = spec.folder.join("lock");
    fs::write(&lock, format!("{}\n", other.id())).unwrap();
    fs::set_permissions(&lock, Permissions::from_mode(0o666)).unwrap();
    forge.runtime.ensure_running(&spec).await.unwrap();
    until_serving(&forge, &spec).await;
    assert_eq!(other.try_wait().unwrap(), None);
    assert_ne!(process_of(&spec).as_raw_pid().unsigned_abs(), other.id());
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn the_output_of_a_child_is_kept_within_bounds_and_goes_with_it() {
    let forge = Process::new().await;
    let script = "echo first >&2; head -c 3500000 /dev/zero | tr '\\0' x; echo; echo last; \
                  exec sleep 1000";
    let spec = forge.script("shop", script);
    forge.runtime.ensure_running(&spec).await.unwrap();
    let log = forge
        .folder
        .path()
        .join(format!("logs/{}.log", spec.database));
    polled("all of it is kept", || {
        fs::read_to_string(&log).is_ok_and(|text| text.ends_with("\nlast\n"))
    })
    .await;
    let logs = || -> Vec<u64> {
        let listed = fs::read_dir(log.parent().unwrap()).unwrap();
        let files = listed.map(|file| file.unwrap().metadata().unwrap());
        files.map(|it| it.len()).collect()
    };
    let sizes = logs();
    assert_eq!(sizes.len(), 2);
    assert!(
        sizes.iter().all(|size| *size <= (1 << 20) + (16 << 10)),
        "{sizes:?}"
    );
    forge.runtime.ensure_removed(spec.database).await.unwrap();
    assert_eq!(logs(), [0; 0]);
}

#[tokio::test]
async fn what_a_child_has_started_in_its_group_goes_with_it() {
    let forge = Process::new().await;
    let spec = forge.script("shop", "trap '' TERM; sleep 1000 & : > ready; wait; wait");
    let program = Program {
        stop_grace: Duration::from_millis(200),
        ..spec.program.clone()
    };
    let spec = WorkerSpec { program, ..spec };
    forge.runtime.ensure_running(&spec).await.unwrap();
    until_ready(&spec).await;
    forge.runtime.ensure_removed(spec.database).await.unwrap();
    // It has the lock as well.
    polled("all of them are gone", || !is_locked(&spec.folder)).await;
}
