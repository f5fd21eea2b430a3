//! Room on the disk that is kept back: a full disk must still take what makes it emptier.
use crate::open_files;
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// A delete is some fifteen events of less than 400 bytes each, in the journal, the index and the
/// read model: room for hundreds of them.
const RESERVE_BYTES: u64 = 4 << 20;

/// A file that holds room and nothing else.
#[derive(Debug)]
pub(super) struct Reserve {
    file: PathBuf,
    is_kept: AtomicBool,
    /// Whether it was told that there is no room: once is enough.
    is_told: AtomicBool,
}

impl Reserve {
    pub(super) fn new(forge_dir: &Path) -> Self {
        Self {
            file: forge_dir.join("reserve"),
            is_kept: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
        }
    }

    /// Whether the room is kept back; takes it where it can.
    pub(super) fn keep(&self) -> bool {
        if self.is_kept.load(Ordering::Relaxed) {
            return true;
        }
        let taken = self.take();
        match &taken {
            Ok(()) => self.is_told.store(false, Ordering::Relaxed),
            // That says nothing about the disk, and the next look may find out.
            Err(error) if open_files::are_used_up(error) => return true,
            Err(error) => {
                if !self.is_told.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the disk is full: only commands that make room are taken");
                }
                self.open();
            }
        }
        self.is_kept.store(taken.is_ok(), Ordering::Relaxed);
        taken.is_ok()
    }

    /// Lets the room go.
    pub(super) fn open(&self) {
        self.is_kept.store(false, Ordering::Relaxed);
        match std::fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the room that was kept back could not be let go");
            }
            _ => {}
        }
    }

    fn take(&self) -> io::Result<()> {
        let file: File = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.file)?;
        match fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
            // A filesystem that cannot promise room cannot keep any back; nothing is worse for it.
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            other => Ok(other?),
        }
    }
}
