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
use std::collections::BTreeMap;

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
    ("headers", "/headers"),
    ("delivered through", "/delivered_through"),
    ("next try", "/retry_at"),
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
    /// Enable a disabled or paused webhook; it resumes where it stopped
    Enable(EnableArgs),
    /// Pause a webhook until it is enabled
    Pause(WebhookArgs),
    /// Skip the events through one, also one that is being retried
    Skip(EventArgs),
    /// Send one event again and print the result
    Replay(EventArgs),
    /// Replace the signing secret; the new one is not shown again
    Secret(SecretArgs),
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
    /// Header to send with each message; repeatable
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
}

/// `dbforge webhooks enable`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct EnableArgs {
    /// Id of the webhook
    id: String,
    /// Leave out the events since it was disabled
    #[arg(long)]
    from_now: bool,
}

/// An event of one webhook.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct EventArgs {
    /// Id of the webhook
    id: String,
    /// Sequence number of the event
    sequence: u64,
}

/// `dbforge webhooks secret`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SecretArgs {
    /// Id of the webhook
    id: String,
    /// How long messages are signed with the old secret, too
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    overlap: String,
}

/// `Name: value`, as in a request.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("must be `NAME: VALUE`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
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
            let headers: BTreeMap<_, _> = args.headers.iter().cloned().collect();
            let body = json!({"url": args.receiver, "kinds": args.kinds,
                "databases": args.databases, "headers": headers});
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
        WebhookCommand::Test(args) => {
            let request = Request::post(&["webhooks", &args.id, "test"]);
            attempt(request, "the test message was not delivered", invocation)
        }
        WebhookCommand::Enable(args) => {
            let request = Request::post(&["webhooks", &args.id, "enable"]);
            send(invocation, request.body(json!({"from_now": args.from_now})))
        }
        WebhookCommand::Pause(args) => {
            send(invocation, Request::post(&["webhooks", &args.id, "pause"]))
        }
        WebhookCommand::Skip(args) => {
            let request = Request::post(&["webhooks", &args.id, "skip"]);
            send(invocation, request.body(json!({"through": args.sequence})))
        }
        WebhookCommand::Replay(args) => {
            let request = Request::post(&["webhooks", &args.id, "replay"]);
            let request = request.body(json!({"sequence": args.sequence}));
            attempt(request, "the event was not delivered", invocation)
        }
        WebhookCommand::Secret(args) => {
            let request = Request::post(&["webhooks", &args.id, "secret"]);
            send(invocation, request.body(json!({"overlap": args.overlap})))
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
fn attempt(
    request: Request,
    failed: &'static str,
    invocation: Invocation<'_>,
) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let answer = client.send(request)?;
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
    Err(Failure::new(Exit::Refused, failed)
        .hint("check the receiver; it must answer with a status of 200 to 299"))
}

#[derive(Deserialize)]
struct Delivery {
    delivered: bool,
}
