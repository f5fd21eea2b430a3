//! Plans and undo: look first, then say yes; take back what was done.
use super::connection::client::{Client, GatewayArgs};
use super::connection::pages;
use super::connection::pages::Columns;
use super::connection::request::{Answer, Request};
use super::jobs::{WaitArgs, see_through};
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use crate::cli::terminal::table::{Table, cell};
use crate::config::Environment;
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
    /// Take a database's worker away and refuse SQL
    Stop(NamedArgs),
    /// Bring a stopped database back
    Start(NamedArgs),
    /// Replace a database's worker by a fresh one
    Restart(NamedArgs),
    /// Move a database to the trash
    Delete(DeleteArgs),
    /// Bring a database back from the trash
    Undelete(NamedArgs),
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// Its name
    name: String,
    /// How long it lives before it goes to the trash: 30s, 15m, 2h, 7d
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// Let it refuse to be deleted
    #[arg(long)]
    protect: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

#[derive(Debug, clap::Args)]
struct ChangeArgs {
    /// Its name or its id
    name: String,
    /// How long it lives from the change on; `never` for until it is deleted
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// Whether it refuses to be deleted
    #[arg(long, value_name = "YES")]
    protect: Option<bool>,
    #[command(flatten)]
    gateway: GatewayArgs,
}

#[derive(Debug, clap::Args)]
struct NamedArgs {
    /// Its name or its id
    name: String,
    #[command(flatten)]
    gateway: GatewayArgs,
}

#[derive(Debug, clap::Args)]
struct DeleteArgs {
    /// Its name or its id
    name: String,
    /// For good, past the trash
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// `dbforge plans`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PlansArgs {
    /// One plan, in full
    #[arg(value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// `dbforge apply`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ApplyArgs {
    /// The plan's id
    id: String,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// `dbforge undo`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct UndoArgs {
    /// An event's place in the log, as `dbforge events` shows it
    sequence: u64,
    /// Show what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Makes a plan and shows it.
pub(in crate::cli) fn plan(args: &PlanArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let (gateway, command) = args.command.written();
    let client = Client::new(gateway, environment)?;
    let body = json!({ "command": command });
    let answer = client.send(Request::post(&["plans"]).body(body))?;
    show(&client, &answer)
}

impl PlannedCommand {
    fn written(&self) -> (&GatewayArgs, Value) {
        let named = |kind: &str, it: &NamedArgs| json!({ kind: {"database": it.name} });
        match self {
            Self::Create(it) => (&it.gateway, it.written()),
            Self::Change(it) => (&it.gateway, it.written()),
            Self::Stop(it) => (&it.gateway, named("stop_database", it)),
            Self::Start(it) => (&it.gateway, named("start_database", it)),
            Self::Restart(it) => (&it.gateway, named("restart_database", it)),
            Self::Undelete(it) => (&it.gateway, named("undelete_database", it)),
            Self::Delete(it) => {
                let kind = if it.purge {
                    "purge_database"
                } else {
                    "delete_database"
                };
                (&it.gateway, json!({ kind: {"database": it.name} }))
            }
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
pub(in crate::cli) fn plans(
    args: &PlansArgs,
    environment: &dyn Environment,
) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    if let Some(id) = &args.id {
        return show(&client, &client.send(Request::get(&["plans", id]))?);
    }
    let all = pages::fetch(&client, None, || Request::get(&["plans"]))?;
    pages::print(&client, &all, COLUMNS)
}

/// Applies a plan and waits for its job.
pub(in crate::cli) fn apply(
    args: &ApplyArgs,
    environment: &dyn Environment,
) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    let answer = client.send(Request::post(&["plans", &args.id, "apply"]))?;
    see_through_or_show(&client, &args.wait, answer)
}

/// Undoes what an event's command has done.
pub(in crate::cli) fn undo(args: &UndoArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    let dry_run = args.dry_run.then_some("plan");
    let sequence = args.sequence.to_string();
    let request =
        Request::post(&["events", &sequence, "undo"]).query_if("dry_run", dry_run.as_ref());
    let answer = client.send(request)?;
    see_through_or_show(&client, &args.wait, answer)
}

/// What became a job is waited for; what was done at once is shown.
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

/// What would happen, or has: events, effects, and what to think of before saying yes.
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
        if plan.pointer(pointer).is_some_and(|it| !it.is_null()) {
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
