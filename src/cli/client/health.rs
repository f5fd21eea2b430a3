//! The health check of the container: quick, bounded in time, exit code 0 or 1.
use super::connection::agent;
use super::connection::client::Invocation;
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use crate::config::{Config, Environment};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// A healthy gateway answers in milliseconds; container engines give a check a few seconds.
const LIMIT: Duration = Duration::from_secs(3);
/// The answer is one line; a larger one comes from another server.
const LARGEST_ANSWER: u64 = 64 << 10;

/// `dbforge health`. Without a URL it asks this machine, at the port of `DBFORGE_LISTEN`.
#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {
    /// `Host` header, for a proxy that routes by it
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Also check readiness: event log writable, runtime reachable
    #[arg(long)]
    ready: bool,
}

/// Sends one request, with [`LIMIT`] as its timeout.
pub(crate) fn health(args: &HealthArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let unwell = |message: String| Failure::new(Exit::Refused, message);
    let environment = invocation.environment;
    let set = invocation.gateway.url.clone();
    let base = match set.or_else(|| environment.get("DBFORGE_URL")) {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", own_address(environment)?),
    };
    let url = format!("{base}/{}", if args.ready { "readyz" } else { "healthz" });
    let mut question = ureq::http::Request::get(&url);
    if let Some(host) = &args.host {
        question = question.header("Host", host);
    }
    let question = question
        .body(())
        .map_err(|error| unwell(format!("{url}: {error}")))?;
    let agent = agent::new();
    let question = agent
        .configure_request(question)
        .timeout_global(Some(LIMIT))
        .build();
    let mut answer = agent
        .run(question)
        .map_err(|error| unwell(format!("{url}: {error}")))?;
    let body = answer
        .body_mut()
        .with_config()
        .limit(LARGEST_ANSWER)
        .read_to_string()
        .map_err(|error| unwell(format!("{url}: {error}")))?;
    if answer.status().is_success() {
        output::line(body.trim_end())
    } else {
        Err(unwell(format!("{url} answers {}: {body}", answer.status())))
    }
}

/// The gateway's address as seen from this machine.
fn own_address(environment: &dyn Environment) -> Result<SocketAddr, Failure> {
    let config = Config::read(environment).map_err(|error| Failure::new(Exit::Refused, error))?;
    Ok(as_reached(config.listen))
}

/// A gateway that listens on all addresses is reached over the loopback.
fn as_reached(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_listens_everywhere_is_asked_over_the_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.7:1", "10.0.0.7:1"),
        ] {
            assert_eq!(as_reached(listen.parse().unwrap()).to_string(), reached);
        }
    }
}
