//! Stores the secrets and the progress of webhooks outside of the log.
//!
//! The log can be read by users with access to the history, so it contains no secrets. It is kept
//! permanently, so it does not contain every delivery. `.forge/webhooks/` outlives `control.db`.
use crate::clock::timestamp::Timestamp;
use crate::config::Secret;
use crate::domain::ids::{Sequence, WebhookId};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Attempts that are remembered per webhook.
const REMEMBERED: usize = 100;

/// One delivery attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The event's sequence; none for a test.
    pub sequence: Option<Sequence>,
    /// The event's kind: `database_ready`.
    pub kind: String,
    /// 1 for the first attempt since the last success.
    pub attempt: u32,
    pub at: Timestamp,
    pub duration_ms: u64,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why it failed; none when the receiver accepted it.
    pub error: Option<String>,
}

/// The delivery progress of a webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// All events up to here were accepted, or do not match its filters.
    pub(super) cursor: Sequence,
    /// Failures since the last success.
    pub(super) failures: u32,
    /// The latest attempts, oldest first.
    pub(super) deliveries: VecDeque<Delivery>,
}

impl Progress {
    pub(super) fn remember(&mut self, delivery: Delivery) {
        self.deliveries.push_back(delivery);
        while self.deliveries.len() > REMEMBERED {
            self.deliveries.pop_front();
        }
    }
}

/// The folder with two files per webhook.
#[derive(Debug)]
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Stores a secret durably.
    pub(super) fn keep_secret(&self, id: WebhookId, secret: &Secret) -> io::Result<()> {
        self.write(&self.secret_file(id), secret.reveal().as_bytes())
    }

    pub(super) fn secret(&self, id: WebhookId) -> io::Result<Secret> {
        fs::read_to_string(self.secret_file(id)).map(Secret::new)
    }

    pub(super) fn keep_progress(&self, id: WebhookId, progress: &Progress) -> io::Result<()> {
        let text = serde_json::to_vec(progress)?;
        self.write(&self.progress_file(id), &text)
    }

    /// `None` when it cannot be read: events are then sent again, never skipped.
    pub(super) fn progress(&self, id: WebhookId) -> Option<Progress> {
        let text = fs::read(self.progress_file(id)).ok()?;
        serde_json::from_slice(&text)
            .inspect_err(|error| {
                tracing::warn!(webhook.id = %id, %error, "cannot read the position of webhook {id}; its events are sent again");
            })
            .ok()
    }

    /// Removes the files of a deleted webhook.
    pub(super) fn forget(&self, id: WebhookId) {
        for file in [self.secret_file(id), self.progress_file(id)] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(webhook.id = %id, %error, "failed to remove {}", file.display());
                }
                _ => {}
            }
        }
    }

    /// The webhooks that have files.
    pub(super) fn ids(&self) -> Vec<WebhookId> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let id = |it: fs::DirEntry| it.path().file_stem()?.to_str()?.parse().ok();
        entries.filter_map(id).collect()
    }

    fn secret_file(&self, id: WebhookId) -> PathBuf {
        self.0.join(format!("{id}.secret"))
    }

    fn progress_file(&self, id: WebhookId) -> PathBuf {
        self.0.join(format!("{id}.json"))
    }

    /// Replaces a file atomically, also across a power loss; only its owner can read it.
    fn write(&self, file: &Path, text: &[u8]) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        let fresh = file.with_added_extension("new");
        let mut writing = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        writing.write_all(text)?;
        writing.sync_all()?;
        fs::rename(&fresh, file)?;
        File::open(&self.0)?.sync_all()
    }
}
