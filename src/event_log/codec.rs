//! The stored form of commits: the one place that knows bincode.
//!
//! A commit's body is its header and its events. Kind and schema version stand outside an
//! event's payload, so that an old version can be read as today's event (`upcast.rs`).
//! Integers have fixed width, bytes behind the end are refused, and no length is believed
//! before that many bytes are there: random bytes give an error and allocate nothing beyond
//! [`LARGEST_COMMIT_READ`].
use super::upcast;
use crate::clock::timestamp::Timestamp;
use crate::domain::event::recorded::{
    CommitHeader, Hash, Idempotency, KeyOwner, NO_HASH, RecordedEvent,
};
use crate::domain::event::{Event, EventKind, Stream};
use crate::domain::ids::{Actor, CommitId, DatabaseId, RequestId, Sequence, TokenId};
use bincode::Options;
use serde::de::DeserializeSeed;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// Most bytes of a commit that is written. A log on several machines takes 1.5 MiB at a time.
pub const MAX_COMMIT_BYTES: usize = 1 << 20;

/// Most bytes of a commit that is read: the bound of versions before 0.2.
pub const LARGEST_COMMIT_READ: usize = 4 << 20;

/// What headers say since format 3 stands in front of the events, as if it were one of this kind:
/// commits that have nothing of it to say are as they always were, and an older program, which
/// does not know the kind, says so and cuts nothing.
const HEADER_ADDITION: u16 = u16::MAX;
/// The form of it.
const ADDITION_VERSION: u16 = 1;

/// Why bytes are no commit, or none that this program can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes have another form.
    #[error("a stored commit is damaged: {0}")]
    Malformed(String),
    /// A commit has at least one event.
    #[error("a commit has no events")]
    NoEvents,
    /// Written by a later version of this program.
    #[error("this version does not know event kind {kind} in schema version {schema_version}")]
    UnknownForm {
        /// The stored number of the kind.
        kind: u16,
        /// The stored version.
        schema_version: u16,
    },
    /// The stream beside the event and the event itself disagree.
    #[error("event {0} is stored in the wrong stream")]
    WrongStream(Sequence),
}

/// A commit as stored, its texts and payloads still where they were read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredCommit<'a> {
    pub(super) first_sequence: u64,
    time_ms: i64,
    #[serde(deserialize_with = "id")]
    id: [u8; 16],
    actor: &'a str,
    #[serde(deserialize_with = "id")]
    request: [u8; 16],
    #[serde(deserialize_with = "id")]
    correlation: [u8; 16],
    causation: Option<u64>,
    #[serde(borrow)]
    pub(super) idempotency: Option<StoredIdempotency<'a>>,
    #[serde(borrow)]
    events: Vec<StoredEvent<'a>>,
    #[serde(skip)]
    addition: HeaderAddition,
}

