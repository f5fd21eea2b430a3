//! The worker's first process: sleeps until it is told to end, and buries what died.
use rustix::process::{WaitOptions, wait};
use std::io::{self, Write};
use tokio::signal::unix::{SignalKind, signal};

/// Runs until SIGTERM or SIGINT.
///
/// The kernel ignores signals that the first process of a container has no handler for, and gives
/// it every orphan to bury; so both are done here, and nothing else. It sleeps in between: fifty
/// idle workers cost no processor time.
///
/// Makes its own single-threaded tokio, so it is not to be called from inside another one.
///
/// # Errors
/// When the system refuses a signal handler, or nothing can be printed.
pub fn run() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(until_told_to_end())
}

async fn until_told_to_end() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut child = signal(SignalKind::child())?;
    // Printed when the handlers are installed: from then on the worker can be stopped.
    writeln!(io::stdout(), "worker: ready")?;
    reap_children(); // those who died before the handlers were there
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = child.recv() => reap_children(),
        }
    }
}

/// Signals of one kind are merged, so each may stand for several children.
fn reap_children() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}
