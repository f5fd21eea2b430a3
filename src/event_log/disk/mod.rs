//! The event log on disk: a journal that is the truth, and an index that serves reads.
//!
//! Appending is: link the group to the head, write it to the journal, `fdatasync`, add it to the
//! index, show it to readers. Whatever fails before the sync ends leaves nothing behind; what
//! fails after it costs speed and no event.
mod head_file;
mod heal;
mod indexing;
mod inspection;
mod open;
mod pending_report;
mod reads;
mod report;
mod reserve;
mod salvage;
mod verified_log;

pub use self::report::{OpenError, OpenFinding, OpenReport, Segments};
pub use self::reserve::room_for_commands;

use self::reads::Span;
use self::reserve::Reserve;
use self::salvage::SalvagedLog;
use self::verified_log::VerifiedLog;
use super::chain;
use super::journal::writer::{JournalWriter, SEGMENT_BYTES, WriteError};
use super::{AppendError, EventLog, ReadError};
use crate::clock::Stopwatch;
use crate::domain::event::recorded::{Head, KeyOwner, NewCommit, RecordedEvent};
use crate::domain::event::{Event, Stream};
use crate::domain::ids::Sequence;
use crate::locks::{Mutex, RwLock};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, OnceLock};
use std::time::Duration;

/// After this many commits `HEAD` is written and the index flushed, so that a crash leaves
/// little to catch up with.
const COMMITS_PER_FLUSH: usize = 256;

/// The same after this time, so that both copies soon hold what a quiet forge appended.
const FLUSH_PAUSE: Duration = Duration::from_secs(1);

/// How a log on disk is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A journal's segment is sealed before it grows beyond this many bytes.
    pub segment_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES,
        }
    }
}

/// An event log that survives power loss.
#[derive(Debug)]
pub struct DiskEventLog {
    folder: PathBuf,
    history: History,
    writer: Mutex<Writer>,
    head: RwLock<Head>,
    read_only: OnceLock<String>,
    reserve: Reserve,
    /// Held as long as the log is open; the last field, so it is released last.
    _lock: File,
}

/// Where events are read.
#[derive(Debug)]
enum History {
    Verified(VerifiedLog),
    Salvaged(SalvagedLog),
}

#[derive(Debug)]
struct Writer {
    /// None in a log that was opened read-only.
    journal: Option<JournalWriter>,
    unflushed_commits: usize,
    since_flush: Stopwatch,
}

impl DiskEventLog {
    fn turn_read_only(&self, reason: String) -> AppendError {
        tracing::error!(reason, "the event log is read-only from now on");
        let reason = self.read_only.get_or_init(|| reason).clone();
        AppendError::ReadOnly { reason }
    }

    fn flush(&self, writer: &mut Writer, head: &Head) {
        writer.unflushed_commits = 0;
        writer.since_flush = Stopwatch::start();
        if let History::Verified(log) = &self.history {
            log.flush();
        }
        write_head_file(&self.folder, head);
    }

    fn span(&self, after: Sequence, limit: usize) -> Span {
        Span {
            after: after.0,
            end: self.head().sequence.0,
            limit,
        }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock()
    }
}

