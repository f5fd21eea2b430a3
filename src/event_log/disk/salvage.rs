//! The longest history that verifies in what is left of both copies.
//!
//! Every good frame of the journal, before or behind damage, and every commit of the index is a
//! candidate for its place; the chain decides. The history is read in place: nothing is written.
use super::reads::Commit;
use super::verified_log::body_of;
use crate::domain::event::recorded::{Hash, Head};
use crate::event_log::chain;
use crate::event_log::codec::StoredCommit;
use crate::event_log::journal::reader::{JournalReader, Marks};
use crate::event_log::journal::scan;
use crate::event_log::journal::segment::Location;
use crate::event_log::sled::Index;
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// A history put together from both copies.
#[derive(Debug)]
pub(super) struct SalvagedLog {
    journal: JournalReader,
    index: Option<Index>,
    commits: Vec<Saved>,
    head: Head,
}

#[derive(Debug, Clone, Copy)]
struct Saved {
    first_sequence: u64,
    previous_hash: Hash,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Journal(Location),
    Index,
}

impl SalvagedLog {
    /// Puts the longest history together.
    ///
    /// # Errors
    /// When the journal's folder cannot be listed.
    pub(super) fn gather(journal_folder: &Path, index: Option<Index>) -> io::Result<Self> {
        let mut in_journal: HashMap<u64, Vec<Location>> = HashMap::new();
        let mut remember = |at, body: &[u8]| {
            if let Ok(stored) = StoredCommit::read(body) {
                in_journal
                    .entry(stored.first_sequence)
                    .or_default()
                    .push(at);
            }
        };
        let accept_none = |_, _: &[u8]| Err(String::new());
        scan::walk(journal_folder, accept_none, &mut remember)?;
        let mut log = Self {
            journal: JournalReader::new(journal_folder, Marks::default()),
            index,
            commits: Vec::new(),
            head: Head::default(),
        };
        loop {
            let next = log.head.sequence.next().0;
            let places = in_journal.remove(&next).unwrap_or_default();
            let places = places.into_iter().map(Place::Journal);
            let verified = places
                .chain([Place::Index])
                .any(|place| log.extend(next, place));
            if !verified {
                return Ok(log);
            }
        }
    }

    /// Where it ends.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// Whether all of it lies in the journal.
    pub(super) fn is_in_the_journal(&self) -> bool {
        self.commits
            .iter()
            .all(|commit| commit.place != Place::Index)
    }

    /// The commits from the one that holds `sequence` on.
    pub(super) fn commits_from(&self, sequence: u64) -> impl Iterator<Item = Commit> + '_ {
        let behind = self
            .commits
            .partition_point(|it| it.first_sequence <= sequence);
        self.commits[behind.saturating_sub(1)..].iter().map(|it| {
            let body = self.body(it.first_sequence, it.place)?;
            let stored = StoredCommit::read(&body).map_err(|error| error.to_string())?;
            stored.events(it.previous_hash).map_err(|it| it.to_string())
        })
    }

    /// Whether it contains the event of `high_water_mark`.
    pub(super) fn holds(&self, high_water_mark: &Head) -> bool {
        let sequence = high_water_mark.sequence.0;
        if sequence == 0 {
            return true;
        }
        self.commits_from(sequence)
            .next()
            .and_then(Result::ok)
            .is_some_and(|events| {
                events
                    .iter()
                    .any(|it| it.sequence.0 == sequence && it.hash == high_water_mark.hash)
            })
    }

    /// The bodies of all commits in order.
    pub(super) fn bodies(&self) -> impl Iterator<Item = Result<Vec<u8>, String>> + '_ {
        self.commits
            .iter()
            .map(|it| self.body(it.first_sequence, it.place))
    }

    /// Takes the commit at `place` if it verifies.
    fn extend(&mut self, first_sequence: u64, place: Place) -> bool {
        let Ok(body) = self.body(first_sequence, place) else {
            return false;
        };
        let Ok(events) = StoredCommit::read(&body).and_then(|stored| stored.events(self.head.hash))
        else {
            return false;
        };
        let mut head = self.head;
        if !events
            .iter()
            .all(|event| chain::follow(&mut head, event).is_ok())
        {
            return false;
        }
        self.commits.push(Saved {
            first_sequence,
            previous_hash: self.head.hash,
            place,
        });
        self.head = head;
        true
    }

    fn body(&self, first_sequence: u64, place: Place) -> Result<Vec<u8>, String> {
        match place {
            Place::Journal(at) => self.journal.body_at(at).map_err(|error| error.to_string()),
            Place::Index => {
                let index = self.index.as_ref().ok_or("there is no index")?;
                let found = index
                    .commit(first_sequence)
                    .map_err(|error| error.to_string())?;
                let found = found.ok_or("it is not in the index")?;
                body_of(&found, &self.journal).map(std::borrow::Cow::into_owned)
            }
        }
    }
}
