//! Whole databases as files: made in a folder of their own, then kept for a while, so that a
//! download that breaks off can go on where it was.
//!
//! A file that is whole has no name any more: nothing is left of it when the process ends, however
//! it does.
use super::bounds::{ExportBounds, Turn, Turns, disk_has};
use crate::clock::Deadline;
use crate::domain::ids::DatabaseId;
use crate::engine::exporting::FileKind;
use crate::engine::sql::QueryError;
use crate::locks::Mutex;
use crate::shares::{Holder, holder};
use bytes::Bytes;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use uuid::Uuid;

/// Bytes that are read of a file at a time.
const READ_BYTES: u64 = 256 << 10;

/// The files of whole databases. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Files(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    folder: PathBuf,
    owner: Option<(u32, u32)>,
    bounds: ExportBounds,
    turns: Turns,
    /// Those that are whole, oldest first.
    kept: Mutex<Vec<Arc<ExportedFile>>>,
}

/// A file that is being made. Dropped, it and all that was made for it are gone.
#[derive(Debug)]
pub struct FileInMaking {
    id: Uuid,
    database: DatabaseId,
    folder: PathBuf,
    files: Files,
    _turn: Turn,
}

/// A file that is whole.
#[derive(Debug)]
pub struct ExportedFile {
    id: Uuid,
    database: DatabaseId,
    kind: FileKind,
    bytes: u64,
    /// Tables whose rows are not in it.
    pub left_out: Vec<String>,
    file: File,
    expires: Mutex<Deadline>,
    made_for: Holder,
    /// Whether its last byte was sent.
    was_sent: AtomicBool,
}

/// Of which file a download goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumption {
    /// Of the file that has this tag.
    Of(String),
    /// Of the caller's own that did not come to its end, if that is one; of the last one if all did.
    OfTheLast,
}

impl Files {
    pub(super) fn new(folder: PathBuf, bounds: ExportBounds, owner: Option<(u32, u32)>) -> Self {
        let turns = Turns::new(bounds.files_in_all, bounds.files_per_database);
        Self(Arc::new(Inside {
            folder,
            owner,
            bounds,
            turns,
            kept: Mutex::default(),
        }))
    }

    /// Begins to make a file of a database of so many bytes.
    ///
    /// # Errors
    /// When as many are being made as may, or the disk has no room.
    pub(super) fn begin(
        &self,
        database: DatabaseId,
        bytes: u64,
    ) -> Result<FileInMaking, QueryError> {
        let Inside {
            folder,
            bounds,
            turns,
            owner,
            ..
        } = &*self.0;
        let turn = turns.take(database)?;
        // The copy and the file.
        let wanted = bytes.saturating_mul(2);
        while !disk_has(folder, wanted, bounds.disk_reserve) {
            if !self.let_oldest_go() {
                return Err(QueryError::DiskFull);
            }
        }
        let id = Uuid::new_v4();
        let making = FileInMaking {
            id,
            database,
            folder: folder.join(id.to_string()),
            files: self.clone(),
            _turn: turn,
        };
        let made = || -> io::Result<()> {
            for folder in [making.folder.clone(), making.copy()] {
                DirBuilder::new().mode(0o700).create(&folder)?;
                if let Some((user, group)) = owner {
                    chown(&folder, Some(*user), Some(*group))?;
                }
            }
            Ok(())
        };
        made().map_err(|error| broken(&error))?;
        Ok(making)
    }

    /// A file that a download goes on of, if it is still there.
    pub(super) fn find(
        &self,
        database: DatabaseId,
        kind: FileKind,
        resumption: &Resumption,
    ) -> Option<Arc<ExportedFile>> {
        let inside = &*self.0;
        let mut kept = inside.kept.lock();
        kept.retain(|file| !file.is_over());
        let mut of_this = (kept.iter()).filter(|it| it.database == database && it.kind == kind);
        let found = match resumption {
            Resumption::Of(tag) => of_this.find(|file| file.tag() == *tag),
            Resumption::OfTheLast => {
                let own: Vec<_> = of_this.filter(|file| file.made_for == holder()).collect();
                let mut broken_off = own.iter().filter(|file| !file.was_sent());
                match (broken_off.next(), broken_off.next()) {
                    (None, _) => own.last().copied(),
                    (Some(only), None) => Some(*only),
                    (Some(_), Some(_)) => None,
                }
            }
        };
        let found = Arc::clone(found?);
        *found.expires.lock() = Deadline::after(inside.bounds.file_kept);
        Some(found)
    }

