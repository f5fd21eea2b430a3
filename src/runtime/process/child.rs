//! One worker's program as a child of the gateway: started, checked, ended.
use super::starter::StarterThread;
use super::{former, output};
use crate::domain::ids::DatabaseId;
use crate::runtime::{LOCK, StopSignal, WorkerPlace, WorkerSpec, WorkerState};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// The pause before the second check of a program that starts; it doubles up to
/// [`CHECK_INTERVAL_AT_START`].
const FIRST_CHECK_PAUSE: Duration = Duration::from_millis(20);
/// How often a program that starts is checked at last.
const CHECK_INTERVAL_AT_START: Duration = Duration::from_millis(500);
/// How often a program that runs is checked: each check starts a process, as in containers.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// A check that takes longer hangs.
const CHECK_TIME: Duration = Duration::from_secs(5);
/// One failure may be a moment's, on a machine under load.
const FAILURES: u32 = 2;
/// How many are checked at once, so that a hundred that start leave a processor to the others.
const CHECKS: usize = 4;
/// How long a check counts among them: one that hangs uses no processor.
const CHECK_TURN: Duration = Duration::from_millis(500);

/// What children have in common.
#[derive(Debug, Clone)]
pub struct ProcessConfig {
    /// This very program, with which they begin.
    pub program: PathBuf,
    /// Their user and group, where the gateway is root: those of the databases' folders.
    pub user: Option<(u32, u32)>,
    /// The folder that holds the databases' folders.
    pub databases: PathBuf,
    /// The folder in which their output is kept, made when it is needed.
    pub logs: PathBuf,
}

impl ProcessConfig {
    /// Where the program of a worker runs whose database's folder is `folder`.
    #[must_use]
    pub fn place(&self, folder: &Path) -> WorkerPlace {
        WorkerPlace::Child {
            folder: folder.to_owned(),
            dbforge: self.program.display().to_string(),
        }
    }
}

/// What all children of a runtime share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: ProcessConfig,
    /// Changes when a child changes.
    pub(super) ticks: watch::Sender<()>,
    checks: Semaphore,
}

impl Shared {
    pub(super) fn new(config: ProcessConfig) -> Self {
        Self {
            config,
            ticks: watch::Sender::new(()),
            checks: Semaphore::new(CHECKS),
        }
    }

    /// Where a child's output is kept.
    pub(super) fn log_of(&self, database: DatabaseId) -> PathBuf {
        self.config.logs.join(format!("{database}.log"))
    }
}

/// A program that was started. It goes on when this is dropped.
#[derive(Debug)]
pub(super) struct WorkerChild {
    state: watch::Receiver<WorkerState>,
    end: CancellationToken,
}

impl WorkerChild {
    /// Ends what an earlier gateway has left of this worker, and starts its program.
    pub(super) async fn start(
        starter: &StarterThread,
        shared: &Arc<Shared>,
        spec: &WorkerSpec,
    ) -> io::Result<Self> {
        let program = &spec.program;
        let lock = spec.folder.join(LOCK);
        end_former(lock.clone(), program.stop_signal, program.stop_grace).await?;
        let log = shared.log_of(spec.database);
        let mut logs = fs::DirBuilder::new();
        logs.recursive(true)
            .mode(0o700)
            .create(&shared.config.logs)?;
        let (reader, writer) = io::pipe()?;
        let mut command = command(&shared.config, spec, &exec(shared, spec, &lock));
        command.stdout(writer.try_clone()?).stderr(writer);
        let reader = pipe::Receiver::from_owned_fd(reader.into())?;
        let child = starter.start(command).await?;
        tokio::spawn(output::keep(reader, log));

        let (state, seen) = watch::channel(WorkerState::Starting);
        let end = CancellationToken::new();
        let supervisor = Supervisor {
            shared: Arc::clone(shared),
            spec: spec.clone(),
            state,
        };
        tokio::spawn(supervisor.run(child, end.clone()));
        Ok(Self { state: seen, end })
    }

    pub(super) fn state(&self) -> WorkerState {
        *self.state.borrow()
    }

    pub(super) fn runs(&self) -> bool {
        self.state() != WorkerState::Exited
    }

    /// Asks it to end, kills it after its grace, and waits until it is gone.
    pub(super) async fn end(&self) {
        self.end.cancel();
        let mut state = self.state.clone();
        // Without its supervisor there is no tokio to wait in.
        let _ = state.wait_for(|state| *state == WorkerState::Exited).await;
    }
}

/// Watches one child to its end.
struct Supervisor {
    shared: Arc<Shared>,
    spec: WorkerSpec,
    state: watch::Sender<WorkerState>,
}