impl EventLog for DiskEventLog {
    fn append(
        &self,
        expected_end: Sequence,
        commits: Vec<NewCommit>,
    ) -> Result<Vec<RecordedEvent>, AppendError> {
        let mut writer = self.writer();
        if let Some(reason) = self.read_only() {
            return Err(AppendError::ReadOnly { reason });
        }
        let group = chain::record_group(self.head(), expected_end, commits)?;
        let (History::Verified(log), Some(journal)) = (&self.history, &mut writer.journal) else {
            return Err(self.turn_read_only("it was opened read-only".to_owned()));
        };
        if group.commits.is_empty() {
            return Ok(group.events);
        }
        let appended = journal
            .append(group.commits.iter().map(|(body, ..)| body.as_slice()))
            .map_err(|error| match error {
                WriteError::NoRoom => AppendError::DiskFull,
                WriteError::NoFiles => AppendError::NoFiles,
                WriteError::Broken { .. } => self.turn_read_only(error.to_string()),
            })?;
        // From here on the commits are kept, whatever else fails.
        log.follow(&group.commits, &appended.locations, &group.head);
        *self.head.write() = group.head;
        let is_healing = |it: &RecordedEvent| matches!(it.event, Event::LogHealed(_));
        if group.events.iter().any(is_healing) {
            pending_report::remove(&self.folder);
        }
        writer.unflushed_commits += group.commits.len();
        if appended.sealed
            || writer.unflushed_commits >= COMMITS_PER_FLUSH
            || writer.since_flush.elapsed() >= FLUSH_PAUSE
        {
            self.flush(&mut writer, &group.head);
        }
        Ok(group.events)
    }

    fn read_after(&self, after: Sequence, limit: usize) -> Result<Vec<RecordedEvent>, ReadError> {
        let span = self.span(after, limit);
        if span.is_empty() {
            return Ok(Vec::new());
        }
        match &self.history {
            History::Verified(log) => log.read_after(span),
            History::Salvaged(log) => reads::all(log.commits_from(after.0.saturating_add(1)), span),
        }
        .map_err(|reason| ReadError { after, reason })
    }

    fn read_each(&self, sequences: &[Sequence]) -> Result<Vec<RecordedEvent>, ReadError> {
        let (Some(first), Some(last)) = (sequences.first(), sequences.last()) else {
            return Ok(Vec::new());
        };
        let after = Sequence(first.0.saturating_sub(1));
        if *last > self.head().sequence || *first == Sequence(0) {
            let reason = format!("there are no events {first} to {last}");
            return Err(ReadError { after, reason });
        }
        match &self.history {
            History::Verified(log) => log.read_each(sequences),
            History::Salvaged(log) => reads::each(sequences, |span| {
                reads::all(log.commits_from(span.after.saturating_add(1)), span)
            }),
        }
        .map_err(|reason| ReadError { after, reason })
    }

    fn read_stream(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let span = self.span(after, limit);
        if span.is_empty() {
            return Ok(Vec::new());
        }
        match &self.history {
            History::Verified(log) => log.read_stream(stream, span),
            History::Salvaged(log) => {
                reads::of_stream(log.commits_from(after.0.saturating_add(1)), stream, span)
            }
        }
        .map_err(|reason| ReadError { after, reason })
    }

    fn find_idempotent(
        &self,
        owner: &KeyOwner,
        key: &str,
    ) -> Result<Option<Vec<RecordedEvent>>, ReadError> {
        let end = self.head().sequence.0;
        if end == 0 {
            return Ok(None);
        }
        match &self.history {
            History::Verified(log) => log.find_idempotent(owner, key, end),
            History::Salvaged(log) => reads::with_key(log.commits_from(1), owner, key, end),
        }
        .map_err(|reason| ReadError {
            after: Sequence(0),
            reason,
        })
    }

    fn keep_reserve(&self) -> bool {
        // Nothing is appended to a log that is read-only: it needs no room.
        self.read_only().is_some() || self.reserve.keep()
    }

    fn open_reserve(&self) {
        self.reserve.open();
    }

    fn head(&self) -> Head {
        *self.head.read()
    }

    fn read_only(&self) -> Option<String> {
        self.read_only.get().cloned()
    }

    fn close(&self) {
        let mut writer = self.writer();
        if writer.journal.is_some() {
            self.flush(&mut writer, &self.head());
        }
    }
}

/// Writes the high-water mark of the log. A missing or old one does no harm while
/// both copies are well, so a failure is told and not final.
fn write_head_file(folder: &Path, head: &Head) {
    if head.sequence == Sequence(0) {
        return;
    }
    if let Err(error) = head_file::write(folder, head) {
        tracing::warn!(%error, "failed to write the event log's file HEAD");
    }
}
