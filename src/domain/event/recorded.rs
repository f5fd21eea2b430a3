//! Events with their place in the log, and the commits that carry them.
use super::Event;
use crate::clock::timestamp::Timestamp;
use crate::domain::ids::{Actor, CommitId, JobId, RequestId, Sequence, TokenId};
use std::fmt;
use std::sync::Arc;

/// SHA-256 over the previous event's hash and this event's canonical JSON.
pub type Hash = [u8; 32];

/// The hash before the first event.
pub const NO_HASH: Hash = [0; 32];

/// What is known of a commit besides its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitHeader {
    /// When it was decided; never earlier than the commit before.
    pub time: Timestamp,
    /// What the clock showed, where that was earlier than the commit before: the clock was ahead
    /// once. Commits of formats 1 and 2 do not say it.
    pub clock: Option<Timestamp>,
    /// Its own id.
    pub id: CommitId,
    /// The actor who caused it.
    pub actor: Actor,
    /// The token it came with; none for root and for the forge's own commands. Commits of formats
    /// 1 and 2 do not say it.
    pub token: Option<TokenId>,
    /// The HTTP request that caused it, or the one made for the forge's own commands.
    pub request: RequestId,
    /// The request at the beginning of the chain of causes.
    pub correlation: RequestId,
    /// The event that caused it, where one did.
    pub causation: Option<Sequence>,
    /// The caller's key for doing this once, and what it was used for.
    pub idempotency: Option<Idempotency>,
}

impl CommitHeader {
    /// The moment of the decision as the clock showed it: what is promised from now on counts
    /// from here.
    #[must_use]
    pub fn wall_time(&self) -> Timestamp {
        self.clock.unwrap_or(self.time)
    }

    /// The owner of its idempotency key, if it has one.
    #[must_use]
    pub fn key_owner(&self) -> KeyOwner {
        match self.token {
            Some(token) => KeyOwner::Token(token),
            None => KeyOwner::Actor(self.actor.clone()),
        }
    }

    /// Whether it used this key of this owner.
    #[must_use]
    pub fn uses_key(&self, owner: &KeyOwner, key: &str) -> bool {
        let idempotency = self.idempotency.as_ref();
        idempotency.is_some_and(|it| it.key == key) && self.key_owner() == *owner
    }
}

/// The owner of an idempotency key: two owners may use the same key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyOwner {
    /// A token's, whatever other tokens had its name before.
    Token(TokenId),
    /// Root's, the forge's own, or that of a token in a commit which does not say which one.
    Actor(Actor),
}

/// The text that stands for the owner in an index. No actor has the form of an id.
impl fmt::Display for KeyOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(token) => token.fmt(f),
            Self::Actor(actor) => f.write_str(&actor.0),
        }
    }
}

/// A caller's promise that two requests are the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The `Idempotency-Key`; unique per [`KeyOwner`].
    pub key: String,
    /// SHA-256 over method, path, query and body, lower-case hex.
    pub fingerprint: String,
}

/// Events decided together: all are kept or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommit {
    /// Everything but the events.
    pub header: CommitHeader,
    /// At least one.
    pub events: Vec<Event>,
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its place.
    pub sequence: Sequence,
    /// What it shares with the events of its commit.
    pub commit: Arc<CommitHeader>,
    /// What happened, in today's form.
    pub event: Event,
    /// The version it was stored in.
    pub schema_version: u16,
    /// Canonical JSON of its fields as stored, kept only where an upcast changed them.
    pub data_before_upcast: Option<Box<str>>,
    /// The hash of the event before it.
    pub previous_hash: Hash,
    /// Its own hash.
    pub hash: Hash,
}

/// The log's last event, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its place; 0 for an empty log.
    pub sequence: Sequence,
    /// Its hash.
    pub hash: Hash,
    /// When it was appended.
    pub time: Timestamp,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            sequence: Sequence(0),
            hash: NO_HASH,
            time: Timestamp::default(),
        }
    }
}

/// The job that a commit put in the queue, where it did.
#[must_use]
pub fn enqueued_job(events: &[RecordedEvent]) -> Option<JobId> {
    events.iter().find_map(|it| {
        let Event::JobEnqueued(enqueued) = &it.event else {
            return None;
        };
        Some(enqueued.job)
    })
}
