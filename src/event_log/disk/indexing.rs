//! Bringing the index to where the journal is, or making it again.
use super::heal;
use super::inspection::{IndexState, Places};
use super::report::OpenFinding;
use crate::domain::event::recorded::{Hash, Head};
use crate::domain::ids::Sequence;
use crate::event_log::codec::StoredCommit;
use crate::event_log::journal::reader::JournalReader;
use crate::event_log::journal::segment::Location;
use crate::event_log::sled::{Index, IndexedCommit, StreamEnds};

/// Commits per batch: few enough for sled to take at once, enough to be fast.
const COMMITS_PER_BATCH: usize = 256;

/// What an index is made from.
pub(super) struct Indexing<'a> {
    pub(super) places: &'a Places,
    pub(super) journal: &'a JournalReader,
    /// Where the journal ends.
    pub(super) head: Head,
}

impl Indexing<'_> {
    /// An index that has every commit, or none where sled does not work at all.
    pub(super) fn ready_index(
        &self,
        found: IndexState,
        (reached, streams): (Head, StreamEnds),
        findings: &mut Vec<OpenFinding>,
    ) -> Option<Index> {
        let damage = match found {
            IndexState::Missing => None,
            IndexState::Failed(reason) => Some(reason),
            IndexState::Open(index) => {
                index.expect_streams(streams);
                match self.catch_up(&index, reached) {
                    Ok(0) => return Some(index),
                    Ok(commits) => {
                        findings.push(OpenFinding::IndexCaughtUp { commits });
                        return Some(index);
                    }
                    Err(reason) => Some(reason),
                }
            }
        };
        match self.make(damage) {
            Ok((index, finding)) => {
                findings.extend(finding);
                Some(index)
            }
            Err(reason) => {
                findings.push(OpenFinding::IndexUnusable { reason });
                None
            }
        }
    }

    fn make(&self, damage: Option<String>) -> Result<(Index, Option<OpenFinding>), String> {
        let rebuilt = match damage {
            None => None,
            Some(reason) => {
                let aside = heal::move_index_aside(self.places)
                    .map_err(|error| format!("{reason}; it could not be moved away: {error}"))?;
                Some(OpenFinding::IndexRebuilt { reason, aside })
            }
        };
        let index = Index::open(&self.places.index).map_err(|error| error.to_string())?;
        let commits = self.catch_up(&index, Head::default())?;
        let made = (commits > 0).then_some(OpenFinding::IndexMade { commits });
        Ok((index, rebuilt.or(made)))
    }

    /// Adds what lies behind `reached`; returns how many commits that was.
    fn catch_up(&self, index: &Index, reached: Head) -> Result<u64, String> {
        if reached.sequence >= self.head.sequence {
            return Ok(0);
        }
        let next = reached.sequence.next().0;
        let (mut previous_hash, frames) = self
            .journal
            .frames_from(next)
            .map_err(|error| error.to_string())?;
        let mut batch: Vec<(Vec<u8>, Hash, Location)> = Vec::with_capacity(COMMITS_PER_BATCH);
        let mut added = 0;
        let mut head = reached;
        for frame in frames {
            let (at, body) = frame.map_err(|error| error.to_string())?;
            let commit = StoredCommit::read(&body).map_err(|error| error.to_string())?;
            let before = previous_hash;
            previous_hash = commit.last_hash();
            head = Head {
                sequence: Sequence(commit.last_sequence()),
                hash: commit.last_hash(),
                time: commit.time(),
            };
            batch.push((body, before, at));
            if batch.len() == COMMITS_PER_BATCH || head.sequence == self.head.sequence {
                added += apply(index, &batch, &head)?;
                batch.clear();
            }
            if head.sequence == self.head.sequence {
                break;
            }
        }
        if head.sequence != self.head.sequence {
            return Err(format!(
                "the journal was read to event {} only",
                head.sequence
            ));
        }
        index.flush().map_err(|error| error.to_string())?;
        Ok(added)
    }
}

fn apply(index: &Index, batch: &[(Vec<u8>, Hash, Location)], head: &Head) -> Result<u64, String> {
    let commits: Vec<IndexedCommit<'_>> = batch
        .iter()
        .map(|(body, previous_hash, at)| IndexedCommit {
            body,
            previous_hash: *previous_hash,
            at: *at,
        })
        .collect();
    index
        .apply(&commits, head)
        .map_err(|error| error.to_string())?;
    Ok(batch.len() as u64)
}
