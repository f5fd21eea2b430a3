//! The uploads that there are, and their folder.
use crate::clock::timestamp::Timestamp;
use crate::domain::ids::{Actor, TokenId, UploadId};
use crate::locks::Mutex;
use crate::open_files;
use crate::whole_file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The folder in the data folder.
const FOLDER: &str = "uploads";
/// What is being received has this in front of its name.
pub(super) const RECEIVING: &str = ".receiving-";
/// Behind the name of the file that says what an upload is.
const ABOUT: &str = "json";

/// Bounds of uploads.
#[derive(Debug, Clone, Copy)]
pub struct UploadBounds {
    /// Most bytes of one, as it is sent. 8 GiB: four times the default quota of a database.
    pub upload_bytes: u64,
    /// Most bytes that one unpacks to. 64 GiB: a dump packs to a tenth.
    pub unpacked_bytes: u64,
    /// How long one is kept that nothing uses. A day.
    pub upload_retention: Duration,
    /// How long a client may send nothing. 30 s, as long as a request's head may take.
    pub upload_idle: Duration,
    /// Bytes of the disk that uploads leave free. 64 MiB: the event log and databases go on.
    pub upload_disk_reserve: u64,
    /// Uploads that there may be, those being received included. 1,000: their list is one answer.
    pub uploads_stored: usize,
    /// The same of one token, or of root. 250: others have theirs.
    pub uploads_of_one: usize,
}

impl Default for UploadBounds {
    fn default() -> Self {
        Self {
            upload_bytes: 8 << 30,
            unpacked_bytes: 64 << 30,
            upload_retention: Duration::from_secs(86_400),
            upload_idle: Duration::from_secs(30),
            upload_disk_reserve: 64 << 20,
            uploads_stored: 1_000,
            uploads_of_one: 250,
        }
    }
}

/// A file that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    pub id: UploadId,
    /// The token that sent it; none for root.
    pub token: Option<TokenId>,
    /// What that token's commands are signed with.
    pub actor: Actor,
    /// `Content-Type`, as it was sent.
    pub content_type: Option<String>,
    /// Bytes, as they were sent.
    pub bytes: u64,
    /// SHA-256 of them, lower-case hex.
    pub sha256: String,
    /// Whether it came with the call that imports it, and goes with that call's job.
    pub is_of_a_call: bool,
    pub created_at: Timestamp,
    /// When it is removed, unless a job uses it then.
    pub expires_at: Timestamp,
}

/// Why an upload was not taken, or not found.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It has more bytes than an upload may have.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// Most bytes.
        limit: u64,
    },
    /// There are too many.
    #[error("limit reached: {most} uploads are stored")]
    TooMany {
        /// How many there may be.
        most: usize,
    },
    /// The token has too many.
    #[error("this token has reached its limit: {most} uploads are stored")]
    ShareTaken {
        /// How many it may have.
        most: usize,
    },
    /// The disk is full, but for what uploads leave free.
    #[error("the disk has no room for the file")]
    DiskFull,
    /// No file descriptor is left.
    #[error("no file descriptor is left to store the file with")]
    NoFiles,
    /// There is none of this id.
    #[error("there is no upload `{0}`")]
    NotFound(String),
    /// A job reads it.
    #[error("upload `{0}` is being imported")]
    InUse(UploadId),
    /// The disk refused.
    #[error("could not {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl UploadError {
    pub(super) fn of(action: &'static str, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::DiskFull;
        }
        if open_files::are_used_up(&source) {
            return Self::NoFiles;
        }
        Self::Io { action, source }
    }
}

/// The uploads of a data folder. Clones are the same.
#[derive(Debug, Clone)]
pub struct Uploads(pub(super) Arc<Inside>);

#[derive(Debug)]
pub(super) struct Inside {
    /// Told when there is something to remove soon.
    news: Notify,
    pub(super) folder: PathBuf,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) bounds: UploadBounds,
    pub(super) known: Mutex<Known>,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) whole: BTreeMap<UploadId, Arc<Upload>>,
    /// Those being received, by whose they are.
    pub(super) receiving: BTreeMap<UploadId, Option<TokenId>>,
    /// Those of a call whose command was submitted: they go as soon as no unfinished job names
    /// them.
    submitted: Vec<UploadId>,
}