/// What a header says beyond what it said at first; at least one of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct HeaderAddition {
    token: Option<[u8; 16]>,
    clock_ms: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredIdempotency<'a> {
    pub(super) key: &'a str,
    fingerprint: &'a str,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredEvent<'a> {
    stream: StoredStream,
    kind: u16,
    schema_version: u16,
    payload: &'a [u8],
    #[serde(deserialize_with = "hash")]
    hash: Hash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum StoredStream {
    Forge,
    #[serde(deserialize_with = "id")]
    Database([u8; 16]),
}

/// Reads 16 bytes at once: bincode takes them for the number that they are in little-endian, and
/// would read an array byte by byte.
fn id<'de, D: Deserializer<'de>>(stored: D) -> Result<[u8; 16], D::Error> {
    u128::deserialize(stored).map(u128::to_le_bytes)
}

/// The same for 32.
fn hash<'de, D: Deserializer<'de>>(stored: D) -> Result<Hash, D::Error> {
    let (one, two) = <(u128, u128)>::deserialize(stored)?;
    let mut hash = NO_HASH;
    let (begin, end) = hash.split_at_mut(16);
    begin.copy_from_slice(&one.to_le_bytes());
    end.copy_from_slice(&two.to_le_bytes());
    Ok(hash)
}

/// The first sequence of a commit whose body begins with these bytes.
pub(super) fn first_sequence(body: &[u8]) -> Option<u64> {
    body.first_chunk().copied().map(u64::from_le_bytes)
}

/// The hash of the last event of a commit, whose body is checked and ends with it.
pub(super) fn last_hash(body: &[u8]) -> Option<Hash> {
    body.last_chunk().copied()
}

/// The version in which events of this kind are written today.
#[must_use]
pub const fn schema_version(kind: EventKind) -> u16 {
    match kind {
        EventKind::RuntimeChosen
        | EventKind::DatabaseRequested
        | EventKind::DatabaseChanged
        | EventKind::DatabaseKept
        | EventKind::ScheduleCreated
        | EventKind::ScheduleChanged
        | EventKind::PlanMade => 2,
        _ => 1,
    }
}

/// Reads the fields of an event, in whichever format and schema version they were written, as
/// today's event. Where that is not today's version, the canonical JSON of the form it had comes
/// beside it.
///
/// # Errors
/// [`DecodeError::UnknownForm`] for a kind or version of a later program.
pub(super) fn read_data<'de, D: Deserializer<'de>>(
    kind: u16,
    version: u16,
    data: D,
) -> Result<(Event, Option<Box<str>>), DecodeError> {
    let known = known_form(kind, version)?;
    if version == schema_version(known) {
        return Event::deserialize_data(known, data)
            .map(|event| (event, None))
            .map_err(|error| DecodeError::Malformed(error.to_string()));
    }
    upcast::read(known, version, data)
        .ok_or(DecodeError::UnknownForm {
            kind,
            schema_version: version,
        })?
        .map(|upcast| (upcast.event, Some(upcast.data_as_stored)))
        .map_err(|error| DecodeError::Malformed(error.to_string()))
}

/// Writes the events of one commit, at least one, as its body.
///
/// # Panics
/// Without events: the log leaves such commits out before they come here.
#[must_use]
pub fn encode_commit(events: &[RecordedEvent]) -> Vec<u8> {
    let payloads: Vec<Vec<u8>> = events.iter().map(|it| payload(&it.event)).collect();
    let first = events.first().expect("a commit has at least one event");
    let header = &*first.commit;
    let addition = HeaderAddition {
        token: header.token.map(|token| *token.0.as_bytes()),
        clock_ms: header.clock.map(Timestamp::millis),
    };
    let added = addition.stored();
    let stored = StoredCommit {
        first_sequence: first.sequence.0,
        time_ms: header.time.millis(),
        id: *header.id.0.as_bytes(),
        actor: &header.actor.0,
        request: *header.request.0.as_bytes(),
        correlation: *header.correlation.0.as_bytes(),
        causation: header.causation.map(|it| it.0),
        idempotency: header.idempotency.as_ref().map(|it| StoredIdempotency {
            key: &it.key,
            fingerprint: &it.fingerprint,
        }),
        events: (added.as_deref().map(HeaderAddition::as_event).into_iter())
            .chain(
                events
                    .iter()
                    .zip(&payloads)
                    .map(|(recorded, payload)| StoredEvent {
                        stream: recorded.event.stream().into(),
                        kind: recorded.event.kind().number(),
                        schema_version: recorded.schema_version,
                        payload,
                        hash: recorded.hash,
                    }),
            )
            .collect(),
        addition,
    };
    unlimited()
        .serialize(&stored)
        .expect("a stored commit has plain fields, and memory is the only bound")
}

/// Reads a commit's body; `previous_hash` is that of the event before its first.
///
/// # Errors
/// When the bytes are no commit of a form that this program knows.
pub fn decode_commit(body: &[u8], previous_hash: Hash) -> Result<Vec<RecordedEvent>, DecodeError> {
    StoredCommit::read(body)?.events(previous_hash)
}

impl<'a> StoredCommit<'a> {
    /// Reads a body as far as that goes without its payloads.
    ///
    /// # Errors
    /// When the bytes are no commit, or hold an event of a form that this program does not know.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut commit: Self = limited()
            .deserialize(body)
            .map_err(|error| DecodeError::Malformed(error.to_string()))?;
        if let Some(first) = commit.events.first()
            && let Some(addition) = HeaderAddition::of_event(first)?
        {
            commit.addition = addition;
            commit.events.remove(0);
        }
        if commit.events.is_empty() {
            return Err(DecodeError::NoEvents);
        }
        if commit.first_sequence == 0 || commit.last_sequence_checked().is_none() {
            return Err(DecodeError::Malformed("impossible sequence".to_owned()));
        }
        for event in &commit.events {
            known_form(event.kind, event.schema_version)?;
        }
        Ok(commit)
    }

    /// The sequence of its last event.
    pub(super) fn last_sequence(&self) -> u64 {
        self.last_sequence_checked()
            .expect("read refuses sequences that overflow")
    }

    /// The hash of its last event.
    pub(super) fn last_hash(&self) -> Hash {
        self.events.last().expect("read refuses no events").hash
    }

    /// The hash of its event `sequence`, where that is one of its own.
    pub(super) fn hash_of(&self, sequence: u64) -> Option<Hash> {
        let index = sequence.checked_sub(self.first_sequence)?;
        let event = self.events.get(usize::try_from(index).ok()?)?;
        Some(event.hash)
    }

    /// The owner of its idempotency key, if it has one.
    pub(super) fn key_owner(&self) -> KeyOwner {
        self.header().key_owner()
    }

    /// When it was decided.
    pub(super) fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.time_ms)
    }

    /// The stream of each of its events, in order, with their sequences.
    pub(super) fn streams(&self) -> impl Iterator<Item = (u64, Stream)> + '_ {
        (self.first_sequence..).zip(self.events.iter().map(|event| event.stream.into()))
    }

    /// Its events; `previous_hash` is that of the event before its first.
    ///
    /// # Errors
    /// When a payload is not what its kind says.
    pub(super) fn events(&self, previous_hash: Hash) -> Result<Vec<RecordedEvent>, DecodeError> {
        self.events_among(previous_hash, |_| true)
    }

    /// Those of its events whose sequences are wanted.
    ///
    /// # Errors
    /// As [`Self::events`], for those.
    pub(super) fn events_among(
        &self,
        previous_hash: Hash,
        is_wanted: impl Fn(Sequence) -> bool,
    ) -> Result<Vec<RecordedEvent>, DecodeError> {
        let header = Arc::new(self.header());
        let before = std::iter::once(previous_hash).chain(self.events.iter().map(|it| it.hash));
        (self.first_sequence..)
            .map(Sequence)
            .zip(self.events.iter().zip(before))
            .filter(|(sequence, _)| is_wanted(*sequence))
            .map(|(sequence, (stored, previous_hash))| {
                let (event, data_before_upcast) = stored.read()?;
                if StoredStream::from(event.stream()) != stored.stream {
                    return Err(DecodeError::WrongStream(sequence));
                }
                Ok(RecordedEvent {
                    sequence,
                    commit: Arc::clone(&header),
                    event,
                    schema_version: stored.schema_version,
                    data_before_upcast,
                    previous_hash,
                    hash: stored.hash,
                })
            })
            .collect()
    }

    fn last_sequence_checked(&self) -> Option<u64> {
        let count = u64::try_from(self.events.len()).ok()?;
        self.first_sequence.checked_add(count.checked_sub(1)?)
    }

    fn header(&self) -> CommitHeader {
        CommitHeader {
            time: self.time(),
            clock: self.addition.clock_ms.map(Timestamp::from_millis),
            id: CommitId(Uuid::from_bytes(self.id)),
            actor: Actor(self.actor.to_owned()),
            token: (self.addition.token).map(|token| TokenId(Uuid::from_bytes(token))),
            request: RequestId(Uuid::from_bytes(self.request)),
            correlation: RequestId(Uuid::from_bytes(self.correlation)),
            causation: self.causation.map(Sequence),
            idempotency: self.idempotency.as_ref().map(|it| Idempotency {
                key: it.key.to_owned(),
                fingerprint: it.fingerprint.to_owned(),
            }),
        }
    }
}

