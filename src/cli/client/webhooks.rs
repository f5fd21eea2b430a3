//! Commands on webhooks, and their deliveries.
use super::connection::client::{Client, Invocation};
use super::connection::pages;
use super::connection::pages::Columns;
use super::connection::request::Request;
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use crate::cli::terminal::table::{Table, cell};
use serde::Deserialize;
use serde_json::{Value, json};

const COLUMNS: &Columns = &[
    ("ID", "/id"),
    ("URL", "/url"),
    ("KINDS", "/kinds"),
    ("DATABASES", "/databases"),
    ("ENABLED", "/enabled"),
    ("DISABLED BECAUSE", "/disabled_reason"),
];

const FIELDS: &Columns = &[
    ("webhook", "/id"),
    ("url", "/url"),
    ("secret", "/secret"),
    ("kinds", "/kinds"),
    ("databases", "/databases"),
    ("enabled", "/enabled"),
    ("disabled because", "/disabled_reason"),
    ("created", "/created_at"),
    ("sequence", "/sequence"),
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
    List,
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
}

/// One webhook.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WebhookArgs {
    /// Id of the webhook
    id: String,
}

pub(in crate::cli) fn run(
    command: &WebhookCommand,
    invocation: Invocation<'_>,
) -> Result<(), Failure> {
    match command {
        WebhookCommand::Create(args) => {
            let body =
                json!({"url": args.receiver, "kinds": args.kinds, "databases": args.databases});
            let request = Request::post(&["webhooks"]).body(body);
            send(invocation, request)
        }
        WebhookCommand::List => {
            let client = Client::new(invocation)?;
            let webhooks = pages::fetch(&client, || Request::get(&["webhooks"]))?;
            pages::print(&client, &webhooks, COLUMNS)
        }
        WebhookCommand::Deliveries(args) => {
            // One page: the gateway keeps a hundred.
            let client = Client::new(invocation)?;
            let answer = client.send(Request::get(&["webhooks", &args.id, "deliveries"]))?;
            pages::print(&client, &pages::items(&answer)?, DELIVERIES)
        }
        WebhookCommand::Show(args) => {
            let request = Request::get(&["webhooks", &args.id]);
            send(invocation, request)
        }
        WebhookCommand::Test(args) => test(args, invocation),
        WebhookCommand::Enable(args) => {
            let request = Request::post(&["webhooks", &args.id, "enable"]);
            send(invocation, request)
        }
        WebhookCommand::Delete(args) => {
            let request = Request::delete(&["webhooks", &args.id]);
            send(invocation, request)
        }
    }
}

fn send(invocation: Invocation<'_>, request: Request) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let answer = client.send(request)?;
    pages::print_one(&client, &answer, FIELDS)
}

/// Prints the attempt; fails if the receiver did not accept the message.
fn test(args: &WebhookArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let answer = client.send(Request::post(&["webhooks", &args.id, "test"]))?;
    let delivery: Delivery = answer.read()?;
    if client.json {
        output::line(&answer.text)?;
    } else {
        let mut table = Table::headed(DELIVERIES.iter().map(|(heading, _)| *heading));
        let value: Value = answer.read()?;
        table.row(DELIVERIES.iter().map(|(_, pointer)| cell(&value, pointer)));
        output::text(table)?;
    }
    if delivery.delivered {
        return Ok(());
    }
    Err(
        Failure::new(Exit::Refused, "the test message was not delivered")
            .hint("check the receiver; it must answer with a status of 200 to 299"),
    )
}

#[derive(Deserialize)]
struct Delivery {
    delivered: bool,
}