impl Supervisor {
    async fn run(self, mut child: Child, end: CancellationToken) {
        let ended = tokio::select! {
            ended = child.wait() => Some(ended),
            () = self.check_for_ever() => None,
            () = end.cancelled() => None,
        };
        match ended {
            Some(ended) => {
                let how = ended.map_or_else(|error| error.to_string(), |it| it.to_string());
                tracing::warn!(
                    database.id = %self.spec.database,
                    worker.name = self.spec.name,
                    how,
                    "a worker's program has ended; its output is in {}",
                    self.shared.log_of(self.spec.database).display()
                );
            }
            None => self.end(&mut child).await,
        }
        self.become_(WorkerState::Exited);
    }

    /// Asks the child to end; kills it, and what it has started in its group, after the grace.
    async fn end(&self, child: &mut Child) {
        let program = &self.spec.program;
        let process = child.id().and_then(|id| i32::try_from(id).ok());
        let Some(process) = process.and_then(Pid::from_raw) else {
            return; // it is gone
        };
        let signal = former::as_signal(program.stop_signal);
        // One that is gone already is as good.
        let _ = kill_process(process, signal);
        let ended = tokio::time::timeout(program.stop_grace, child.wait()).await;
        if ended.is_err() {
            tracing::warn!(
                database.id = %self.spec.database,
                "a worker's program did not end within {} s and is killed",
                program.stop_grace.as_secs()
            );
            let _ = kill_process_group(process, Signal::KILL);
            let _ = child.wait().await;
        }
    }

    async fn check_for_ever(&self) {
        let mut pause = FIRST_CHECK_PAUSE;
        while !self.is_fit().await {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(CHECK_INTERVAL_AT_START);
        }
        let mut failures = 0;
        loop {
            self.become_(if failures < FAILURES {
                WorkerState::Healthy
            } else {
                WorkerState::Unhealthy
            });
            tokio::time::sleep(CHECK_INTERVAL).await;
            failures = if self.is_fit().await { 0 } else { failures + 1 };
        }
    }

    async fn is_fit(&self) -> bool {
        let Ok(turn) = self.shared.checks.acquire().await else {
            return false; // it is never closed
        };
        let mut check = command(&self.shared.config, &self.spec, &self.spec.program.health);
        check.stdout(Stdio::null()).stderr(Stdio::null());
        let mut check = tokio::process::Command::from(check);
        let mut ended = Box::pin(check.kill_on_drop(true).status());
        let ended = match tokio::time::timeout(CHECK_TURN, &mut ended).await {
            Ok(ended) => Ok(ended),
            Err(_) => {
                drop(turn); // it waits, and others need not
                tokio::time::timeout(CHECK_TIME, ended).await
            }
        };
        matches!(ended, Ok(Ok(status)) if status.success())
    }

    fn become_(&self, state: WorkerState) {
        let is_news = self.state.send_if_modified(|current| {
            let is_other = *current != state;
            *current = state;
            is_other
        });
        if is_news {
            self.shared.ticks.send_replace(());
        }
    }
}

/// Ends what an earlier gateway has left of a worker.
pub(super) async fn end_former(
    lock: PathBuf,
    signal: StopSignal,
    grace: Duration,
) -> io::Result<()> {
    let ended = tokio::task::spawn_blocking(move || former::end(&lock, signal, grace));
    ended.await?
}

/// The program behind `dbforge worker exec`.
fn exec(shared: &Shared, spec: &WorkerSpec, lock: &Path) -> Vec<String> {
    let program = &spec.program;
    let text = |path: &Path| path.display().to_string();
    let mut exec = vec![text(&shared.config.program)];
    exec.extend(["worker", "exec", "--lock"].map(str::to_owned));
    exec.push(text(lock));
    exec.extend(["--parent".to_owned(), process::id().to_string()]);
    exec.push("--end-with".to_owned());
    exec.push(program.stop_signal.as_str().to_owned());
    exec.extend(program.exec_options(&spec.folder));
    exec.push("--".to_owned());
    exec.extend(program.command.iter().cloned());
    exec
}

/// A command in the worker's folder, with its user and its environment.
fn command(config: &ProcessConfig, spec: &WorkerSpec, arguments: &[String]) -> process::Command {
    let (program, arguments) = match arguments.split_first() {
        Some((program, arguments)) => (program.as_str(), arguments),
        None => ("", arguments), // which cannot be started
    };
    let mut command = process::Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(spec.program.environment.iter().cloned())
        .current_dir(&spec.folder)
        .stdin(Stdio::null())
        // A Ctrl-C in the gateway's terminal is for the gateway.
        .process_group(0);
    if let Some((user, group)) = config.user {
        command.uid(user).gid(group);
    }
    command
}
