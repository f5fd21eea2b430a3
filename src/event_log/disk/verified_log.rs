//! Reads a log whose journal was verified. The journal has the events in the order of their
//! sequences; the index finds those of a stream and of an idempotency key, and stands in for the
//! journal where that cannot be read.
use super::reads::{self, Commit, Span};
use crate::clock::Stopwatch;
use crate::domain::event::Stream;
use crate::domain::event::recorded::{Head, KeyOwner, RecordedEvent};
use crate::domain::ids::Sequence;
use crate::event_log::codec::StoredCommit;
use crate::event_log::journal::reader::JournalReader;
use crate::event_log::journal::segment::Location;
use crate::event_log::sled::{FoundBody, FoundCommit, Index, IndexError, IndexedCommit};
use crate::locks::Mutex;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// In the log's folder: the index failed and is to be made again at the next start.
pub(super) const DISTRUSTED: &str = "events.sled.distrusted";

/// Between two warnings that the journal cannot be read.
const WARNING_PAUSE: Duration = Duration::from_secs(10);

/// A verified journal, and usually an index.
#[derive(Debug)]
pub(super) struct VerifiedLog {
    folder: PathBuf,
    journal: JournalReader,
    index: Option<Index>,
    /// Why the index is no longer asked.
    distrusted: OnceLock<String>,
    /// Since it was last told that the journal cannot be read.
    warned: Mutex<Option<Stopwatch>>,
}

impl VerifiedLog {
    pub(super) fn new(folder: &Path, journal: JournalReader, index: Option<Index>) -> Self {
        Self {
            folder: folder.to_owned(),
            journal,
            index,
            distrusted: OnceLock::new(),
            warned: Mutex::default(),
        }
    }

    /// Takes up commits that the journal keeps from now on.
    pub(super) fn follow(
        &self,
        commits: &[(Vec<u8>, u64, [u8; 32])],
        at: &[Location],
        head: &Head,
    ) {
        for ((_, first, _), at) in commits.iter().zip(at) {
            self.journal.note(*first, *at);
        }
        let Some(index) = self.trusted_index() else {
            return;
        };
        let indexed: Vec<_> = commits
            .iter()
            .zip(at)
            .map(|((body, _, previous_hash), at)| IndexedCommit {
                body,
                previous_hash: *previous_hash,
                at: *at,
            })
            .collect();
        if let Err(error) = index.apply(&indexed, head) {
            self.distrust(&error.to_string());
        }
    }

    /// Hands the index to the operating system, so that little has to be applied again.
    pub(super) fn flush(&self) {
        if let Some(Err(error)) = self.trusted_index().map(Index::flush) {
            self.distrust(&error.to_string());
        }
    }

    pub(super) fn read_after(&self, span: Span) -> Result<Vec<RecordedEvent>, String> {
        let first = span.after.saturating_add(1);
        let reason = match reads::all(self.journal_from(first), span) {
            Ok(events) => return Ok(events),
            Err(reason) => reason,
        };
        self.warn(first, &reason);
        self.ask(
            |index| {
                let commits = index.commits_from(first);
                reads::all(commits.map(|found| self.commit(found)), span)
            },
            || Err(reason),
        )
    }

    /// The events with these sequences, which rise and are in the log.
    pub(super) fn read_each(&self, sequences: &[Sequence]) -> Result<Vec<RecordedEvent>, String> {
        let reason = match self.each_by_journal(sequences) {
            Ok(events) => return Ok(events),
            Err(reason) => reason,
        };
        self.warn(sequences.first().map_or(0, |first| first.0), &reason);
        reads::each(sequences, |span| self.read_after(span))
    }

    fn each_by_journal(&self, sequences: &[Sequence]) -> Result<Vec<RecordedEvent>, String> {
        let mut walk = self.journal.walk();
        let mut found = Vec::with_capacity(sequences.len());
        let mut left = sequences;
        while let Some(next) = left.first() {
            let frame = walk.frame_of(next.0);
            let (hash, body) = frame.map_err(|error| format!("event {next}: {error}"))?;
            let stored = StoredCommit::read(body).map_err(|error| error.to_string())?;
            let last = stored.last_sequence();
            let (here, behind) = left.split_at(left.partition_point(|place| place.0 <= last));
            let events =
                stored.events_among(hash, |sequence| here.binary_search(&sequence).is_ok());
            found.append(&mut events.map_err(|error| error.to_string())?);
            if here.is_empty() || found.len() + behind.len() != sequences.len() {
                return Err(format!("event {next} is missing"));
            }
            left = behind;
        }
        Ok(found)
    }

    pub(super) fn read_stream(
        &self,
        stream: Stream,
        span: Span,
    ) -> Result<Vec<RecordedEvent>, String> {
        self.ask(
            |index| self.stream_by_index(index, stream, span),
            || {
                reads::of_stream(
                    self.journal_from(span.after.saturating_add(1)),
                    stream,
                    span,
                )
            },
        )
    }

