//! Reading exports back: one event per line, as `canonical::export_line` writes them.
//!
//! Logs that people write by hand may leave out everything but `kind` and `data`; what is
//! missing is filled in, the same every time. Hashes that are there must be right.
use super::canonical;
use super::chain;
use super::codec::{self, DecodeError};
use crate::clock::timestamp::Timestamp;
use crate::domain::event::recorded::{CommitHeader, Hash, Head, Idempotency, RecordedEvent};
use crate::domain::event::{Event, EventKind};
use crate::domain::ids::{Actor, CommitId, RequestId, Sequence, TokenId};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Most bytes of one line: a commit's bound, doubled for what JSON adds.
const MAX_LINE_BYTES: u64 = 2 * codec::LARGEST_COMMIT_READ as u64;

/// The time of the first event where none is given: 2026-01-01T00:00:00Z.
const FIRST_TIME_MS: i64 = 1_767_225_600_000;

/// The time between events where none is given.
const STEP: Duration = Duration::from_secs(1);

/// Why a line is no event, or not the one that belongs there.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ImportError {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong.
    #[source]
    pub reason: LineError,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It cannot be read.
    #[error("cannot read the line")]
    Io(#[from] io::Error),
    /// It is longer than any event.
    #[error("the line is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// It is no JSON object of the right form.
    #[error("not an event: {0}")]
    Form(#[from] serde_json::Error),
    /// The event's kind is not known.
    #[error("unknown event kind `{0}`")]
    Kind(String),
    /// Its data is not what its kind says.
    #[error(transparent)]
    Data(#[from] DecodeError),
    /// A field is left out that an export has.
    #[error("missing field `{0}`")]
    Missing(&'static str),
    /// A field contradicts the event or the line before.
    #[error("`{field}` should be {expected}")]
    Wrong {
        field: &'static str,
        /// What belongs there.
        expected: String,
    },
    /// It does not follow the line before.
    #[error("{0}")]
    Unlinked(String),
    /// It says the same in other bytes.
    #[error("not a line that an export writes")]
    NotAsWritten,
}

/// Reads events line by line; empty lines are skipped. The first line may be of any sequence,
/// so that a slice of a log is read as well. Nothing is read behind the first error.
pub fn read_export(
    reader: impl BufRead,
) -> impl Iterator<Item = Result<RecordedEvent, ImportError>> {
    let mut lines = Lines { reader, line: 0 };
    let mut importer = Importer::default();
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let text = lines.next_line().transpose()?;
        let event = text.and_then(|text| importer.read_line(&text));
        failed = event.is_err();
        let line = lines.line;
        Some(event.map_err(|reason| ImportError { line, reason }))
    })
}

/// Reads a whole export: from the first event on, each line just as it was written. Nothing is
/// read behind the first error.
pub fn read_whole_export(
    reader: impl BufRead,
) -> impl Iterator<Item = Result<RecordedEvent, ImportError>> {
    let mut lines = Lines { reader, line: 0 };
    let mut head = Head::default();
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let text = lines.next_line().transpose()?;
        let event = text.and_then(|text| {
            let recorded = parse_export_line(&text)?;
            chain::follow(&mut head, &recorded)
                .map_err(|error| LineError::Unlinked(error.to_string()))?;
            if text.strip_suffix('\n') == Some(&canonical::export_line(&recorded)) {
                Ok(recorded)
            } else {
                Err(LineError::NotAsWritten)
            }
        });
        failed = event.is_err();
        let line = lines.line;
        Some(event.map_err(|reason| ImportError { line, reason }))
    })
}

/// Reads one line of an export, which has every field.
///
/// # Errors
/// When a field is missing or wrong, or the hash does not match.
pub fn parse_export_line(line: &str) -> Result<RecordedEvent, LineError> {
    let parsed: Line = serde_json::from_str(line)?;
    parsed.has_every_field()?;
    Importer::default().import(parsed)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    kind: String,
    data: Box<RawValue>,
    actor: Option<Actor>,
    causation: Option<Sequence>,
    clock: Option<Timestamp>,
    commit: Option<CommitId>,
    correlation: Option<RequestId>,
    database: Option<String>,
    idempotency_key: Option<String>,
    job: Option<String>,
    request_fingerprint: Option<String>,
    request_id: Option<RequestId>,
    schema_version: Option<u16>,
    sequence: Option<Sequence>,
    stream: Option<String>,
    time: Option<Timestamp>,
    token: Option<TokenId>,
    previous_hash: Option<String>,
    hash: Option<String>,
}

impl Line {
    fn has_every_field(&self) -> Result<(), LineError> {
        let missing = [
            ("actor", self.actor.is_none()),
            ("commit", self.commit.is_none()),
            ("correlation", self.correlation.is_none()),
            ("request_id", self.request_id.is_none()),
            ("schema_version", self.schema_version.is_none()),
            ("sequence", self.sequence.is_none()),
            ("stream", self.stream.is_none()),
            ("time", self.time.is_none()),
            ("previous_hash", self.previous_hash.is_none()),
            ("hash", self.hash.is_none()),
        ]
        .into_iter()
        .find_map(|(field, is_missing)| is_missing.then_some(field));
        missing.map_or(Ok(()), |field| Err(LineError::Missing(field)))
    }

