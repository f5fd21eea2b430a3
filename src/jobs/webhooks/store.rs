//! What is kept of webhooks beside the log: their secrets, and how far each was told.
//!
//! The log is shown to who may read the history, so it holds no secrets; and it is kept for ever,
//! so it does not hold every delivery. `.forge/webhooks/` outlives `control.db`.
use crate::clock::timestamp::Timestamp;
use crate::config::Secret;
use crate::domain::ids::{Sequence, WebhookId};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Tries of a webhook that are remembered.
const REMEMBERED: usize = 100;

/// One try to tell a receiver of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Which event; none for a test.
    pub sequence: Option<Sequence>,
    /// Its kind: `database_ready`.
    pub kind: String,
    /// 1 for the first try since the last success.
    pub attempt: u32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
    /// What the receiver answered, where it did.
    pub status: Option<u16>,
    /// Why it failed; none where the receiver took it.
    pub error: Option<String>,
}

/// How far a webhook was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Everything up to here was taken, or is not for it.
    pub(super) cursor: Sequence,
    /// Failures since the last success.
    pub(super) failures: u32,
    /// The latest tries, oldest first.
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

/// The folder with two files for each webhook.
#[derive(Debug)]
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Keeps a secret; when it returns, it survives power loss.
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

    /// `None` where there is none that can be read: then events are sent again, not left out.
    pub(super) fn progress(&self, id: WebhookId) -> Option<Progress> {
        let text = fs::read(self.progress_file(id)).ok()?;
        serde_json::from_slice(&text)
            .inspect_err(|error| {
                tracing::warn!(webhook.id = %id, %error, "cannot read the position of webhook {id}; its events are sent again");
            })
            .ok()
    }

    /// Removes what is kept of a webhook that is no more.
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

    /// The webhooks that something is kept of.
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

    /// Readers see the old text or the new one, also after a power loss; nobody else sees either.
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
