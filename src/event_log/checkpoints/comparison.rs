//! Whether a history is the one that checkpoints were made of.
use super::Checkpoint;
use crate::clock::timestamp::Timestamp;
use crate::domain::event::recorded::{Hash, NO_HASH, RecordedEvent};
use crate::domain::ids::Sequence;

/// Follows a history from its first event and looks for what was signed.
#[derive(Debug)]
pub struct Comparison {
    /// Those that are not reached yet, the farthest first.
    ahead: Vec<Checkpoint>,
    held: HeldCheckpoints,
    differs: Option<Checkpoint>,
    reached: Sequence,
}

/// The checkpoints that a history holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldCheckpoints {
    /// How many.
    pub count: usize,
    /// The last event that one of them vouches for.
    pub last: Sequence,
}

/// How a history contradicts a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// It ends below it.
    #[error(
        "the log is truncated: it ends at event {end}, but a checkpoint of {time} signed event \
         {signed}"
    )]
    TailCut {
        end: Sequence,
        /// The event that was signed.
        signed: Sequence,
        time: Timestamp,
    },
    /// It has another event there: it, or something before it, was changed.
    #[error(
        "this is a different history: event {signed} is not the one that a checkpoint of {time} signed"
    )]
    Differs {
        /// The event that was signed.
        signed: Sequence,
        time: Timestamp,
    },
}

impl Comparison {
    /// With these, in any order.
    #[must_use]
    pub fn with(mut checkpoints: Vec<Checkpoint>) -> Self {
        checkpoints.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.sequence));
        let mut comparison = Self {
            ahead: checkpoints,
            held: HeldCheckpoints::default(),
            differs: None,
            reached: Sequence(0),
        };
        // Before the first event there is nothing that could be signed but the empty log.
        comparison.look(Sequence(0), &NO_HASH);
        comparison
    }

    /// Follows the next event.
    pub fn follow(&mut self, recorded: &RecordedEvent) {
        self.look(recorded.sequence, &recorded.hash);
    }

    /// What came of it, at the end of the history.
    ///
    /// # Errors
    /// When a checkpoint says that the history was another one, or longer.
    pub fn end(self) -> Result<HeldCheckpoints, Contradiction> {
        if let Some(it) = self.differs {
            return Err(Contradiction::Differs {
                signed: it.sequence,
                time: it.time,
            });
        }
        match self.ahead.into_iter().next() {
            None => Ok(self.held),
            Some(it) => Err(Contradiction::TailCut {
                end: self.reached,
                signed: it.sequence,
                time: it.time,
            }),
        }
    }

    fn look(&mut self, sequence: Sequence, hash: &Hash) {
        self.reached = sequence;
        while let Some(next) = self
            .ahead
            .pop_if(|checkpoint| checkpoint.sequence <= sequence)
        {
            if next.sequence == sequence && next.hash == hex::encode(hash) {
                self.held.count += 1;
                self.held.last = sequence;
            } else {
                self.differs.get_or_insert(next);
            }
        }
    }
}
