//! Ctrl-C while data is on its way: the command decides what it means.
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// How often Ctrl-C was pressed since [`Interrupts::watch`].
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupts(Arc<AtomicU32>);

impl Interrupts {
    /// From now on Ctrl-C is counted instead of ending the process.
    pub(super) fn watch() -> Self {
        let interrupts = Self::default();
        let counted = interrupts.clone();
        // Where no thread or handler is to be had, Ctrl-C ends the process as usual.
        let _ = std::thread::Builder::new().spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build();
            if let Ok(runtime) = runtime {
                runtime.block_on(async {
                    let Ok(mut pressed) = signal(SignalKind::interrupt()) else {
                        return;
                    };
                    while pressed.recv().await.is_some() {
                        counted.0.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        interrupts
    }

    pub(super) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
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
