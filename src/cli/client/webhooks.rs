//! Webhooks: making them, trying them, what came of their messages.
use super::connection::client::{Client, GatewayArgs};
use super::connection::pages;
use super::connection::pages::Columns;
use super::connection::request::Request;
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use crate::config::Environment;
use serde_json::json;

const COLUMNS: &Columns = &[
    ("ID", "/id"),
    ("URL", "/url"),
    ("KINDS", "/kinds"),
    ("DATABASES", "/databases"),
    ("ENABLED", "/enabled"),
    ("DISABLED BECAUSE", "/disabled_reason"),
];

const DELIVERIES: &Columns = &[
    ("AT", "/at"),
    ("EVENT", "/sequence"),
    ("KIND", "/kind"),
    ("TRY", "/attempt"),
    ("STATUS", "/status"),
    ("MS", "/duration_ms"),
    ("ERROR", "/error"),
];

/// `dbforge webhooks`.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum WebhookCommand {
    /// Make a webhook; its secret is shown this once
    Create(CreateArgs),
    /// List webhooks
    List(ListArgs),
    /// Show a webhook
    Show(WebhookArgs),
    /// Send a message that says nothing, and say what came of it
    Test(WebhookArgs),
    /// List the latest tries
    Deliveries(WebhookArgs),
    /// Let a disabled webhook go on where it was
    Enable(WebhookArgs),
    /// Delete a webhook
    Delete(WebhookArgs),
}

/// `dbforge webhooks create`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CreateArgs {
    /// Where events are posted to
    #[arg(value_name = "URL")]
    receiver: String,
    /// Only events of this kind: `job_failed`; may be repeated
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Only events about these databases, a name or a pattern such as pr-*; may be repeated
    #[arg(long = "database", value_name = "PATTERN", default_value = "*")]
    databases: Vec<String>,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// `dbforge webhooks list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// One webhook.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WebhookArgs {
    /// Its id
    id: String,
    #[command(flatten)]
    gateway: GatewayArgs,
}

pub(in crate::cli) fn run(
    command: &WebhookCommand,
    environment: &dyn Environment,
) -> Result<(), Failure> {
    match command {
        WebhookCommand::Create(args) => {
            let body =
                json!({"url": args.receiver, "kinds": args.kinds, "databases": args.databases});
            let request = Request::post(&["webhooks"]).body(body);
            send(&args.gateway, environment, request)
        }
        WebhookCommand::List(args) => {
            let client = Client::new(&args.gateway, environment)?;
            let webhooks = pages::fetch(&client, None, || Request::get(&["webhooks"]))?;
            pages::print(&client, &webhooks, COLUMNS)
        }
        WebhookCommand::Deliveries(args) => {
            // One page: the gateway remembers a hundred.
            let client = Client::new(&args.gateway, environment)?;
            let answer = client.send(Request::get(&["webhooks", &args.id, "deliveries"]))?;
            pages::print(&client, &pages::items(&answer)?, DELIVERIES)
        }
        WebhookCommand::Show(args) => {
            let request = Request::get(&["webhooks", &args.id]);
            send(&args.gateway, environment, request)
        }
        WebhookCommand::Test(args) => {
            let request = Request::post(&["webhooks", &args.id, "test"]);
            send(&args.gateway, environment, request)
        }
        WebhookCommand::Enable(args) => {
            let request = Request::post(&["webhooks", &args.id, "enable"]);
            send(&args.gateway, environment, request)
        }
        WebhookCommand::Delete(args) => {
            let request = Request::delete(&["webhooks", &args.id]);
            send(&args.gateway, environment, request)
        }
    }
}

fn send(
    gateway: &GatewayArgs,
    environment: &dyn Environment,
    request: Request,
) -> Result<(), Failure> {
    let client = Client::new(gateway, environment)?;
    let answer = client.send(request)?;
    if answer.text.is_empty() {
        return Ok(());
    }
    output::line(&answer.text)
}
