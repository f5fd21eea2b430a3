//! How this program asks over HTTP.
use std::time::Duration;

/// A gateway that is there takes a connection at once; one behind a slow line within this.
const CONNECT: Duration = Duration::from_secs(5);

/// Answers of any status are answers. Proxies of the environment are not asked: the gateway is on
/// this machine or near it.
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
