//! The worker's first process: keeps the one that serves running.
use super::order::ServeOrder;
use crate::clock::Stopwatch;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// A process that lived for less is started again after a pause, which grows.
const SHORT_LIFE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// The exit code of one that will never serve here: it says why on its standard error.
const CANNOT_SERVE: i32 = 3;

/// Keeps a process running that serves, until it is told to end. `arguments` begin that process:
/// this program again.
///
/// # Errors
/// When it cannot be started, or says that it cannot serve here.
pub fn supervise(order: &ServeOrder, arguments: &[String]) -> io::Result<()> {
    let run = order.folder.join(crate::engine::registry::RUN_FOLDER);
    let made = fs::DirBuilder::new().mode(0o700).create(run);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio.block_on(keep(arguments))
}

async fn keep(arguments: &[String]) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut pause = FIRST_PAUSE;
    loop {
        let since = Stopwatch::start();
        let mut child = Command::new("/proc/self/exe")
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let told = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let ended = tokio::select! {
            ended = child.wait() => ended?,
            () = told => return end(&mut child).await,
        };
        if ended.code() == Some(CANNOT_SERVE) {
            return Err(io::Error::other(
                "the process that serves cannot do it here",
            ));
        }
        tracing::warn!(how = %ended, "the process that serves has ended, and is started again");
        if since.elapsed() < SHORT_LIFE {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        } else {
            pause = FIRST_PAUSE;
        }
    }
}

/// Tells it to end, and waits. What starts and ends workers kills both when that takes too long.
async fn end(child: &mut Child) -> io::Result<()> {
    let process = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(process) = process.and_then(Pid::from_raw) {
        let _ = kill_process(process, Signal::TERM);
    }
    child.wait().await.map(drop)
}
