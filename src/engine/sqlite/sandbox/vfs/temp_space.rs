//! Room for the temporary files of statements that write: counted, bounded, without names.
//!
//! A statement that changes many rows keeps the pages as they were (its journal), sorts what goes
//! into an index, and builds tables of its own. All of it may be as large as the database, and
//! SQLite knows no bound for it.
use rustix::fs::{Mode, OFlags, StatVfs, fstatvfs};
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Temporary files leave this much of the disk to what lasts: to commits, and to the event log.
const DISK_KEPT_BYTES: u64 = 16 << 20;

/// WALs leave this much, beside the reserve, to the event log: for the deletes and purges that make
/// room again.
const WALS_KEEP_BYTES: u64 = 8 << 20;

/// Room is taken in pieces of this size: the disk is asked once for each.
pub(crate) const PIECE_BYTES: u64 = 1 << 20;

/// The temporary files of all databases.
#[derive(Debug)]
pub struct TempBudget {
    most: u64,
    used: AtomicU64,
}

/// The temporary files of one database: in its folder, and so on its disk.
#[derive(Debug)]
pub struct TempSpace {
    folder: PathBuf,
    most: u64,
    used: AtomicU64,
    all: Arc<TempBudget>,
}

/// Why a temporary file may not grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The database's share, in bytes, is used up.
    Database(u64),
    /// What all databases may have together, in bytes, is used up.
    Gateway(u64),
    /// The disk has too little room.
    Disk,
}

thread_local! {
    /// Where the statement that runs on this thread has its temporary files.
    static SPACE: RefCell<Option<Arc<TempSpace>>> = const { RefCell::new(None) };
    /// Why the last one of them did not grow.
    static FULL: Cell<Option<Full>> = const { Cell::new(None) };
}

impl TempBudget {
    /// At most `most` bytes for all databases.
    #[must_use]
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self {
            most,
            used: AtomicU64::new(0),
        })
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl TempSpace {
    /// Room on the disk of the database in `folder`: half of what all may have.
    #[must_use]
    pub fn new(folder: &Path, all: &Arc<TempBudget>) -> Arc<Self> {
        Arc::new(Self {
            folder: folder.to_owned(),
            most: all.most / 2,
            used: AtomicU64::new(0),
            all: Arc::clone(all),
        })
    }

    fn take(&self, bytes: u64) -> Result<(), Full> {
        take(&self.used, self.most, bytes).ok_or(Full::Database(self.most))?;
        take(&self.all.used, self.all.most, bytes).ok_or_else(|| {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            Full::Gateway(self.all.most)
        })
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.all.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn take(used: &AtomicU64, most: u64, bytes: u64) -> Option<()> {
    let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= most);
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        .ok()
        .map(|_| ())
}

/// While it lives, files without a name that SQLite opens on this thread are of that space.
#[derive(Debug)]
pub(crate) struct TempFilesIn(());

impl TempFilesIn {
    pub(crate) fn space(space: Option<&Arc<TempSpace>>) -> Option<Self> {
        let space = space?;
        SPACE.set(Some(Arc::clone(space)));
        FULL.set(None);
        Some(Self(()))
    }
}

impl Drop for TempFilesIn {
    fn drop(&mut self) {
        SPACE.set(None);
    }
}

/// Why a temporary file of the last statement on this thread did not grow, if one did not.
pub(crate) fn why_full() -> Option<Full> {
    FULL.take()
}

/// The space of the statement that runs on this thread.
pub(crate) fn current() -> Option<Arc<TempSpace>> {
    // A thread that ends has no statement any more.
    SPACE.try_with(|it| it.borrow().clone()).ok().flatten()
}

/// A file that is gone when it is closed, or when the process dies.
#[derive(Debug)]
pub(crate) struct TempFile {
    pub(crate) file: File,
    /// Bytes that it has room for.
    room: u64,
    space: Arc<TempSpace>,
}

impl TempFile {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no room for it.
    pub(crate) fn create(space: Arc<TempSpace>) -> io::Result<Self> {
        Ok(Self {
            file: nameless_file(&space.folder)?,
            room: 0,
            space,
        })
    }

    /// Makes room for it to reach `end`. `false` when there is none; [`why_full`] knows why.
    pub(crate) fn may_reach(&mut self, end: u64) -> bool {
        if end <= self.room {
            return true;
        }
        let more = (end - self.room).next_multiple_of(PIECE_BYTES);
        // A disk that does not tell says itself when it is full.
        let free = fstatvfs(&self.file).map_or(u64::MAX, free_bytes);
        let taken = if free < DISK_KEPT_BYTES.saturating_add(more) {
            Err(Full::Disk)
        } else {
            self.space.take(more)
        };
        match taken {
            Ok(()) => self.room += more,
            Err(full) => {
                let _ = FULL.try_with(|it| it.set(Some(full)));
            }
        }
        taken.is_ok()
    }

    /// Gives back the room behind `end`, where it was cut.
    pub(crate) fn was_cut_to(&mut self, end: u64) {
        let kept = end.next_multiple_of(PIECE_BYTES);
        if kept < self.room {
            self.space.give_back(self.room - kept);
            self.room = kept;
        }
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        self.was_cut_to(0);
    }
}

/// Whether the disk has room for a piece more of this WAL.
pub(crate) fn wal_may_grow(wal: &CStr) -> bool {
    let free = rustix::fs::statvfs(wal).map_or(u64::MAX, free_bytes);
    let may_grow = free >= WALS_KEEP_BYTES + PIECE_BYTES;
    if !may_grow {
        let _ = FULL.try_with(|it| it.set(Some(Full::Disk)));
    }
    may_grow
}

fn free_bytes(disk: StatVfs) -> u64 {
    disk.f_bavail.saturating_mul(disk.f_frsize)
}

/// A file that no folder names. Where the file system has none such, it loses its name at once.
fn nameless_file(folder: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::open(folder, flags | OFlags::TMPFILE, mode) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => {}
        opened => return Ok(opened?.into()),
    }
    let named = folder.join(format!(".temporary-{}", uuid::Uuid::new_v4()));
    let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&named, flags, mode)?;
    std::fs::remove_file(&named)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_temporary_files_take_is_bounded_for_each_database_and_for_all() {
        let all = TempBudget::new(6 * PIECE_BYTES);
        let folder = std::env::temp_dir();
        let (one, other) = (TempSpace::new(&folder, &all), TempSpace::new(&folder, &all));
        let mut of_one = TempFile::create(Arc::clone(&one)).unwrap();
        assert!(of_one.may_reach(3 * PIECE_BYTES));
        assert!(!of_one.may_reach(3 * PIECE_BYTES + 1));
        assert_eq!(why_full(), Some(Full::Database(3 * PIECE_BYTES)));

        let mut first = TempFile::create(Arc::clone(&other)).unwrap();
        assert!(first.may_reach(1));
        of_one.was_cut_to(PIECE_BYTES + 1);
        assert_eq!(all.used(), 3 * PIECE_BYTES, "rounded up");
        drop((of_one, first));
        assert_eq!(all.used(), 0);

        let third = TempSpace::new(&folder, &all);
        let mut files = Vec::new();
        for space in [one, other, third] {
            files.push(TempFile::create(space).unwrap());
        }
        let reached: Vec<bool> = (files.iter_mut())
            .map(|file| file.may_reach(3 * PIECE_BYTES))
            .collect();
        assert_eq!(reached, [true, true, false]);
        assert_eq!(why_full(), Some(Full::Gateway(6 * PIECE_BYTES)));
    }

    #[test]
    fn a_temporary_file_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let _file = nameless_file(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
