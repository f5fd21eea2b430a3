//! Signed checkpoints: the log's head at a moment, signed, to be copied away.
//!
//! The chain of hashes shows a change inside the log, and nothing of a tail that was cut or of a
//! history that was made anew: a shorter chain is whole, too. A checkpoint that is kept
//! elsewhere shows both. It is not an event, since it would go with the tail that it vouches for.
mod comparison;
mod file;
mod key;

pub use self::comparison::{Comparison, Contradiction, HeldCheckpoints};
pub use self::file::{Checkpoints, FileError, read_lines};
pub use self::key::{KeyError, NoKey, PublicKey, SigningKey};

use crate::clock::timestamp::Timestamp;
use crate::domain::event::recorded::Head;
use crate::domain::ids::Sequence;
use serde::{Deserialize, Serialize};

/// What a signature is for, so that it is good for nothing else.
const PURPOSE: &str = "dbforge checkpoint";

/// The head of the log at a moment, signed. Its line of the file is its JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The last event then.
    pub sequence: Sequence,
    /// That event's hash, which covers the whole history up to it: 64 hex digits.
    pub hash: String,
    pub time: Timestamp,
    /// Which key signed it: 16 hex digits.
    pub key_id: String,
    /// Ed25519 over [`Self::message`]: 128 hex digits.
    pub signature: String,
}

impl Checkpoint {
    /// Signs a head.
    #[must_use]
    pub fn sign(head: Head, time: Timestamp, key: &SigningKey) -> Self {
        let mut checkpoint = Self {
            sequence: head.sequence,
            hash: hex::encode(head.hash),
            time,
            key_id: key.public().id(),
            signature: String::new(),
        };
        checkpoint.signature = key.sign(checkpoint.message().as_bytes());
        checkpoint
    }

    /// What is signed: five lines of plain text, so that any tool can check it.
    #[must_use]
    pub fn message(&self) -> String {
        let Self {
            sequence,
            hash,
            time,
            key_id,
            ..
        } = self;
        format!("{PURPOSE}\n{sequence}\n{hash}\n{time}\n{key_id}\n")
    }

    /// Whether one of these keys signed it, just as it is.
    ///
    /// # Errors
    /// When none of them is the one that it names, or that one did not.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<(), SignatureError> {
        let key = keys.iter().find(|key| key.id() == self.key_id);
        let key = key.ok_or_else(|| SignatureError::OtherKey(self.key_id.clone()))?;
        if key.has_signed(self.message().as_bytes(), &self.signature) {
            Ok(())
        } else {
            Err(SignatureError::NotSigned)
        }
    }
}

/// Why a checkpoint proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key is not trusted.
    #[error("it was signed with the key {0}, which is not trusted")]
    OtherKey(String),
    /// It was changed, or never signed.
    #[error("its signature does not match")]
    NotSigned,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(key: &SigningKey) -> Checkpoint {
        let head = Head {
            sequence: Sequence(7),
            hash: [3; 32],
            time: Timestamp::from_millis(0),
        };
        Checkpoint::sign(head, Timestamp::from_millis(1_772_366_400_000), key)
    }

    #[test]
    fn whatever_is_changed_in_a_checkpoint_shows() {
        let key = SigningKey::fresh().unwrap();
        let keys = [key.public()];
        let signed = checkpoint(&key);
        assert_eq!(signed.verify(&keys), Ok(()));
        let changes: [fn(&mut Checkpoint); 4] = [
            |it| it.sequence = Sequence(6),
            |it| it.hash.replace_range(..1, "1"),
            |it| it.time = Timestamp::from_millis(0),
            |it| it.signature.replace_range(..8, "00000000"),
        ];
        for change in changes {
            let mut changed = signed.clone();
            change(&mut changed);
            assert_eq!(changed.verify(&keys), Err(SignatureError::NotSigned));
        }
        for no_signature in ["", "zz", "00"] {
            let mut changed = signed.clone();
            changed.signature = no_signature.into();
            assert_eq!(changed.verify(&keys), Err(SignatureError::NotSigned));
        }
    }

    #[test]
    fn only_a_trusted_key_counts() {
        let (ours, other) = (SigningKey::fresh().unwrap(), SigningKey::fresh().unwrap());
        let foreign = checkpoint(&other);
        let refused = foreign.verify(&[ours.public()]);
        assert_eq!(refused, Err(SignatureError::OtherKey(other.public().id())));
        assert_eq!(foreign.verify(&[ours.public(), other.public()]), Ok(()));
        let renamed = Checkpoint {
            key_id: ours.public().id(),
            ..foreign
        };
        let refused = renamed.verify(&[ours.public()]);
        assert_eq!(refused, Err(SignatureError::NotSigned));
    }
}
