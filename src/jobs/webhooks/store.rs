//! Stores the secrets and the progress of webhooks outside of the log.
//!
//! The log can be read by users with access to the history, so it contains no secrets. It is kept
//! permanently, so it does not contain every delivery. `.forge/webhooks/` outlives `control.db`.
use crate::clock::timestamp::Timestamp;
use crate::config::Secret;
use crate::domain::ids::{Sequence, WebhookId};
use crate::locks::Mutex;
use crate::whole_file;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Attempts that are remembered per webhook.
const REMEMBERED: usize = 100;

/// Replaced secrets that are remembered per webhook.
const EARLIER_SECRETS: usize = 4;

/// Headers by name.
pub type OwnHeaders = BTreeMap<String, String>;

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
    /// When an event that failed is tried again, while that is waited for.
    #[serde(skip)]
    pub(super) retry_at: Option<Timestamp>,
}

impl Progress {
    pub(super) fn remember(&mut self, delivery: Delivery) {
        self.deliveries.push_back(delivery);
        while self.deliveries.len() > REMEMBERED {
            self.deliveries.pop_front();
        }
    }
}

/// A secret that messages are signed with, too, until a time.
#[derive(Serialize, Deserialize)]
struct EarlierSecret {
    secret: String,
    until: Timestamp,
}

/// The folder with a few files per webhook.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    writing: Mutex<()>,
}

impl Store {
    pub(super) fn at(folder: PathBuf) -> Self {
        Self {
            folder,
            writing: Mutex::default(),
        }
    }

    /// Stores a secret durably.
    pub(super) fn keep_secret(&self, id: WebhookId, secret: &Secret) -> io::Result<()> {
        self.write(&self.file(id, "secret"), secret.reveal().as_bytes())
    }

    pub(super) fn secret(&self, id: WebhookId) -> io::Result<Secret> {
        fs::read_to_string(self.file(id, "secret")).map(Secret::new)
    }

    /// Replaces a secret. The one before signs, too, until `until`, as do those before it that were
    /// promised so: a repeated request takes nothing away.
    pub(super) fn replace_secret(
        &self,
        id: WebhookId,
        secret: &Secret,
        until: Timestamp,
    ) -> io::Result<()> {
        let mut earlier = self.earlier_secrets(id);
        earlier.push(EarlierSecret {
            secret: self.secret(id)?.reveal().to_owned(),
            until,
        });
        let too_many = earlier.len().saturating_sub(EARLIER_SECRETS);
        earlier.drain(..too_many);
        self.write(&self.file(id, "before"), &serde_json::to_vec(&earlier)?)?;
        self.keep_secret(id, secret)
    }

    /// The secrets that sign at this time, the newest first.
    ///
    /// # Errors
    /// When the newest cannot be read.
    pub(super) fn secrets(&self, id: WebhookId, now: Timestamp) -> io::Result<Vec<Secret>> {
        let earlier = self.earlier_secrets(id).into_iter().rev();
        let earlier = earlier.filter(|earlier| now < earlier.until);
        let newest = self.secret(id)?;
        Ok(std::iter::once(newest)
            .chain(earlier.map(|earlier| Secret::new(earlier.secret)))
            .collect())
    }

    /// The latest last. One that cannot be read signs nothing.
    fn earlier_secrets(&self, id: WebhookId) -> Vec<EarlierSecret> {
        let text = fs::read(self.file(id, "before")).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Stores the headers that a receiver wants: they may be secrets, too.
    pub(super) fn keep_headers(&self, id: WebhookId, headers: &OwnHeaders) -> io::Result<()> {
        self.write(&self.file(id, "headers"), &serde_json::to_vec(headers)?)
    }

    /// The headers that a receiver wants; none when none were stored.
    pub(super) fn headers(&self, id: WebhookId) -> io::Result<OwnHeaders> {
        match fs::read(self.file(id, "headers")) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(OwnHeaders::new()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn keep_progress(&self, id: WebhookId, progress: &Progress) -> io::Result<()> {
        let text = serde_json::to_vec(progress)?;
        self.write(&self.file(id, "json"), &text)
    }

    /// `None` when it cannot be read: events are then sent again, never skipped.
    pub(super) fn progress(&self, id: WebhookId) -> Option<Progress> {
        let text = fs::read(self.file(id, "json")).ok()?;
        serde_json::from_slice(&text)
            .inspect_err(|error| {
                tracing::warn!(webhook.id = %id, %error, "cannot read the position of webhook {id}; its events are sent again");
            })
            .ok()
    }

    /// Removes the files of a deleted webhook.
    pub(super) fn forget(&self, id: WebhookId) {
        for file in ["secret", "json", "before", "headers"].map(|end| self.file(id, end)) {
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
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let id = |it: fs::DirEntry| it.path().file_stem()?.to_str()?.parse().ok();
        entries.filter_map(id).collect()
    }

    fn file(&self, id: WebhookId, end: &str) -> PathBuf {
        self.folder.join(format!("{id}.{end}"))
    }

    /// Replaces a file: the delivery and a request may both do so.
    fn write(&self, file: &Path, text: &[u8]) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        let _one_at_a_time = self.writing.lock();
        whole_file::replace(file, text)
    }
}
