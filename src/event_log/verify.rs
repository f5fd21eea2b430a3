//! Verifying a journal: every checksum, every event, the whole chain.
//!
//! Reads the journal alone, takes no lock, changes nothing, and can run beside a live gateway:
//! an unfinished write at the end is told, and no fault.
use super::chain;
use super::codec::StoredCommit;
use super::journal::scan::{self, Rest};
use super::journal::segment;
use crate::domain::event::recorded::{Head, RecordedEvent};
use crate::domain::ids::Sequence;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

pub use super::journal::scan::Damage;
pub use super::journal::segment::Location;

/// A journal that holds what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many events it has.
    pub events: u64,
    /// How many commits they came in.
    pub commits: u64,
    /// How many files it has.
    pub segments: usize,
    /// How many of those are in the archive alone.
    pub archived: usize,
    /// The last event in those.
    pub archived_to: Sequence,
    pub head: Head,
    /// Bytes behind it that are no whole commit: being written, or cut short by a crash.
    pub unfinished_bytes: u64,
}

/// Why a journal is not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is not what was written.
    #[error("{damage}; the {} events before it verify", last_good.sequence)]
    Damaged {
        /// Where, and what is wrong.
        damage: Damage,
        /// The last event that verifies.
        last_good: Head,
    },
    /// It cannot be read at all.
    #[error("the journal cannot be read")]
    Unreadable(#[from] io::Error),
}

/// Verifies the journal of the log in `folder` from its first byte to its last.
///
/// # Errors
/// Names the first place that is not what was written.
pub fn verify(folder: &Path) -> Result<Verified, VerifyError> {
    verify_each(folder, |_| {})
}

/// Verifies the journal of the log in `folder`, and shows every event that verifies to `visit`.
///
/// # Errors
/// Names the first place that is not what was written; events behind it are not shown.
pub fn verify_each(
    folder: &Path,
    mut visit: impl FnMut(&RecordedEvent),
) -> Result<Verified, VerifyError> {
    let journal = folder.join("journal");
    // Where there is no journal there is nothing to find fault with, and nothing to trust.
    std::fs::metadata(&journal)?;
    let mut head = Head::default();
    let mut commits = 0;
    let mut ends: BTreeMap<u32, Sequence> = BTreeMap::new();
    let accept = |at: Location, body: &[u8]| {
        let stored = StoredCommit::read(body).map_err(|error| error.to_string())?;
        let events = stored
            .events(head.hash)
            .map_err(|error| error.to_string())?;
        let mut behind = head;
        for recorded in &events {
            chain::follow(&mut behind, recorded).map_err(|error| error.to_string())?;
        }
        events.iter().for_each(&mut visit);
        head = behind;
        ends.insert(at.segment, head.sequence);
        commits += 1;
        Ok(())
    };
    let walk = scan::walk(&journal, accept, |_, _| {})?;
    let unfinished_bytes = match walk.rest {
        Rest::Nothing => 0,
        Rest::Torn { bytes } => bytes,
        Rest::Damage(damage) => {
            return Err(VerifyError::Damaged {
                damage,
                last_good: head,
            });
        }
    };
    let is_archived = |number: &&u32| segment::is_archived(&journal, **number);
    let archived: Vec<u32> = walk.segments.iter().filter(is_archived).copied().collect();
    let archived_to = archived.iter().rev().find_map(|number| ends.get(number));
    Ok(Verified {
        events: head.sequence.0,
        commits,
        segments: walk.segments.len(),
        archived: archived.len(),
        archived_to: archived_to.copied().unwrap_or_default(),
        head,
        unfinished_bytes,
    })
}
