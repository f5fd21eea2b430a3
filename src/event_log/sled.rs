//! The index: sled, which serves all reads but long ones and can always be made again from the
//! journal.
//!
//! The one place that knows sled 0.34. It is fast and it is not trusted: it never syncs, and on
//! damaged files it may err, panic, or open with records missing. So every call catches panics,
//! what is read is checked against what must be there, and an [`IndexError`] means: read the
//! journal instead.
//!
//! One tree, told apart by the first byte of the key; numbers big-endian:
//!
//! | Key | Value |
//! |---|---|
//! | `c` first sequence | hash before it, then the commit's body, or where in the journal that lies |
//! | `s` stream, sequence | first sequence of the commit, sequence before it in that stream |
//! | `i` SHA-256 of owner and idempotency key | first sequence of the commit |
//! | `h` | format, sequence, hash, time |
//!
//! Reading is safe from any thread (sled's trees are lock-free). Writing and flushing is done by
//! the holder of the log's writer, so by one thread at a time; sled's own flusher thread is off.
use super::codec::StoredCommit;
use super::journal::segment::Location;
use crate::clock::Deadline;
use crate::clock::timestamp::Timestamp;
use crate::domain::event::Stream;
use crate::domain::event::recorded::{Hash, Head, KeyOwner};
use crate::domain::ids::Sequence;
use crate::locks::RwLock;
use ::sled::{Batch, Config, Db, IVec};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Sled's cache has no bound of its own that holds: it took 460 MiB for a million events. This one
/// holds late, since each of 256 shards is looked at after 64 reads only.
const CACHE_BYTES: u64 = 4 << 20;

/// Larger values would go to files of their own, which sled never syncs.
const LARGEST_VALUE: usize = 8 << 10;

/// How long a gateway that is being killed may still hold sled's lock.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How often the lock is tried again in that time.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Begins the value of `h`.
const FORMAT: u8 = 1;

const INLINE: u8 = 0;
const IN_JOURNAL: u8 = 1;

/// The last sequence of each stream.
pub(super) type StreamEnds = HashMap<Stream, u64>;

/// Sled cannot be used: what happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct IndexError(String);

/// An open index.
#[derive(Debug)]
pub(super) struct Index {
    db: Db,
    ends: RwLock<StreamEnds>,
    failed: AtomicBool,
}

/// A commit on its way into the index.
pub(super) struct IndexedCommit<'a> {
    pub(super) body: &'a [u8],
    pub(super) previous_hash: Hash,
    pub(super) at: Location,
}

/// A commit found in the index.
pub(super) struct FoundCommit {
    pub(super) first_sequence: u64,
    pub(super) previous_hash: Hash,
    pub(super) body: FoundBody,
}

/// Its body, or where that is.
pub(super) enum FoundBody {
    Inline(IVec, usize),
    InJournal(Location),
}

impl FoundBody {
    /// The body's bytes, where the index has them.
    pub(super) fn inline(&self) -> Option<&[u8]> {
        match self {
            Self::Inline(value, start) => value.get(*start..),
            Self::InJournal(_) => None,
        }
    }
}

impl Index {
    /// Opens the index in `folder`, making it where it is missing.
    ///
    /// # Errors
    /// When sled refuses, panics, or another process holds its lock for too long.
    pub(super) fn open(folder: &Path) -> Result<Self, IndexError> {
        let deadline = Deadline::after(LOCK_WAIT);
        let db = loop {
            let config = Config::new()
                .path(folder)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(None);
            match guarded(|| Ok(config.open()?)) {
                Err(IndexError(reason))
                    if reason.contains("could not acquire lock") && !deadline.has_passed() =>
                {
                    std::thread::sleep(LOCK_PAUSE);
                }
                opened => break opened?,
            }
        };
        Ok(Self {
            db,
            ends: RwLock::default(),
            failed: AtomicBool::new(false),
        })
    }

    /// Says where each stream ends in this index, as the journal knows it: reads are checked
    /// against it.
    pub(super) fn expect_streams(&self, ends: StreamEnds) {
        *self.ends.write() = ends;
    }

