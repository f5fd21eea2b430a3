//! Commands on schedules.
use super::connection::client::{Client, GatewayArgs};
use super::connection::pages;
use super::connection::pages::Columns;
use super::connection::request::Request;
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use crate::config::Environment;
use serde_json::{Value, json};

const COLUMNS: &Columns = &[
    ("NAME", "/name"),
    ("CRON", "/cron"),
    ("ZONE", "/timezone"),
    ("COMMAND", "/command"),
    ("NEXT", "/next_at"),
    ("LAST", "/last/at"),
    ("REFUSED", "/last/refusal"),
];

/// `dbforge schedules`.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum ScheduleCommand {
    /// Create a schedule
    Create(CreateArgs),
    /// List schedules
    List(ListArgs),
    /// Show a schedule
    Show(NamedArgs),
    /// Pause a schedule
    Pause(NamedArgs),
    /// Resume a schedule; runs missed meanwhile are skipped
    Resume(NamedArgs),
    /// Run a schedule now
    Run(NamedArgs),
    /// Delete a schedule
    Delete(NamedArgs),
}

/// `dbforge schedules create`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CreateArgs {
    /// Name; the actor of its commands is schedule/NAME
    name: String,
    /// Cron pattern: minute, hour, day of month, month, day of week ("30 2 * * *"), or @hourly,
    /// @daily …
    cron: String,
    /// The command as JSON: {"create_database":{"name":"copy-{date}","ttl":"7d"}}
    #[arg(value_name = "COMMAND")]
    command: String,
    /// Time zone of the pattern, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    timezone: String,
    /// What to do about missed runs
    #[arg(long, value_parser = ["skip", "latest", "all"], default_value = "latest")]
    misfire: String,
    /// What to do if the previous run has not finished
    #[arg(long, value_parser = ["skip", "queue"], default_value = "skip")]
    overlap: String,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// `dbforge schedules list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// One schedule.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct NamedArgs {
    /// Name or id of the schedule
    schedule: String,
    #[command(flatten)]
    gateway: GatewayArgs,
}

pub(in crate::cli) fn run(
    command: &ScheduleCommand,
    environment: &dyn Environment,
) -> Result<(), Failure> {
    match command {
        ScheduleCommand::Create(args) => create(args, environment),
        ScheduleCommand::List(args) => {
            let client = Client::new(&args.gateway, environment)?;
            let schedules = pages::fetch(&client, None, || Request::get(&["schedules"]))?;
            pages::print(&client, &schedules, COLUMNS)
        }
        ScheduleCommand::Show(args) => {
            send(args, environment, |it| Request::get(&["schedules", it]))
        }
        ScheduleCommand::Pause(args) => send(args, environment, |it| {
            Request::patch(&["schedules", it]).body(json!({"enabled": false}))
        }),
        ScheduleCommand::Resume(args) => send(args, environment, |it| {
            Request::patch(&["schedules", it]).body(json!({"enabled": true}))
        }),
        ScheduleCommand::Run(args) => send(args, environment, |it| {
            Request::post(&["schedules", it, "run"])
        }),
        ScheduleCommand::Delete(args) => {
            send(args, environment, |it| Request::delete(&["schedules", it]))
        }
    }
}

fn create(args: &CreateArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    let command: Value = serde_json::from_str(&args.command).map_err(|error| {
        let message = format_args!("COMMAND is not valid JSON: {error}");
        Failure::new(Exit::Usage, message)
            .hint("for example '{\"delete_database\":{\"database\":\"scratch\"}}'")
    })?;
    let body = json!({
        "name": args.name,
        "cron": args.cron,
        "timezone": args.timezone,
        "command": command,
        "misfire": args.misfire,
        "overlap": args.overlap,
    });
    let answer = client.send(Request::post(&["schedules"]).body(body))?;
    output::line(&answer.text)
}

fn send(
    args: &NamedArgs,
    environment: &dyn Environment,
    request: impl FnOnce(&str) -> Request,
) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    let answer = client.send(request(&args.schedule))?;
    if answer.text.is_empty() {
        return Ok(());
    }
    output::line(&answer.text)
}