impl Uploads {
    /// Those under `data_dir`; what a crash has left is removed. Their files are given to `owner`
    /// (user, group), who reads them.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open(
        data_dir: &Path,
        owner: Option<(u32, u32)>,
        bounds: UploadBounds,
    ) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        match DirBuilder::new().mode(0o711).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let folder = folder.canonicalize()?;
        let mut known = Known {
            whole: read_whole(&folder)?,
            ..Known::default()
        };
        // No request of an earlier process goes on.
        let of_calls = known.whole.values().filter(|it| it.is_of_a_call);
        known.submitted = of_calls.map(|it| it.id).collect();
        Ok(Self(Arc::new(Inside {
            news: Notify::new(),
            folder,
            owner,
            bounds,
            known: Mutex::new(known),
        })))
    }

    #[must_use]
    pub fn bounds(&self) -> &UploadBounds {
        &self.0.bounds
    }

    /// Every upload, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Upload>> {
        self.0.known.lock().whole.values().cloned().collect()
    }

    /// The upload of an id.
    #[must_use]
    pub fn find(&self, id: UploadId) -> Option<Arc<Upload>> {
        self.0.known.lock().whole.get(&id).cloned()
    }

    /// How many are being received.
    #[must_use]
    pub fn receiving(&self) -> usize {
        self.0.known.lock().receiving.len()
    }

    /// Where an upload's bytes are.
    #[must_use]
    pub fn file(&self, id: UploadId) -> PathBuf {
        self.0.folder.join(id.to_string())
    }

    /// Says that a command which names this upload was submitted.
    pub fn note_submitted(&self, id: UploadId) {
        self.0.known.lock().submitted.push(id);
        self.0.news.notify_one();
    }

    /// Waits until there is something to remove soon.
    pub async fn news(&self) {
        self.0.news.notified().await;
    }

    /// Removes an upload; one that is not there is fine. Blocks for a moment.
    ///
    /// # Errors
    /// When the disk refuses; it is forgotten all the same, and removed at the next start.
    pub fn remove(&self, id: UploadId) -> Result<(), UploadError> {
        {
            let mut known = self.0.known.lock();
            known.whole.remove(&id);
            known.submitted.retain(|it| *it != id);
        }
        let file = self.file(id);
        // The description goes first: bytes without one are removed at the next start.
        for file in [file.with_extension(ABOUT), file] {
            absent_is_fine(fs::remove_file(file))
                .map_err(|source| UploadError::of("remove the upload", source))?;
        }
        Ok(())
    }

    /// Removes those whose time is over, and those of calls whose job has ended. `is_used` tells of
    /// the jobs that have not.
    pub fn remove_ended(&self, now: Timestamp, is_used: impl Fn(UploadId) -> bool) {
        let ended: Vec<UploadId> = {
            let known = self.0.known.lock();
            let expired = known.whole.values().filter(|it| it.expires_at <= now);
            let expired = expired.map(|it| it.id);
            let ended = expired.chain(known.submitted.iter().copied());
            ended.filter(|id| !is_used(*id)).collect()
        };
        for id in ended {
            if let Err(error) = self.remove(id) {
                tracing::warn!(%error, "failed to remove an upload");
            }
        }
    }

    /// Whether [`Self::remove_ended`] has something to look at before an upload's time is over.
    #[must_use]
    pub fn await_jobs(&self) -> bool {
        !self.0.known.lock().submitted.is_empty()
    }
}

/// Every whole upload of the folder. What is none is removed.
fn read_whole(folder: &Path) -> io::Result<BTreeMap<UploadId, Arc<Upload>>> {
    let mut whole = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let id = name.strip_suffix(".json").unwrap_or(&name);
        let Ok(id) = id.parse::<UploadId>() else {
            // Only our own: what a person put there stays.
            if name.starts_with(RECEIVING) || name.ends_with(".json.new") {
                absent_is_fine(fs::remove_file(&path))?;
            }
            continue;
        };
        let file = folder.join(id.to_string());
        let about = file.with_extension(ABOUT);
        let described = fs::read(&about).ok();
        let described = described.and_then(|it| serde_json::from_slice::<Upload>(&it).ok());
        let length = file.metadata().map(|it| it.len()).ok();
        match described.filter(|it| it.id == id && Some(it.bytes) == length) {
            Some(upload) => drop(whole.insert(id, Arc::new(upload))),
            None => {
                absent_is_fine(fs::remove_file(about))?;
                absent_is_fine(fs::remove_file(file))?;
            }
        }
    }
    Ok(whole)
}

pub(super) fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Stores what an upload is, and makes it one.
pub(super) fn describe(folder: &Path, upload: &Upload) -> io::Result<()> {
    let file = folder.join(upload.id.to_string());
    fs::rename(folder.join(format!("{RECEIVING}{}", upload.id)), &file)?;
    File::open(folder)?.sync_all()?;
    let about = serde_json::to_vec(upload)?;
    whole_file::replace(&file.with_extension(ABOUT), &about)
}