impl HeaderAddition {
    /// Its bytes; none where it says nothing.
    fn stored(self) -> Option<Vec<u8>> {
        let bytes = || unlimited().serialize(&self);
        (self != Self::default())
            .then(|| bytes().expect("it has plain fields, and memory is the only bound"))
    }

    fn as_event(payload: &[u8]) -> StoredEvent<'_> {
        StoredEvent {
            stream: StoredStream::Forge,
            kind: HEADER_ADDITION,
            schema_version: ADDITION_VERSION,
            payload,
            hash: NO_HASH,
        }
    }

    /// What stands in place of an event, where that is such an addition of a form that is known.
    fn of_event(stored: &StoredEvent<'_>) -> Result<Option<Self>, DecodeError> {
        if (stored.kind, stored.schema_version) != (HEADER_ADDITION, ADDITION_VERSION) {
            return Ok(None);
        }
        let read = limited().deserialize(stored.payload);
        let addition: Self = read.map_err(|error| DecodeError::Malformed(error.to_string()))?;
        let is_plain = stored.stream == StoredStream::Forge && stored.hash == NO_HASH;
        if !is_plain || addition == Self::default() {
            let reason = "the addition to a header is not as it is written".to_owned();
            return Err(DecodeError::Malformed(reason));
        }
        Ok(Some(addition))
    }
}