    /// How far the index reaches; nothing when it is empty.
    ///
    /// # Errors
    /// When sled fails or holds something else.
    pub(super) fn head(&self) -> Result<Option<Head>, IndexError> {
        self.guarded(|| {
            let Some(value) = self.db.get(b"h")? else {
                return Ok(None);
            };
            let (format, fields) = value.split_first().ok_or(malformed("its head"))?;
            if *format != FORMAT {
                return Err(IndexError(format!("format {format} is not known")));
            }
            let mut fields = Fields(fields);
            let head = Head {
                sequence: Sequence(fields.number()?),
                hash: fields.array()?,
                time: Timestamp::from_millis(i64::from_be_bytes(fields.array()?)),
            };
            Ok(Some(head))
        })
    }

    /// Adds commits that lie in the journal, all or none; `head` is the last event's.
    ///
    /// # Errors
    /// When sled fails; the index is behind then.
    pub(super) fn apply(
        &self,
        commits: &[IndexedCommit<'_>],
        head: &Head,
    ) -> Result<(), IndexError> {
        self.guarded(|| {
            let mut ends = self.ends.write();
            let mut batch = Batch::default();
            for commit in commits {
                let stored = StoredCommit::read(commit.body)
                    .map_err(|error| IndexError(error.to_string()))?;
                let first = stored.first_sequence;
                batch.insert(&commit_key(first), commit_value(commit));
                for (sequence, stream) in stored.streams() {
                    let before = ends.insert(stream, sequence).unwrap_or(0);
                    let value = [first.to_be_bytes(), before.to_be_bytes()].concat();
                    batch.insert(&stream_key(stream, sequence), value);
                }
                if let Some(idempotency) = &stored.idempotency {
                    let key = idempotency_key(&stored.key_owner(), idempotency.key);
                    batch.insert(key, &first.to_be_bytes());
                }
            }
            batch.insert(b"h", head_value(head));
            Ok(self.db.apply_batch(batch)?)
        })
    }

    /// Commits in their order, beginning with the one that holds `sequence`.
    pub(super) fn commits_from(
        &self,
        sequence: u64,
    ) -> impl Iterator<Item = Result<FoundCommit, IndexError>> + '_ {
        let start = self.guarded(|| {
            let before_or_at = self
                .db
                .range(commit_key(0)..=commit_key(sequence))
                .next_back();
            match before_or_at.transpose()? {
                Some((key, value)) => found_commit(&key, value).map(|it| it.first_sequence),
                None => Ok(0),
            }
        });
        let (mut error, start) = match start {
            Ok(start) => (None, start),
            Err(error) => (Some(error), u64::MAX),
        };
        let mut range = self.db.range(commit_key(start)..=commit_key(u64::MAX));
        std::iter::from_fn(move || {
            if let Some(error) = error.take() {
                return Some(Err(error));
            }
            self.guarded(|| match range.next().transpose()? {
                Some((key, value)) => found_commit(&key, value).map(Some),
                None => Ok(None),
            })
            .transpose()
        })
    }

    /// The commit that begins with this sequence.
    ///
    /// # Errors
    /// When sled fails or holds something else.
    pub(super) fn commit(&self, first: u64) -> Result<Option<FoundCommit>, IndexError> {
        self.guarded(|| {
            let key = commit_key(first);
            let value = self.db.get(key)?;
            value.map(|value| found_commit(&key, value)).transpose()
        })
    }

    /// At most `limit` events of a stream behind `after`: sequence and first of its commit.
    ///
    /// # Errors
    /// When sled fails, or an event of the stream is missing.
    pub(super) fn stream_after(
        &self,
        stream: Stream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, u64)>, IndexError> {
        // Taken before the range is read: what is appended meanwhile only adds to it.
        let end = self.ends.read().get(&stream).copied().unwrap_or(0);
        self.guarded(|| {
            if after >= end {
                return Ok(Vec::new());
            }
            let range = self
                .db
                .range(stream_key(stream, after.saturating_add(1))..=stream_key(stream, u64::MAX));
            let mut found: Vec<(u64, u64)> = Vec::new();
            for entry in range.take(limit) {
                let (key, value) = entry?;
                let sequence = Fields(key.get(18..).unwrap_or_default()).number()?;
                let mut fields = Fields(&value);
                let (first, before) = (fields.number()?, fields.number()?);
                let follows = match found.last() {
                    Some((last, _)) => before == *last,
                    None => before <= after,
                };
                if !follows {
                    return Err(IndexError(format!(
                        "{stream} misses an event before {sequence}"
                    )));
                }
                found.push((sequence, first));
            }
            if found.len() < limit && found.last().is_none_or(|(last, _)| *last < end) {
                return Err(IndexError(format!("{stream} misses its event {end}")));
            }
            Ok(found)
        })
    }

