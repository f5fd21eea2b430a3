//! The gateway that commands talk to: its URL, the token, requests and answers.
use super::agent;
use super::request::{Answer, Problem, Request};
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use crate::config::{ClientConfig, Environment, Overlay, Secret};
use std::time::Duration;
use ureq::http::Response;

/// Time for an answer, on top of what a request waits for on purpose. Long enough for a machine
/// under load.
const ANSWER: Duration = Duration::from_secs(30);
/// Answers are held in memory; the gateway's own limits are below this one.
const LARGEST_ANSWER: u64 = 256 << 20;

/// Options of every command that talks to the gateway; they may stand before the command, too.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Gateway")]
pub(crate) struct GatewayArgs {
    /// URL of the gateway [default: `DBFORGE_URL`, or this machine at the port of `DBFORGE_LISTEN`]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Access token [default: `DBFORGE_TOKEN`; for a gateway on this machine the root token of the
    /// data folder]. Prefer the variable: flags are visible to other users
    #[arg(long, global = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Print the gateway's JSON, one object per line; errors, too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print data and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print each request, and which token is used
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

/// A command that is carried out: the options that all commands share, and the settings.
#[derive(Clone, Copy)]
pub(crate) struct Invocation<'a> {
    pub(crate) gateway: &'a GatewayArgs,
    pub(crate) environment: &'a dyn Environment,
}

/// A gateway that requests are sent to.
pub(crate) struct Client {
    pub(crate) agent: ureq::Agent,
    pub(crate) url: String,
    pub(crate) token: Option<Secret>,
    pub(super) verbose: bool,
    /// Whether answers are printed as the gateway sent them.
    pub(crate) json: bool,
}

impl Client {
    /// Reads the URL and the token from flags and environment. Sends nothing.
    pub(crate) fn new(invocation: Invocation<'_>) -> Result<Self, Failure> {
        let args = invocation.gateway;
        let flags = [("DBFORGE_URL", &args.url), ("DBFORGE_TOKEN", &args.token)];
        let given = flags
            .into_iter()
            .filter_map(|(variable, flag)| Some((variable.to_owned(), flag.clone()?)));
        let environment = Overlay {
            flags: given.collect(),
            below: invocation.environment,
        };
        let config =
            ClientConfig::read(&environment).map_err(|error| Failure::new(Exit::Usage, error))?;
        let token = match &config.token {
            Some(token) => Some(token.clone()),
            None if config.is_local() => kept_root_token(&config, args.verbose),
            None => None,
        };
        Ok(Self {
            agent: agent::new(),
            url: config.url,
            token,
            verbose: args.verbose,
            json: args.json,
        })
    }

    /// Sends a request and waits for its whole answer.
    pub(crate) fn send(&self, request: Request) -> Result<Answer, Failure> {
        let text = self.text_of(&mut self.ask(request)?)?;
        Ok(Answer { text })
    }

    /// Sends a request and waits until its answer begins.
    pub(crate) fn ask(&self, request: Request) -> Result<Response<ureq::Body>, Failure> {
        let url = format!("{}{}", self.url, request.path_and_query);
        if self.verbose {
            output::note(format_args!("{} {url}", request.method));
        }
        let mut message = ureq::http::Request::builder()
            .method(request.method)
            .uri(&url)
            .header("Accept", "application/json");
        if let Some(token) = &self.token {
            message = message.header("Authorization", format!("Bearer {}", token.reveal()));
        }
        if let Some(version) = &request.if_match {
            message = message.header("If-Match", version);
        }
        if let Some(body) = &request.body {
            message = message.header("Content-Type", body.content_type());
        }
        let body = request
            .body
            .map(crate::cli::client::connection::request::Body::into_text)
            .unwrap_or_default();
        let message = message
            .body(body)
            .map_err(|error| Failure::new(Exit::Usage, format_args!("{url}: {error}")))?;
        let message = self
            .agent
            .configure_request(message)
            .timeout_global(Some(ANSWER + request.patience))
            .build();
        let mut answer = self
            .agent
            .run(message)
            .map_err(|error| self.unreachable(&error))?;
        let status = answer.status().as_u16();
        if status < 400 {
            return Ok(answer);
        }
        let text = self.text_of(&mut answer)?;
        let failure = Problem::of_answer(status, &text).into_answered();
        Err(match (status, &self.token) {
            (401, None) => failure.hint("no token was sent; set DBFORGE_TOKEN"),
            _ => failure,
        })
    }

    pub(crate) fn text_of(&self, answer: &mut Response<ureq::Body>) -> Result<String, Failure> {
        let body = answer.body_mut().with_config().limit(LARGEST_ANSWER);
        body.read_to_string()
            .map_err(|error| self.unreachable(&error))
    }

    pub(crate) fn unreachable(&self, error: &ureq::Error) -> Failure {
        let message = format!("cannot reach the gateway at {}: {error}", self.url);
        Failure::new(Exit::Unavailable, message)
            .hint("start one with `dbforge serve`, or set --url or DBFORGE_URL")
    }
}

fn kept_root_token(config: &ClientConfig, verbose: bool) -> Option<Secret> {
    let file = &config.root_token_file;
    let (found, token) = match std::fs::read_to_string(file) {
        Ok(text) => ("using the root token in", Some(text.trim().to_owned())),
        Err(_) => ("sending no token; cannot read", None),
    };
    if verbose {
        output::note(format_args!("{found} {}", file.display()));
    }
    token.map(Secret::new)
}