    pub(super) fn find_idempotent(
        &self,
        owner: &KeyOwner,
        key: &str,
        end: u64,
    ) -> Result<Option<Vec<RecordedEvent>>, String> {
        self.ask(
            |index| {
                let first = index.idempotent(owner, key);
                let Some(first) = first.map_err(|error| error.to_string())? else {
                    return Ok(None);
                };
                let events = self.commit_at(index, first)?;
                if !reads::uses_key(&events, owner, key) {
                    return Err(format!(
                        "event {first} does not use the key it is kept under"
                    ));
                }
                Ok((first <= end).then_some(events))
            },
            || reads::with_key(self.journal_from(1), owner, key, end),
        )
    }

    /// Tells that the journal cannot be read, though not for every read of an archive that is away.
    fn warn(&self, first: u64, reason: &str) {
        let mut warned = self.warned.lock();
        if warned.is_none_or(|since| since.elapsed() >= WARNING_PAUSE) {
            *warned = Some(Stopwatch::start());
            tracing::warn!(
                reason,
                "failed to read the journal from event {first} on; reading the index instead"
            );
        }
    }

    /// Asks the index while it is trusted; what it cannot answer, the journal does.
    fn ask<T>(
        &self,
        by_index: impl FnOnce(&Index) -> Result<T, String>,
        by_journal: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        if let Some(index) = self.trusted_index() {
            match by_index(index) {
                Ok(answer) => return Ok(answer),
                Err(reason) => self.distrust(&reason),
            }
        }
        by_journal()
    }

    fn trusted_index(&self) -> Option<&Index> {
        self.index
            .as_ref()
            .filter(|_| self.distrusted.get().is_none())
    }

    fn distrust(&self, reason: &str) {
        if self.distrusted.set(reason.to_owned()).is_err() {
            return;
        }
        tracing::warn!(
            reason,
            "the event log's index failed; reading events from the journal until the next start"
        );
        if let Err(error) = File::create(self.folder.join(DISTRUSTED)) {
            tracing::warn!(%error, "failed to mark the index for a rebuild");
        }
    }

    fn stream_by_index(
        &self,
        index: &Index,
        stream: Stream,
        span: Span,
    ) -> Result<Vec<RecordedEvent>, String> {
        let entries = index
            .stream_after(stream, span.after, span.limit)
            .map_err(|error| error.to_string())?;
        let mut found = Vec::with_capacity(entries.len());
        let mut commit: Vec<RecordedEvent> = Vec::new();
        for (sequence, first) in entries {
            if sequence > span.end {
                break;
            }
            if commit.first().is_none_or(|event| event.sequence.0 != first) {
                commit = self.commit_at(index, first)?;
            }
            let event = commit.iter().find(|event| event.sequence.0 == sequence);
            found.extend(event.cloned());
        }
        Ok(found)
    }

    fn commit_at(&self, index: &Index, first: u64) -> Commit {
        let found = index.commit(first).map_err(|error| error.to_string())?;
        let found = found.ok_or_else(|| format!("the commit of event {first} is missing"))?;
        self.commit(Ok(found))
    }

    fn commit(&self, found: Result<FoundCommit, IndexError>) -> Commit {
        let found = found.map_err(|error| error.to_string())?;
        let body = body_of(&found, &self.journal)?;
        let stored = StoredCommit::read(&body).map_err(|error| error.to_string())?;
        if stored.first_sequence != found.first_sequence {
            return Err(format!("event {} is another one", found.first_sequence));
        }
        stored
            .events(found.previous_hash)
            .map_err(|error| error.to_string())
    }

    fn journal_from(&self, sequence: u64) -> impl Iterator<Item = Commit> {
        let (mut previous_hash, mut frames, mut failed) = match self.journal.frames_from(sequence) {
            Ok((previous_hash, frames)) => (previous_hash, Some(frames), None),
            Err(error) => ([0; 32], None, Some(error.to_string())),
        };
        std::iter::from_fn(move || {
            if let Some(reason) = failed.take() {
                return Some(Err(reason));
            }
            let frame = frames.as_mut()?.next()?;
            Some(
                frame
                    .map_err(|error| error.to_string())
                    .and_then(|(_, body)| {
                        let stored =
                            StoredCommit::read(&body).map_err(|error| error.to_string())?;
                        let before = std::mem::replace(&mut previous_hash, stored.last_hash());
                        stored.events(before).map_err(|error| error.to_string())
                    }),
            )
        })
    }
}

/// A commit's body, from the index or from where that says it is.
pub(super) fn body_of<'a>(
    found: &'a FoundCommit,
    journal: &JournalReader,
) -> Result<std::borrow::Cow<'a, [u8]>, String> {
    match found.body {
        FoundBody::Inline(..) => found
            .body
            .inline()
            .map(std::borrow::Cow::Borrowed)
            .ok_or_else(|| "a commit is cut short".to_owned()),
        FoundBody::InJournal(at) => journal
            .body_at(at)
            .map(std::borrow::Cow::Owned)
            .map_err(|error| error.to_string()),
    }
}
