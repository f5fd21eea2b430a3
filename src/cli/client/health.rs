//! The health check of the container: quick, bounded in time, exit code 0 or 1.
use super::connection::agent;
use super::connection::client::Invocation;
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use crate::config::ClientConfig;
use std::time::Duration;

/// A healthy gateway answers in milliseconds; container runtimes give a check a few seconds.
const LIMIT: Duration = Duration::from_secs(3);
/// The answer is one line; a larger one comes from another server.
const LARGEST_ANSWER: u64 = 64 << 10;

/// `dbforge health`.
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
    let base = match invocation.gateway.url.clone() {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => {
            let config = ClientConfig::read(environment);
            config
                .map_err(|error| Failure::new(Exit::Refused, error))?
                .url
        }
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
