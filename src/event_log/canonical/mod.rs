//! The one JSON form of an event: what the hash chain covers, what exports and the API show.
//!
//! Keys are sorted, there are no spaces, numbers are integers. So twenty lines of any language
//! verify an export: take `previous_hash` and `hash` out, write the rest with sorted keys and
//! no spaces, and compare `hash` with SHA-256(`previous_hash` as bytes, then that text).
mod json;
mod sorted;

use self::json::{write_sorted, write_text};
use self::sorted::Sorted;
use crate::domain::event::recorded::{Hash, RecordedEvent};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The text that the event's hash covers, together with the hash before it.
#[must_use]
pub fn canonical_json(recorded: &RecordedEvent) -> String {
    let commit = &recorded.commit;
    let event = &recorded.event;
    let idempotency = commit.idempotency.as_ref();
    // In alphabetical order: what comes out is sorted without sorting.
    let mut object = ObjectWriter::new();
    object.text("actor", &commit.actor.0);
    if let Some(causation) = commit.causation {
        object.number("causation", causation.0);
    }
    if let Some(clock) = commit.clock {
        object.plain("clock", &clock.to_string());
    }
    object.id("commit", commit.id.0);
    object.id("correlation", commit.correlation.0);
    object.key("data");
    write_data(&mut object.0, recorded);
    if let Some(database) = event.database() {
        object.id("database", database.0);
    }
    if let Some(idempotency) = idempotency {
        object.text("idempotency_key", &idempotency.key);
    }
    if let Some(job) = event.job() {
        object.id("job", job.0);
    }
    object.plain("kind", event.kind().as_str());
    if let Some(idempotency) = idempotency {
        object.text("request_fingerprint", &idempotency.fingerprint);
    }
    object.id("request_id", commit.request.0);
    object.number("schema_version", recorded.schema_version.into());
    object.number("sequence", recorded.sequence.0);
    object.plain("stream", &event.stream().to_string());
    object.plain("time", &commit.time.to_string());
    if let Some(token) = commit.token {
        object.id("token", token.0);
    }
    object.end()
}

/// The line that an export holds for the event: its canonical JSON with both hashes behind it.
#[must_use]
pub fn export_line(recorded: &RecordedEvent) -> String {
    let mut line = ObjectWriter(canonical_json(recorded));
    let closing_brace = line.0.pop();
    debug_assert_eq!(closing_brace, Some('}'));
    line.plain(
        "previous_hash",
        hash_hex(&recorded.previous_hash, &mut [0; 64]),
    );
    line.plain("hash", hash_hex(&recorded.hash, &mut [0; 64]));
    line.end()
}

/// The digits of a hash.
fn hash_hex<'t>(hash: &Hash, text: &'t mut [u8; 64]) -> &'t str {
    hex::encode_to_slice(hash, text).expect("32 bytes are 64 digits");
    std::str::from_utf8(text).expect("digits are ASCII")
}

/// The hash of an event whose canonical JSON is `canonical`, behind an event hashed `previous`.
#[must_use]
pub fn chained_hash(previous: &Hash, canonical: &str) -> Hash {
    Sha256::new()
        .chain_update(previous)
        .chain_update(canonical)
        .finalize()
        .into()
}

/// JSON of `value` with sorted keys and no spaces.
#[must_use]
pub fn sorted_json(value: &Value) -> String {
    let mut out = String::new();
    write_sorted(&mut out, value);
    out
}

/// The event's own fields in the form that they were stored in: the part `data` of its canonical
/// JSON.
#[must_use]
pub fn data_json(recorded: &RecordedEvent) -> String {
    let mut out = String::new();
    write_data(&mut out, recorded);
    out
}

fn write_data(out: &mut String, recorded: &RecordedEvent) {
    if let Some(as_stored) = &recorded.data_before_upcast {
        out.push_str(as_stored);
        return;
    }
    recorded
        .event
        .serialize_data(Sorted(out))
        .expect("an event's fields are integers, texts, lists and maps with text keys");
}

/// Writes one JSON object, its keys in the order given.
struct ObjectWriter(String);

impl ObjectWriter {
    fn new() -> Self {
        // Most events take about 700 bytes with their hashes.
        Self(String::with_capacity(896))
    }

    fn text(&mut self, key: &'static str, value: &str) {
        self.key(key);
        write_text(&mut self.0, value);
    }

    fn number(&mut self, key: &'static str, value: u64) {
        self.key(key);
        self.0.push_str(&value.to_string());
    }

    fn id(&mut self, key: &'static str, id: Uuid) {
        let mut text = Uuid::encode_buffer();
        self.plain(key, id.hyphenated().encode_lower(&mut text));
    }

    /// A text in which nothing has to be escaped.
    fn plain(&mut self, key: &'static str, value: &str) {
        self.key(key);
        self.0.push('"');
        self.0.push_str(value);
        self.0.push('"');
    }

    fn key(&mut self, key: &'static str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_at_every_depth_and_text_is_escaped_as_everywhere() {
        let value = json!({"b": [{"z": null, "a": true}], "a": "q\"\n\u{1}ä", "B": -7});
        assert_eq!(
            sorted_json(&value),
            r#"{"B":-7,"a":"q\"\n\u0001ä","b":[{"a":true,"z":null}]}"#
        );
    }

    #[test]
    fn what_is_written_in_one_go_is_the_value_with_sorted_keys() {
        use std::collections::BTreeMap;

        #[derive(serde::Serialize)]
        struct Inner {
            z: Option<u8>,
            a: (i64, bool),
        }
        #[derive(serde::Serialize)]
        #[serde(rename_all = "snake_case")]
        enum Kind {
            Plain,
            Wrapped(Inner),
            Named {
                worker: &'static str,
                empty: [u8; 0],
            },
        }
        #[derive(serde::Serialize)]
        struct Nothing {}
        #[derive(serde::Serialize)]
        struct Outer {
            b: Vec<Kind>,
            a: &'static str,
            labels: BTreeMap<&'static str, &'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            absent: Option<u8>,
            id: Uuid,
            nothing: Nothing,
            aa: char,
        }
        let inner = || Inner {
            z: None,
            a: (i64::MIN, true),
        };
        let named = Kind::Named {
            worker: "w",
            empty: [],
        };
        let outer = Outer {
            b: vec![Kind::Wrapped(inner()), Kind::Plain, named],
            a: "q\"\n\u{1}ä",
            labels: BTreeMap::from([("a\"b", "1"), ("B", "2")]),
            absent: None,
            id: Uuid::nil(),
            nothing: Nothing {},
            aa: 'ä',
        };
        let mut text = "before ".to_owned();
        serde::Serialize::serialize(&outer, Sorted(&mut text)).unwrap();
        let value = serde_json::to_value(&outer).unwrap();
        assert_eq!(text, format!("before {}", sorted_json(&value)));
    }
}
