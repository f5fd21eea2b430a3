//! The HTTP client that every command uses.
use std::time::Duration;

/// Limit for opening a connection, for a gateway behind a slow line.
const CONNECT: Duration = Duration::from_secs(5);

/// Every status is an answer, not an error. The invocation's proxies are ignored, because the
/// gateway is on this machine or near it.
pub(crate) fn new() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_connect(Some(CONNECT))
        .user_agent(concat!("dbforge/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}
