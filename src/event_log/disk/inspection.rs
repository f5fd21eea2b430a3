//! What the journal, the index and `HEAD` say about the log, before anything is changed.
use super::head_file::{self, HighWaterMark};
use super::verified_log::DISTRUSTED;
use crate::domain::event::recorded::Head;
use crate::domain::ids::Sequence;
use crate::event_log::chain;
use crate::event_log::codec::{DecodeError, StoredCommit};
use crate::event_log::journal::reader::Marks;
use crate::event_log::journal::scan::{self, Rest, Walk};
use crate::event_log::sled::{Index, StreamEnds};
use std::io;
use std::path::{Path, PathBuf};

/// The last events whose hashes are computed again at each open, at least: some milliseconds.
const EVENTS_ALWAYS_VERIFIED: u64 = 1_000;

/// Where the parts of a log lie.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) folder: PathBuf,
    pub(super) journal: PathBuf,
    pub(super) index: PathBuf,
}

impl Places {
    pub(super) fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            journal: folder.join("journal"),
            index: folder.join("events.sled"),
        }
    }
}

/// What each part says.
pub(super) struct Inspection {
    pub(super) index: IndexState,
    pub(super) index_head: Head,
    pub(super) high_water_mark: HighWaterMark,
    /// Where the journal's good frames end.
    pub(super) head: Head,
    pub(super) walk: Walk,
    pub(super) marks: Marks,
    /// Where each stream ends in the part that the index has.
    pub(super) indexed_streams: StreamEnds,
    furthest: u64,
    index_agrees: bool,
    mark_agrees: bool,
}

/// The state of the index's folder.
pub(super) enum IndexState {
    Missing,
    /// It opened.
    Open(Index),
    /// It cannot be used: why.
    Failed(String),
}

impl Inspection {
    /// Asks every part. Only opening the index may change anything, and only in the index.
    ///
    /// # Errors
    /// When the journal's folder cannot be listed.
    pub(super) fn gather(places: &Places) -> io::Result<Self> {
        let high_water_mark = head_file::read(&places.folder);
        let (index, index_head) = open_index(places);
        let reached = match &high_water_mark {
            HighWaterMark::Reached(head) => *head,
            HighWaterMark::Missing | HighWaterMark::Damaged(_) => Head::default(),
        };
        let mut head = Head::default();
        let mut marks = Marks::default();
        let mut indexed_streams = StreamEnds::new();
        let mut index_agrees = index_head == Head::default();
        let mut mark_agrees = reached == Head::default();
        let mut furthest = reached.sequence.max(index_head.sequence).0;
        let mut beyond_accepted = 0;
        // Up to there the index or `HEAD` holds the hash that the journal's must lead to.
        let vouched = reached.sequence.max(index_head.sequence).0;
        let verify_behind = vouched.saturating_sub(EVENTS_ALWAYS_VERIFIED);
        let accept = |at, body: &[u8]| {
            let commit = StoredCommit::read(body).map_err(|error| error.to_string())?;
            let expected = head.sequence.next().0;
            if commit.first_sequence != expected {
                let found = commit.first_sequence;
                return Err(format!(
                    "event {expected} should come here, event {found} does"
                ));
            }
            if commit.time() < head.time {
                return Err(format!("event {expected} is older than the one before it"));
            }
            if commit.last_sequence() > verify_behind {
                verify(&commit, head)?;
            }
            marks.note(expected, at);
            if commit.last_sequence() <= index_head.sequence.0 {
                for (sequence, stream) in commit.streams() {
                    indexed_streams.insert(stream, sequence);
                }
            }
            index_agrees |= commit.last_sequence() == index_head.sequence.0
                && commit.last_hash() == index_head.hash;
            mark_agrees |= commit.hash_of(reached.sequence.0) == Some(reached.hash);
            head = Head {
                sequence: Sequence(commit.last_sequence()),
                hash: commit.last_hash(),
                time: commit.time(),
            };
            Ok(())
        };
        let beyond = |_, body: &[u8]| {
            let last = match StoredCommit::read(body) {
                Ok(commit) => commit.last_sequence(),
                // A later program wrote it: nothing that is known here can stand for it.
                Err(DecodeError::UnknownForm { .. }) => u64::MAX,
                Err(_) => 0,
            };
            beyond_accepted = last.max(beyond_accepted);
        };
        let walk = scan::walk(&places.journal, accept, beyond)?;
        furthest = furthest.max(head.sequence.0).max(beyond_accepted);
        Ok(Self {
            index,
            index_head,
            high_water_mark,
            head,
            walk,
            marks,
            indexed_streams,
            furthest,
            index_agrees,
            mark_agrees,
        })
    }

    /// Why the journal cannot simply be believed; nothing when it can.
    pub(super) fn contradiction(&self) -> Option<String> {
        if let Rest::Damage(damage) = &self.walk.rest {
            return Some(format!("the journal's {damage}"));
        }
        let ends = self.head.sequence;
        if self.index_head.sequence > ends {
            let reached = self.index_head.sequence;
            return Some(format!(
                "the journal ends at event {ends}, but the index reached event {reached}"
            ));
        }
        if let HighWaterMark::Reached(reached) = &self.high_water_mark
            && reached.sequence > ends
        {
            let reached = reached.sequence;
            return Some(format!(
                "the journal ends at event {ends}, but HEAD says that it reached event {reached}"
            ));
        }
        if !self.index_agrees {
            return Some("the journal and the index hold different histories".to_owned());
        }
        if !self.mark_agrees {
            return Some("the journal and HEAD tell of different histories".to_owned());
        }
        None
    }

    /// The last event of which any part knows.
    pub(super) fn furthest(&self) -> u64 {
        self.furthest
    }
}

/// Computes the hashes of a commit's events again.
fn verify(commit: &StoredCommit<'_>, before: Head) -> Result<(), String> {
    let events = commit
        .events(before.hash)
        .map_err(|error| error.to_string())?;
    let mut head = before;
    events
        .iter()
        .try_for_each(|it| chain::follow(&mut head, it))
        .map_err(|error| error.to_string())
}

fn open_index(places: &Places) -> (IndexState, Head) {
    if places.folder.join(DISTRUSTED).exists() {
        let reason = "it failed while it was in use".to_owned();
        return (IndexState::Failed(reason), Head::default());
    }
    if !places.index.exists() {
        return (IndexState::Missing, Head::default());
    }
    let opened = Index::open(&places.index).and_then(|index| {
        let head = index.head()?.unwrap_or_default();
        Ok((index, head))
    });
    match opened {
        Ok((index, head)) => (IndexState::Open(index), head),
        Err(error) => (IndexState::Failed(error.to_string()), Head::default()),
    }
}
