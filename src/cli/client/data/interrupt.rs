//! Ctrl-C while data is on its way: the command decides what it means.
use crate::cli::exit::Exit;
use crate::cli::terminal::output;
use crate::locks::Mutex;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long a press may go unseen: the command waits for the gateway, or for its input, then.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often Ctrl-C was pressed since [`Interrupts::watch`].
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupts(Arc<Presses>);

#[derive(Debug, Default)]
struct Presses {
    all: AtomicU32,
    /// Those that the command knows of.
    seen: AtomicU32,
    /// A file that is not whole, and removed with the process.
    partial: Mutex<Option<PathBuf>>,
}

impl Interrupts {
    /// From now on Ctrl-C is counted. It ends the process where the command does not look.
    pub(super) fn watch() -> Self {
        let interrupts = Self::default();
        let counted = interrupts.clone();
        // Where no thread or handler is to be had, Ctrl-C ends the process as usual.
        let _ = std::thread::Builder::new().spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                runtime.block_on(async {
                    let Ok(mut pressed) = signal(SignalKind::interrupt()) else {
                        return;
                    };
                    while pressed.recv().await.is_some() {
                        let press = counted.0.all.fetch_add(1, Ordering::Relaxed) + 1;
                        tokio::spawn(counted.clone().end_unless_seen(press));
                    }
                });
            }
        });
        interrupts
    }

    async fn end_unless_seen(self, press: u32) {
        tokio::time::sleep(PATIENCE).await;
        if self.0.seen.load(Ordering::Relaxed) >= press {
            return;
        }
        if let Some(partial) = self.0.partial.lock().take() {
            let _ = std::fs::remove_file(partial);
        }
        output::note("interrupted");
        std::process::exit(Exit::Interrupted as i32);
    }

    /// How often it was pressed by now.
    pub(super) fn count(&self) -> u32 {
        let all = self.0.all.load(Ordering::Relaxed);
        self.0.seen.store(all, Ordering::Relaxed);
        all
    }

    /// Has a file removed when a press ends the process.
    pub(super) fn end_with(&self, partial: Option<&Path>) {
        *self.0.partial.lock() = partial.map(Path::to_owned);
    }

    /// A reader that fails once Ctrl-C was pressed.
    pub(super) fn stopping<R: Read>(&self, inner: R) -> Interruptible<R> {
        Interruptible {
            inner,
            interrupts: self.clone(),
        }
    }
}

/// See [`Interrupts::stopping`].
#[derive(Debug)]
pub(super) struct Interruptible<R> {
    inner: R,
    interrupts: Interrupts,
}

impl<R: Read> Read for Interruptible<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupts.count() > 0 {
            return Err(io::Error::other("interrupted"));
        }
        self.inner.read(buffer)
    }
}
