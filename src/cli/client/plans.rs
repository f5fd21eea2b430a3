//! Commands on plans, and undo.
use super::connection::client::{Client, Invocation};
use super::connection::pages;
use super::connection::pages::Columns;
use super::connection::request::{Answer, Request};
use super::jobs::{WaitArgs, see_through};
use super::verbs::PlannedVerb;
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use crate::cli::terminal::table::{Table, cell};
use serde_json::{Map, Value, json};

const COLUMNS: &Columns = &[
    ("PLAN", "/id"),
    ("STATE", "/state"),
    ("DATABASE", "/database"),
    ("COMMAND", "/command"),
    ("EXPIRES", "/expires_at"),
    ("ACTOR", "/actor"),
];

/// `dbforge plan`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PlanArgs {
    #[command(subcommand)]
    command: PlannedCommand,
}

#[derive(Debug, clap::Subcommand)]
enum PlannedCommand {
    /// Create a database
    Create(CreateArgs),
    /// Change a database's settings
    Change(ChangeArgs),
    #[command(flatten)]
    Act(PlannedVerb),
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// Name of the database
    name: String,
    /// Delete it automatically after this time: 30s, 15m, 2h, 7d
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// Protect it from deletion
    #[arg(long)]
    protect: bool,
}

#[derive(Debug, clap::Args)]
struct ChangeArgs {
    /// Name or id of the database
    name: String,
    /// Delete it automatically after this time, counted from the change; `never` removes the limit
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// Whether it is protected from deletion
    #[arg(long, value_name = "BOOL")]
    protect: Option<bool>,
}

/// `dbforge plans`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PlansArgs {
    /// Show this plan in full
    #[arg(value_name = "ID")]
    id: Option<String>,
}

/// `dbforge apply`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ApplyArgs {
    /// Id of the plan
    id: String,
    #[command(flatten)]
    wait: WaitArgs,
}

/// `dbforge undo`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct UndoArgs {
    /// Sequence of the event, as `dbforge events` shows it
    sequence: u64,
    /// Only show what would happen
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Creates a plan and shows it.
pub(in crate::cli) fn plan(args: &PlanArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let command = args.command.written();
    let client = Client::new(invocation)?;
    let body = json!({ "command": command });
    let answer = client.send(Request::post(&["plans"]).body(body))?;
    show(&client, &answer)
}

impl PlannedCommand {
    fn written(&self) -> Value {
        match self {
            Self::Create(it) => it.written(),
            Self::Change(it) => it.written(),
            Self::Act(it) => it.written(),
        }
    }
}

impl CreateArgs {
    fn written(&self) -> Value {
        let mut wanted = Map::new();
        wanted.insert("name".into(), self.name.as_str().into());
        if let Some(ttl) = &self.ttl {
            wanted.insert("ttl".into(), ttl.as_str().into());
        }
        wanted.insert("protect".into(), self.protect.into());
        json!({ "create_database": wanted })
    }
}

impl ChangeArgs {
    fn written(&self) -> Value {
        let mut change = Map::new();
        if let Some(ttl) = &self.ttl {
            let never = ttl == "never";
            let ttl = if never {
                Value::Null
            } else {
                ttl.as_str().into()
            };
            change.insert("ttl".into(), ttl);
        }
        if let Some(protect) = self.protect {
            change.insert("protect".into(), protect.into());
        }
        json!({ "change_database": {"database": self.name, "change": change} })
    }
}

/// Lists plans, or shows one.
pub(in crate::cli) fn plans(args: &PlansArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    if let Some(id) = &args.id {
        return show(&client, &client.send(Request::get(&["plans", id]))?);
    }
    let all = pages::fetch(&client, || Request::get(&["plans"]))?;
    pages::print(&client, &all, COLUMNS)
}

/// Applies a plan and waits for its job.
pub(in crate::cli) fn apply(args: &ApplyArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let answer = client.send(Request::post(&["plans", &args.id, "apply"]))?;
    see_through_or_show(&client, &args.wait, answer)
}

/// Undoes the command behind an event.
pub(in crate::cli) fn undo(args: &UndoArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let dry_run = args.dry_run.then_some("plan");
    let sequence = args.sequence.to_string();
    let request =
        Request::post(&["events", &sequence, "undo"]).query_if("dry_run", dry_run.as_ref());
    let answer = client.send(request)?;
    see_through_or_show(&client, &args.wait, answer)
}

/// Waits if the answer is a job; else shows it.
fn see_through_or_show(client: &Client, wait: &WaitArgs, answer: Answer) -> Result<(), Failure> {
    let value: Value = answer.read()?;
    if value.get("queue_position").is_some() || value.get("attempts").is_some() {
        return see_through(client, wait, answer);
    }
    show(client, &answer)
}

fn show(client: &Client, answer: &Answer) -> Result<(), Failure> {
    if client.json {
        return output::line(&answer.text);
    }
    output::text(in_full(&answer.read()?))
}

/// A plan or its result: events, effects and warnings.
fn in_full(plan: &Value) -> Table {
    let mut table = Table::default();
    for (label, pointer) in [
        ("plan", "/id"),
        ("state", "/state"),
        ("command", "/command"),
        ("stale", "/stale"),
        ("undone", "/undone"),
        ("job", "/job"),
        ("expires", "/expires_at"),
    ] {
        if plan.pointer(pointer).is_some_and(|value| !value.is_null()) {
            table.row([label, &cell(plan, pointer)]);
        }
    }
    for event in list(plan, "events") {
        let line = format!("{} in {}", cell(event, "/kind"), cell(event, "/stream"));
        table.row(["event", &line]);
    }
    for effect in list(plan, "effects") {
        let on = cell(effect, "/on");
        let mut line = format!(
            "{on}: {} {}",
            cell(effect, "/action"),
            cell(effect, "/what")
        );
        if let Some(bytes) = effect.get("bytes").and_then(Value::as_u64) {
            line.push_str(&format!(", {bytes} bytes"));
        }
        table.row(["effect", &line]);
    }
    for warning in list(plan, "warnings") {
        table.row(["warning", warning.as_str().unwrap_or_default()]);
    }
    table
}

fn list<'a>(plan: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    let found = plan.get(field).and_then(Value::as_array);
    found.into_iter().flatten()
}