impl StoredEvent<'_> {
    fn read(&self) -> Result<(Event, Option<Box<str>>), DecodeError> {
        let seed = DataOf {
            kind: self.kind,
            schema_version: self.schema_version,
        };
        limited()
            .deserialize_seed(seed, self.payload)
            .map_err(|error| DecodeError::Malformed(error.to_string()))?
    }
}

impl From<Stream> for StoredStream {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::Forge => Self::Forge,
            Stream::Database(id) => Self::Database(*id.0.as_bytes()),
        }
    }
}

impl From<StoredStream> for Stream {
    fn from(stored: StoredStream) -> Self {
        match stored {
            StoredStream::Forge => Self::Forge,
            StoredStream::Database(id) => Self::Database(DatabaseId(Uuid::from_bytes(id))),
        }
    }
}

/// Tells bincode, which asks for a type, which event to expect.
struct DataOf {
    kind: u16,
    schema_version: u16,
}

impl<'de> DeserializeSeed<'de> for DataOf {
    type Value = Result<(Event, Option<Box<str>>), DecodeError>;

    fn deserialize<D: Deserializer<'de>>(self, data: D) -> Result<Self::Value, D::Error> {
        match read_data(self.kind, self.schema_version, data) {
            Err(DecodeError::Malformed(reason)) => Err(serde::de::Error::custom(reason)),
            known_or_not => Ok(known_or_not),
        }
    }
}

fn known_form(kind: u16, schema_version: u16) -> Result<EventKind, DecodeError> {
    EventKind::from_number(kind)
        .filter(|known| (1..=self::schema_version(*known)).contains(&schema_version))
        .ok_or(DecodeError::UnknownForm {
            kind,
            schema_version,
        })
}

fn payload(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = bincode::Serializer::new(&mut bytes, unlimited());
    event
        .serialize_data(&mut serializer)
        .expect("an event has plain fields, and memory is the only bound");
    bytes
}

fn limited() -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .reject_trailing_bytes()
        .with_limit(LARGEST_COMMIT_READ as u64)
}

/// For writing: the size is measured afterwards, so that the error can name it.
fn unlimited() -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .reject_trailing_bytes()
        .with_no_limit()
}
