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

/// Room that is free beside the reserve while commands of all kinds are taken: what has been taken
/// by then, a create that runs for one, fits in it.
const ROOM_BESIDE_BYTES: u64 = 4 << 20;

/// How many bytes a disk must have free for commands of all kinds to be taken, by the next process that
/// opens this folder: the reserve is one of them where it is not kept yet.
#[must_use]
pub fn room_for_commands(forge_dir: &Path) -> u64 {
    let reserve = match file_in(forge_dir).exists() {
        true => 0,
        false => RESERVE_BYTES,
    };
    ROOM_BESIDE_BYTES + reserve
}

fn file_in(forge_dir: &Path) -> PathBuf {
    forge_dir.join("reserve")
}

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
            file: file_in(forge_dir),
            is_kept: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
        }
    }

    /// Whether the room is kept back, and a little more is free beside it, so that what is taken
    /// now leaves it untouched. Takes it where it can.
    pub(super) fn keep(&self) -> bool {
        let taken = self.take_once();
        let has_room = taken.is_ok() && self.has_room_beside();
        if has_room {
            self.is_told.store(false, Ordering::Relaxed);
        } else if !self.is_told.swap(true, Ordering::Relaxed) {
            let error = taken.err().map(|it| it.to_string());
            tracing::error!(
                error,
                "the disk is full: only commands that free space are accepted"
            );
        }
        has_room
    }

    fn take_once(&self) -> io::Result<()> {
        if self.is_kept.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.take() {
            // That says nothing about the disk, and the next look may find out.
            Err(error) if open_files::are_used_up(&error) => return Ok(()),
            Err(error) => {
                self.open();
                return Err(error);
            }
            Ok(()) => {}
        }
        self.is_kept.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// A file system that does not tell says itself when it is full.
    fn has_room_beside(&self) -> bool {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        rustix::fs::statvfs(folder).map_or(true, |it| {
            it.f_bavail.saturating_mul(it.f_frsize) >= ROOM_BESIDE_BYTES
        })
    }

    /// Lets the room go.
    pub(super) fn open(&self) {
        self.is_kept.store(false, Ordering::Relaxed);
        match std::fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "failed to release the reserved disk space");
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
