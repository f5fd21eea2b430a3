//! Commands on schedules.
use super::connection::client::{Client, Invocation};
use super::connection::pages;
use super::connection::pages::Columns;
use super::connection::request::Request;
use crate::cli::exit::{Exit, Failure};
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

const FIELDS: &Columns = &[
    ("schedule", "/name"),
    ("id", "/id"),
    ("cron", "/cron"),
    ("time zone", "/timezone"),
    ("command", "/command"),
    ("enabled", "/enabled"),
    ("misfire", "/misfire"),
    ("overlap", "/overlap"),
    ("next", "/next_at"),
    ("last", "/last/at"),
    ("last job", "/last/job"),
    ("refused", "/last/refusal"),
    ("job", "/job"),
    ("refusal", "/refusal"),
    ("created", "/created_at"),
    ("sequence", "/sequence"),
];

/// `dbforge schedules`.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum ScheduleCommand {
    /// Create a schedule
    Create(CreateArgs),
    /// List schedules
    List,
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
}

/// One schedule.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct NamedArgs {
    /// Name or id of the schedule
    schedule: String,
}

pub(in crate::cli) fn run(
    command: &ScheduleCommand,
    invocation: Invocation<'_>,
) -> Result<(), Failure> {
    match command {
        ScheduleCommand::Create(args) => create(args, invocation),
        ScheduleCommand::List => {
            let client = Client::new(invocation)?;
            let schedules = pages::fetch(&client, || Request::get(&["schedules"]))?;
            pages::print(&client, &schedules, COLUMNS)
        }
        ScheduleCommand::Show(args) => {
            send(args, invocation, |it| Request::get(&["schedules", it]))
        }
        ScheduleCommand::Pause(args) => send(args, invocation, |it| {
            Request::patch(&["schedules", it]).body(json!({"enabled": false}))
        }),
        ScheduleCommand::Resume(args) => send(args, invocation, |it| {
            Request::patch(&["schedules", it]).body(json!({"enabled": true}))
        }),
        ScheduleCommand::Run(args) => send(args, invocation, |it| {
            Request::post(&["schedules", it, "run"])
        }),
        ScheduleCommand::Delete(args) => {
            send(args, invocation, |it| Request::delete(&["schedules", it]))
        }
    }
}

fn create(args: &CreateArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
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
    pages::print_one(&client, &answer, FIELDS)
}

fn send(
    args: &NamedArgs,
    invocation: Invocation<'_>,
    request: impl FnOnce(&str) -> Request,
) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let answer = client.send(request(&args.schedule))?;
    pages::print_one(&client, &answer, FIELDS)
}
