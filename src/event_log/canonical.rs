//! The one JSON form of an event: what the hash chain covers, what exports and the API show.
//!
//! Keys are sorted, there are no spaces, numbers are integers. So twenty lines of any language
//! verify an export: take `previous_hash` and `hash` out, write the rest with sorted keys and
//! no spaces, and compare `hash` with SHA-256(`previous_hash` as bytes, then that text).
use crate::domain::recorded::{Hash, RecordedEvent};
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
        object.text("clock", &clock.to_string());
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
    object.text("kind", event.kind().as_str());
    if let Some(idempotency) = idempotency {
        object.text("request_fingerprint", &idempotency.fingerprint);
    }
    object.id("request_id", commit.request.0);
    object.number("schema_version", recorded.schema_version.into());
    object.number("sequence", recorded.sequence.0);
    object.text("stream", &event.stream().to_string());
    object.text("time", &commit.time.to_string());
    if let Some(token) = commit.token {
        object.id("token", token.0);
    }
    object.end()
}

/// The line that an export holds for the event: its canonical JSON with both hashes behind it.
#[must_use]
pub fn export_line(recorded: &RecordedEvent) -> String {
    let mut line = canonical_json(recorded);
    let closing_brace = line.pop();
    debug_assert_eq!(closing_brace, Some('}'));
    for (key, hash) in [
        ("previous_hash", &recorded.previous_hash),
        ("hash", &recorded.hash),
    ] {
        line.push_str(",\"");
        line.push_str(key);
        line.push_str("\":\"");
        line.push_str(&hex::encode(hash));
        line.push('"');
    }
    line.push('}');
    line
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
    let value = recorded
        .event
        .serialize_data(serde_json::value::Serializer)
        .expect("an event's fields are integers, texts, lists and maps with text keys");
    write_sorted(out, &value);
}

fn write_sorted(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_sorted(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(out, key);
                out.push(':');
                write_sorted(out, item);
            }
            out.push('}');
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    let is_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if text.bytes().any(is_escaped) {
        out.push_str(&serde_json::to_string(text).expect("every text has a JSON form"));
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
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
        self.text(key, id.hyphenated().encode_lower(&mut text));
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
}
