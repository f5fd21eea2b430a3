//! Commands on webhooks, and their deliveries.
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
    /// Create a webhook; its secret is not shown again
    Create(CreateArgs),
    /// List webhooks
    List(ListArgs),
    /// Show a webhook
    Show(WebhookArgs),
    /// Send a test message and print the result
    Test(WebhookArgs),
    /// List the latest delivery attempts
    Deliveries(WebhookArgs),
    /// Enable a disabled webhook; it resumes where it stopped
    Enable(WebhookArgs),
    /// Delete a webhook
    Delete(WebhookArgs),
}

/// `dbforge webhooks create`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CreateArgs {
    /// URL that receives the events
    #[arg(value_name = "URL")]
    receiver: String,
    /// Only events of this kind, such as `job_failed`; repeatable
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Only events of these databases: a name, or a pattern such as pr-*; repeatable
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
    /// Id of the webhook
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
            // One page: the gateway keeps a hundred.
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
