//! Posts a message to a receiver, within bounds.
use crate::clock::Stopwatch;
use crate::config::Targets;
use std::io::{self, Read};
use std::time::Duration;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// Most of an answer that is read, and thrown away: a connection can be used again only once its
/// answer was read.
const ANSWER_BYTES: u64 = 64 << 10;

/// What is sent besides the body.
pub(super) struct Headers {
    pub(super) delivery: String,
    pub(super) signature: String,
}

/// What came of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) duration: Duration,
    /// What was answered, where something was.
    pub(super) status: Option<u16>,
    /// Why it is a failure.
    pub(super) error: Option<String>,
}

/// An agent that connects to allowed addresses only. Redirects are not followed, and proxies of
/// the environment are not asked: both would lead elsewhere.
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

/// Sends once. Blocks, for at most the agent's timeout.
pub(super) fn send(agent: &Agent, url: &str, headers: &Headers, body: &str) -> Outcome {
    let time = Stopwatch::start();
    let answer = agent
        .post(url)
        .header(
            "Content-Type",
            "application/cloudevents+json; charset=utf-8",
        )
        .header("DBForge-Delivery", &headers.delivery)
        .header("DBForge-Signature", &headers.signature)
        .send(body);
    let (status, error) = match answer {
        Err(error) => (None, Some(error.to_string())),
        Ok(mut answer) => {
            let status = answer.status();
            let mut rest = answer.body_mut().as_reader().take(ANSWER_BYTES);
            // What it says does not matter, and neither does whether it says it whole.
            let _ = io::copy(&mut rest, &mut io::sink());
            let error = match status.as_u16() {
                200..=299 => None,
                300..=399 => Some(format!("answered {status}; redirects are not followed")),
                _ => Some(format!("answered {status}")),
            };
            (Some(status.as_u16()), error)
        }
    };
    Outcome {
        duration: time.elapsed(),
        status,
        error,
    }
}

/// Finds a name's addresses, without those that are not allowed: what is looked at is what is
/// connected to, whatever a name server says a moment later.
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
        for address in found.iter().filter(|it| self.targets.allow(it.ip())) {
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
