//! The message to a receiver: a signed `CloudEvent`.
use crate::clock::timestamp::Timestamp;
use crate::config::Secret;
use crate::domain::ids::{InstanceId, Sequence, WebhookId};
use crate::projections::control_db::ShownEvent;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::Sha256;

/// An event in the JSON format of `CloudEvents` 1.0.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    time: Timestamp,
    datacontenttype: &'static str,
    data: &'a RawValue,
}

/// A message for one receiver, identical on every attempt.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The event's sequence; none for a test.
    pub(super) sequence: Option<Sequence>,
    pub(super) kind: String,
    /// The id by which a receiver recognizes a repeat.
    pub(super) delivery: String,
    pub(super) body: String,
}

impl Message {
    /// An event of the log; `name` is that of its database.
    pub(super) fn of_event(
        webhook: WebhookId,
        instance: Option<InstanceId>,
        event: &ShownEvent,
        name: Option<&str>,
    ) -> Result<Self, serde_json::Error> {
        let id = event.sequence.to_string();
        let body = serde_json::to_string(&CloudEvent {
            specversion: "1.0",
            id: &id,
            source: source(instance),
            r#type: format!("dbforge.{}", event.kind),
            subject: name,
            time: time_of(event)?,
            datacontenttype: "application/json",
            data: serde_json::from_str(&event.json)?,
        })?;
        Ok(Self {
            sequence: Some(event.sequence),
            kind: event.kind.to_owned(),
            delivery: format!("{webhook}.{id}"),
            body,
        })
    }

    /// A test message.
    pub(super) fn test(
        webhook: WebhookId,
        instance: Option<InstanceId>,
        id: &str,
        now: Timestamp,
    ) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_string(&CloudEvent {
            specversion: "1.0",
            id,
            source: source(instance),
            r#type: "dbforge.test".to_owned(),
            subject: None,
            time: now,
            datacontenttype: "application/json",
            data: RawValue::NULL,
        })?;
        Ok(Self {
            sequence: None,
            kind: "test".to_owned(),
            delivery: format!("{webhook}.{id}"),
            body,
        })
    }

    /// The value of `DBForge-Signature`: the time, and HMAC-SHA256 over time and body, so that
    /// receivers can detect replayed messages. It has one `v1` for each secret.
    pub(super) fn signature(&self, secrets: &[Secret], now: Timestamp) -> String {
        let seconds = now.millis().div_euclid(1000);
        let mut signature = format!("t={seconds}");
        for secret in secrets {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes())
                .expect("a key of any length can be used");
            mac.update(format!("{seconds}.").as_bytes());
            mac.update(self.body.as_bytes());
            signature.push_str(",v1=");
            signature.push_str(&hex::encode(mac.finalize().into_bytes()));
        }
        signature
    }
}

fn source(instance: Option<InstanceId>) -> String {
    match instance {
        Some(instance) => format!("urn:uuid:{instance}"),
        None => "/".to_owned(),
    }
}

#[derive(serde::Deserialize)]
struct Timed {
    time: Timestamp,
}

fn time_of(event: &ShownEvent) -> Result<Timestamp, serde_json::Error> {
    serde_json::from_str(&event.json).map(|it: Timed| it.time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_other_languages_compute() {
        let message = Message {
            sequence: None,
            kind: "test".into(),
            delivery: String::new(),
            body: "{\"a\":1}".into(),
        };
        let secret = [Secret::new("whsec_test".into())];
        // printf '1772366400.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
        assert_eq!(
            message.signature(&secret, Timestamp::from_millis(1_772_366_400_999)),
            "t=1772366400,v1=f0fe3dd99865a9267d4ee54763cb20d5ec1ce23dbc563e4217bc69f19912aae0"
        );
    }
}
