//! Requests that change something: their caller, conditions and body.
use super::parameters::DryRun;
use super::{parse_object, read_body};
use crate::domain::event::recorded::Idempotency;
use crate::domain::ids::Sequence;
use crate::http::middleware::auth::caller_of;
use crate::http::response::error::Problem;
use crate::http::{Gateway, LONGEST_WAIT};
use crate::service::commands::CommandRequest;
use axum::extract::{FromRequest, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// Most characters of an `Idempotency-Key`.
const MAX_KEY_LENGTH: usize = 255;

/// A request that changes something, read whole.
pub(crate) struct Mutation<T> {
    /// The caller and conditions.
    pub(crate) request: CommandRequest,
    /// What is asked.
    pub(crate) body: T,
}

impl<T> Mutation<T> {
    /// Makes it a dry run if `?dry_run=plan` was sent.
    pub(crate) fn or_plan(mut self, dry_run: Option<DryRun>) -> Self {
        self.request.dry_run = dry_run == Some(DryRun::Plan);
        self
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Gateway>> for Mutation<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Gateway>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(body).await?;
        let body = parse_object(&parts.headers, &bytes)?;
        let request = command_request(&parts, &bytes)?;
        Ok(Self { request, body })
    }
}

/// The caller and conditions of a request; `body` stands for its body where two are compared.
pub(crate) fn command_request(parts: &Parts, body: &[u8]) -> Result<CommandRequest, Problem> {
    Ok(CommandRequest {
        caller: caller_of(parts)?,
        dry_run: false,
        wait: preferred_wait(&parts.headers),
        idempotency: idempotency(parts, body)?,
        if_match: if_match(&parts.headers)?,
        causation: None,
    })
}

/// The key, with a fingerprint of method, path, query and body. `Prefer` is not part of it: it only
/// says how to answer.
fn idempotency(parts: &Parts, body: &[u8]) -> Result<Option<Idempotency>, Problem> {
    let Some(value) = parts.headers.get("idempotency-key") else {
        return Ok(None);
    };
    let is_key = |it: &&str| {
        (1..=MAX_KEY_LENGTH).contains(&it.len())
            && it.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    let key = value.to_str().ok().filter(is_key).ok_or_else(|| {
        Problem::invalid(format!(
            "`Idempotency-Key` must be 1 to {MAX_KEY_LENGTH} printable ASCII characters."
        ))
    })?;
    let fingerprint = Sha256::new()
        .chain_update(parts.method.as_str())
        .chain_update(b" ")
        .chain_update(parts.uri.path())
        .chain_update(b"?")
        .chain_update(parts.uri.query().unwrap_or_default())
        .chain_update(b"\n")
        .chain_update(body)
        .finalize();
    Ok(Some(Idempotency {
        key: key.to_owned(),
        fingerprint: hex::encode(fingerprint),
    }))
}

/// `If-Match: "e1042"`. `*` only requires that the database exists, which is checked anyway.
fn if_match(headers: &HeaderMap) -> Result<Option<Sequence>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text
        .strip_prefix("\"e")
        .and_then(|it| it.strip_suffix('"'))
        .and_then(|it| it.parse().ok());
    number.map(|it| Some(Sequence(it))).ok_or_else(|| {
        Problem::invalid(format!("`If-Match: {text}` is not a database's `ETag`."))
            .hint("send the `ETag` exactly as received, including quotes: \"e1042\"")
    })
}

/// `Prefer: wait=20` (RFC 7240), at most [`LONGEST_WAIT`]. Invalid preferences are ignored.
fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let texts = headers.get_all("prefer").into_iter();
    let mut preferences = texts
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split([',', ';']));
    let seconds: u64 = preferences.find_map(|it| {
        let (name, value) = it.split_once('=')?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        is_wait.then(|| value.trim().trim_matches('"').parse().ok())?
    })?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT)).filter(|it| !it.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        [(name.parse().unwrap(), value.parse().unwrap())]
            .into_iter()
            .collect()
    }

    #[test]
    fn the_preferred_wait_is_found_among_other_preferences_and_held_at_its_bound() {
        let wait = |text| preferred_wait(&headers("prefer", text)).map(|it| it.as_secs());
        assert_eq!(wait("wait=20"), Some(20));
        assert_eq!(wait("return=minimal, Wait = 5"), Some(5));
        assert_eq!(wait("wait=9999"), Some(60));
        for ignored in ["wait", "wait=soon", "wait=-1", "wait=0", "waiting=3"] {
            assert_eq!(wait(ignored), None, "{ignored}");
        }
    }

    #[test]
    fn an_etag_is_taken_back_as_it_was_given() {
        let parsed = |text| if_match(&headers("if-match", text));
        assert_eq!(parsed("\"e1042\"").unwrap(), Some(Sequence(1042)));
        assert_eq!(parsed("*").unwrap(), None);
        for wrong in ["e1042", "1042", "\"1042\"", "W/\"e1042\"", "\"e-1\""] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
