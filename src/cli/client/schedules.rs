//! Schedules: made, listed, paused, run and deleted.
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
    /// Make a schedule
    Create(CreateArgs),
    /// List schedules
    List(ListArgs),
    /// Show a schedule
    Show(NamedArgs),
    /// Let a schedule rest
    Pause(NamedArgs),
    /// Let it go on; what came between is not made up for
    Resume(NamedArgs),
    /// Run a schedule now, beside its times
    Run(NamedArgs),
    /// Delete a schedule
    Delete(NamedArgs),
}

/// `dbforge schedules create`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CreateArgs {
    /// Its commands are signed schedule/NAME
    name: String,
    /// Minute, hour, day of month, month, day of week: "30 2 * * *"; also @hourly, @daily …
    cron: String,
    /// What to do: {"create_database":{"name":"copy-{date}","ttl":"7d"}}
    #[arg(value_name = "COMMAND")]
    command: String,
    /// The time zone of the pattern, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    timezone: String,
    /// What happens to times that were missed
    #[arg(long, value_parser = ["skip", "latest", "all"], default_value = "latest")]
    misfire: String,
    /// What happens when the job of the time before has not ended
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
    /// Its name or id
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
        let message = format_args!("COMMAND is no JSON: {error}");
        Failure::new(Exit::Usage, message)
            .hint("such as '{\"delete_database\":{\"database\":\"scratch\"}}'")
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