    /// The first sequence of the last commit that used this owner's idempotency key.
    ///
    /// # Errors
    /// When sled fails or holds something else.
    pub(super) fn idempotent(
        &self,
        owner: &KeyOwner,
        key: &str,
    ) -> Result<Option<u64>, IndexError> {
        self.guarded(|| {
            let value = self.db.get(idempotency_key(owner, key))?;
            value.map(|value| Fields(&value).number()).transpose()
        })
    }

    /// Hands everything to the operating system, so that little has to be applied again.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn flush(&self) -> Result<(), IndexError> {
        self.guarded(|| {
            self.db.flush()?;
            Ok(())
        })
    }

    fn guarded<T>(&self, call: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
        guarded(call).inspect_err(|_| self.failed.store(true, Ordering::Relaxed))
    }
}

impl Drop for Index {
    /// A sled that failed is left as it is: its own clean-up may wait for ever or panic.
    fn drop(&mut self) {
        let flushed = self.flush();
        if flushed.is_err() || self.failed.load(Ordering::Relaxed) {
            std::mem::forget(self.db.clone());
        }
    }
}

impl From<::sled::Error> for IndexError {
    fn from(error: ::sled::Error) -> Self {
        Self(error.to_string())
    }
}

fn guarded<T>(call: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no text");
        Err(IndexError(format!("sled panicked: {text}")))
    })
}

fn commit_key(first: u64) -> [u8; 9] {
    let mut key = [b'c'; 9];
    key[1..].copy_from_slice(&first.to_be_bytes());
    key
}

fn stream_key(stream: Stream, sequence: u64) -> [u8; 26] {
    let mut key = [0; 26];
    key[0] = b's';
    if let Stream::Database(id) = stream {
        key[1] = 1;
        key[2..18].copy_from_slice(id.0.as_bytes());
    }
    key[18..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// A hash, since sled does not take long keys well. The reader compares owner and key.
fn idempotency_key(owner: &KeyOwner, key: &str) -> Vec<u8> {
    let owner = owner.to_string();
    let hash = Sha256::new()
        .chain_update((owner.len() as u64).to_be_bytes())
        .chain_update(owner)
        .chain_update(key)
        .finalize();
    [b"i".as_slice(), &hash].concat()
}

fn commit_value(commit: &IndexedCommit<'_>) -> Vec<u8> {
    let inline = [&commit.previous_hash, [INLINE].as_slice(), commit.body];
    if inline.iter().map(|it| it.len()).sum::<usize>() <= LARGEST_VALUE {
        return inline.concat();
    }
    [
        &commit.previous_hash,
        [IN_JOURNAL].as_slice(),
        &commit.at.segment.to_be_bytes(),
        &commit.at.offset.to_be_bytes(),
    ]
    .concat()
}

fn found_commit(key: &[u8], value: IVec) -> Result<FoundCommit, IndexError> {
    let first_sequence = Fields(key.get(1..).unwrap_or_default()).number()?;
    let mut fields = Fields(&value);
    let previous_hash = fields.array()?;
    let [tag] = fields.array()?;
    let body = match tag {
        INLINE => {
            let start = value.len() - fields.0.len();
            FoundBody::Inline(value.clone(), start)
        }
        IN_JOURNAL => FoundBody::InJournal(Location {
            segment: u32::from_be_bytes(fields.array()?),
            offset: fields.number()?,
        }),
        _ => return Err(malformed("a commit")),
    };
    Ok(FoundCommit {
        first_sequence,
        previous_hash,
        body,
    })
}

fn head_value(head: &Head) -> Vec<u8> {
    [
        [FORMAT].as_slice(),
        &head.sequence.0.to_be_bytes(),
        &head.hash,
        &head.time.millis().to_be_bytes(),
    ]
    .concat()
}

/// Reads fixed-width fields one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], IndexError> {
        let (field, rest) = self.0.split_first_chunk().ok_or(malformed("a value"))?;
        self.0 = rest;
        Ok(*field)
    }

    fn number(&mut self) -> Result<u64, IndexError> {
        self.array().map(u64::from_be_bytes)
    }
}

fn malformed(what: &str) -> IndexError {
    IndexError(format!("{what} has another form than was written"))
}