    /// Fields that repeat what the event says must repeat it rightly.
    fn agrees_with(&self, event: &Event) -> Result<(), LineError> {
        let database = event.database().map(|it| it.to_string());
        let job = event.job().map(|it| it.to_string());
        expect("database", self.database.as_ref(), database.as_ref())?;
        expect("job", self.job.as_ref(), job.as_ref())?;
        expect(
            "stream",
            self.stream.as_ref(),
            Some(&event.stream().to_string()),
        )
    }
}

/// What the lines so far say about the next one.
#[derive(Default)]
struct Importer {
    head: Head,
    last_commit: Option<Arc<CommitHeader>>,
}

impl Importer {
    fn read_line(&mut self, text: &str) -> Result<RecordedEvent, LineError> {
        self.import(serde_json::from_str(text)?)
    }

    fn import(&mut self, line: Line) -> Result<RecordedEvent, LineError> {
        let kind =
            EventKind::from_word(&line.kind).ok_or_else(|| LineError::Kind(line.kind.clone()))?;
        let version = line
            .schema_version
            .unwrap_or_else(|| codec::schema_version(kind));
        let mut data = serde_json::Deserializer::from_str(line.data.get());
        let (event, data_before_upcast) = codec::read_data(kind.number(), version, &mut data)?;
        line.agrees_with(&event)?;
        let is_first = self.head.sequence == Sequence(0);
        let sequence = line.sequence.unwrap_or(self.head.sequence.next());
        let is_impossible = [0, u64::MAX].contains(&sequence.0);
        if is_impossible || (!is_first && sequence != self.head.sequence.next()) {
            return Err(wrong("sequence", self.head.sequence.next()));
        }
        let previous_hash = match (&line.previous_hash, is_first) {
            (Some(text), true) => parse_hash("previous_hash", text)?,
            (text, _) => {
                let known = hex::encode(self.head.hash);
                expect("previous_hash", text.as_ref(), Some(&known))?;
                self.head.hash
            }
        };
        let mut recorded = RecordedEvent {
            sequence,
            commit: self.header(&line, sequence)?,
            event,
            schema_version: version,
            data_before_upcast,
            previous_hash,
            hash: previous_hash,
        };
        recorded.hash =
            canonical::chained_hash(&previous_hash, &canonical::canonical_json(&recorded));
        let hash = hex::encode(recorded.hash);
        expect("hash", line.hash.as_ref(), Some(&hash))?;
        self.head = chain::head_at(&recorded);
        self.last_commit = Some(Arc::clone(&recorded.commit));
        Ok(recorded)
    }

    /// The line's commit: that of the line before, where both name the same.
    fn header(&self, line: &Line, sequence: Sequence) -> Result<Arc<CommitHeader>, LineError> {
        let made_up = |sort: u64| Uuid::from_u64_pair(0x7000 | sort << 32, 1 << 63 | sequence.0);
        let default_time = match self.last_commit {
            None => Timestamp::from_millis(FIRST_TIME_MS),
            Some(_) => self.head.time.after(STEP),
        };
        let request = line.request_id.unwrap_or(RequestId(made_up(2)));
        let idempotency = match (&line.idempotency_key, &line.request_fingerprint) {
            (None, None) => None,
            (None, Some(_)) => return Err(LineError::Missing("idempotency_key")),
            (Some(key), fingerprint) => Some(Idempotency {
                key: key.clone(),
                fingerprint: fingerprint.clone().unwrap_or_default(),
            }),
        };
        let header = CommitHeader {
            time: line.time.unwrap_or(default_time),
            clock: line.clock,
            id: line.commit.unwrap_or(CommitId(made_up(1))),
            actor: line.actor.clone().unwrap_or(Actor::named("root")),
            token: line.token,
            request,
            correlation: line.correlation.unwrap_or(request),
            causation: line.causation,
            idempotency,
        };
        if header.time < self.head.time {
            return Err(wrong("time", format!("{} or later", self.head.time)));
        }
        match &self.last_commit {
            Some(last) if **last == header => Ok(Arc::clone(last)),
            _ => Ok(Arc::new(header)),
        }
    }
}

struct Lines<R> {
    reader: R,
    line: u64,
}

impl<R: BufRead> Lines<R> {
    fn next_line(&mut self) -> Result<Option<String>, LineError> {
        loop {
            self.line += 1;
            let mut text = String::new();
            let read = (&mut self.reader)
                .take(MAX_LINE_BYTES)
                .read_line(&mut text)?;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 == MAX_LINE_BYTES {
                return Err(LineError::TooLong);
            }
            if !text.trim().is_empty() {
                return Ok(Some(text));
            }
        }
    }
}

fn parse_hash(field: &'static str, text: &str) -> Result<Hash, LineError> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).map_err(|_| wrong(field, "64 lower-case hex digits"))?;
    expect(field, Some(&text.to_owned()), Some(&hex::encode(hash)))?;
    Ok(hash)
}

/// A field that is there must say what is known; one that is left out says nothing.
fn expect(
    field: &'static str,
    found: Option<&String>,
    known: Option<&String>,
) -> Result<(), LineError> {
    match (found, known) {
        (Some(found), Some(known)) if found != known => Err(wrong(field, known)),
        (Some(_), None) => Err(wrong(field, "left out")),
        _ => Ok(()),
    }
}

fn wrong(field: &'static str, expected: impl ToString) -> LineError {
    LineError::Wrong {
        field,
        expected: expected.to_string(),
    }
}