    /// Lets go of the oldest file; `false` when there is none.
    fn let_oldest_go(&self) -> bool {
        let mut kept = self.0.kept.lock();
        if kept.is_empty() {
            return false;
        }
        kept.remove(0);
        true
    }

    /// Keeps a file for a while.
    fn keep(&self, file: &Arc<ExportedFile>) {
        let bounds = &self.0.bounds;
        let mut kept = self.0.kept.lock();
        kept.push(Arc::clone(file));
        kept.retain(|file| !file.is_over());
        let bytes = |kept: &[Arc<ExportedFile>]| kept.iter().map(|file| file.bytes).sum::<u64>();
        while kept.len() > bounds.files_kept || kept.len() > 1 && bytes(&kept) > bounds.kept_bytes {
            kept.remove(0);
        }
        drop(kept);
        tokio::spawn(let_go_in_time(
            Arc::downgrade(&self.0),
            Arc::downgrade(file),
        ));
    }
}

/// Lets go of a file when nothing has begun to download it for long enough.
async fn let_go_in_time(exports: Weak<Inside>, file: Weak<ExportedFile>) {
    loop {
        let Some(expires) = file.upgrade().map(|file| *file.expires.lock()) else {
            return;
        };
        tokio::time::sleep_until(expires.instant()).await;
        let (Some(exports), Some(file)) = (exports.upgrade(), file.upgrade()) else {
            return;
        };
        if file.is_over() {
            let mut kept = exports.kept.lock();
            kept.retain(|other| other.id != file.id);
            return;
        }
    }
}

impl FileInMaking {
    /// Where everything is made.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the copy of the database goes.
    #[must_use]
    pub fn copy(&self) -> PathBuf {
        self.folder.join("copy")
    }

    /// Where the file goes.
    #[must_use]
    pub fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// How long making it may take.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.files.0.bounds.file_time
    }

    /// Most bytes that it may have.
    #[must_use]
    pub fn most_bytes(&self) -> u64 {
        self.files.0.bounds.file_bytes
    }

    /// Whether the disk still has room beside its reserve.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let Inside { folder, bounds, .. } = &*self.files.0;
        disk_has(folder, 0, bounds.disk_reserve)
    }

    /// Takes the file, which is whole now, and keeps it for a while. Blocks.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(
        self,
        kind: FileKind,
        left_out: Vec<String>,
        made_for: Holder,
    ) -> Result<Arc<ExportedFile>, QueryError> {
        let opened = || -> io::Result<(File, u64)> {
            let file = File::open(self.out())?;
            let bytes = file.metadata()?.len();
            Ok((file, bytes))
        };
        let (file, bytes) = opened().map_err(|error| broken(&error))?;
        let file = Arc::new(ExportedFile {
            id: self.id,
            database: self.database,
            kind,
            bytes,
            left_out,
            file,
            expires: Mutex::new(Deadline::after(self.files.0.bounds.file_kept)),
            made_for,
            was_sent: AtomicBool::new(false),
        });
        self.files.keep(&file);
        Ok(file)
    }
}

impl Drop for FileInMaking {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "what an export has made could not be removed");
        }
    }
}

impl ExportedFile {
    /// Its entity tag, in quotes. No other file has it.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("\"{}\"", self.id.simple())
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next piece of what is between two places. Blocks.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn read(&self, from: u64, to: u64) -> Result<Bytes, QueryError> {
        let bytes = to.saturating_sub(from).min(READ_BYTES);
        let mut piece = vec![0; usize::try_from(bytes).unwrap_or_default()];
        let read = self.file.read_exact_at(&mut piece, from);
        read.map_err(|error| broken(&error))?;
        Ok(piece.into())
    }

    /// Its last byte was sent.
    pub fn sent(&self) {
        self.was_sent.store(true, Ordering::Relaxed);
    }

    fn was_sent(&self) -> bool {
        self.was_sent.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.expires.lock().has_passed()
    }
}

fn broken(error: &io::Error) -> QueryError {
    if error.kind() == io::ErrorKind::StorageFull {
        return QueryError::DiskFull;
    }
    QueryError::Broken {
        reason: format!("the export's file: {error}"),
    }
}
