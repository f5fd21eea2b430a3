//! Sends a message to a receiver, within limits.
use super::store::OwnHeaders;
use crate::clock::Stopwatch;
use crate::clock::timestamp::Timestamp;
use crate::config::Targets;
use std::io::{self, Read};
use std::time::Duration;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// The most of an answer that is read and discarded: a connection is reusable only when its
/// answer was read.
const ANSWER_BYTES: u64 = 64 << 10;

/// The headers of a message.
pub(super) struct Headers {
    pub(super) delivery: String,
    pub(super) signature: String,
    /// What the receiver wants besides.
    pub(super) own: OwnHeaders,
}

/// The result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) duration: Duration,
    /// The status of the answer, if there was one.
    pub(super) status: Option<u16>,
    /// Why it failed.
    pub(super) error: Option<String>,
    /// How long the receiver wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// An HTTP client that connects to allowed addresses only. It ignores redirects and the proxies of
/// the environment, because both could lead to other addresses.
pub(super) fn agent(targets: Targets, timeout: Duration) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(timeout))
        .user_agent(concat!("dbforge/", env!("CARGO_PKG_VERSION")))
        .build();
    let allowed = AllowedAddresses {
        targets,
        all: DefaultResolver::default(),
    };
    Agent::with_parts(config, DefaultConnector::default(), allowed)
}

/// Sends once. Blocks, at most for the client's timeout.
pub(super) fn send(
    agent: &Agent,
    url: &str,
    headers: &Headers,
    body: &str,
    now: Timestamp,
) -> Outcome {
    let time = Stopwatch::start();
    let mut request = agent.post(url);
    for (name, value) in &headers.own {
        request = request.header(name, value);
    }
    let answer = request
        .header(
            "Content-Type",
            "application/cloudevents+json; charset=utf-8",
        )
        .header("DBForge-Delivery", &headers.delivery)
        .header("DBForge-Signature", &headers.signature)
        .send(body);
    let (status, error, retry_after) = match answer {
        Err(error) => (None, Some(error.to_string()), None),
        Ok(mut answer) => {
            let status = answer.status();
            let retry_after = answer.headers().get("retry-after");
            let retry_after = retry_after.and_then(|value| wanted_pause(value.to_str().ok()?, now));
            let mut rest = answer.body_mut().as_reader().take(ANSWER_BYTES);
            // The content does not matter, nor whether it is complete.
            let _ = io::copy(&mut rest, &mut io::sink());
            let error = match status.as_u16() {
                200..=299 => None,
                300..=399 => Some(format!("answered {status}; redirects are not followed")),
                _ => Some(format!("answered {status}")),
            };
            (Some(status.as_u16()), error, retry_after)
        }
    };
    Outcome {
        duration: time.elapsed(),
        status,
        error,
        retry_after,
    }
}

/// What `Retry-After` asks for: seconds, or a time (RFC 9110, 10.2.3).
fn wanted_pause(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
    Some(Timestamp::from_millis(at.ok()?.as_millisecond()).since(now))
}

/// Resolves a name to its allowed addresses. The checked addresses are those that are
/// connected to, so a changed DNS answer cannot bypass the check.
#[derive(Debug)]
struct AllowedAddresses {
    targets: Targets,
    all: DefaultResolver,
}

impl Resolver for AllowedAddresses {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.all.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for address in found
            .iter()
            .filter(|address| self.targets.allow(address.ip()))
        {
            allowed.push(*address);
        }
        if allowed.is_empty() {
            return Err(ureq::Error::Io(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the address is in a network that DBFORGE_WEBHOOK_TARGETS does not allow",
            )));
        }
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_may_ask_for_a_pause_in_seconds_or_until_a_time() {
        let now = Timestamp::from_millis(784_111_700_000); // 77 s before the time below
        let seconds = |text| wanted_pause(text, now).map(|it| it.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(77));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        for unclear in ["", "soon", "-1", "1.5"] {
            assert_eq!(seconds(unclear), None, "{unclear}");
        }
    }
}
