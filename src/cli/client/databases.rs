//! Commands on databases: create, list, show, set.
use super::connection::client::{Client, Invocation};
use super::connection::pages;
use super::connection::pages::Columns;
use super::connection::request::{Answer, Request};
use super::jobs::{WaitArgs, carry_out};
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use crate::cli::terminal::table::{Table, cell};
use crate::domain::database::{DatabaseState, Isolation};
use serde::Deserialize;
use serde_json::{Map, Value};

const COLUMNS: &Columns = &[
    ("NAME", "/name"),
    ("STATE", "/state"),
    ("WORKER", "/worker/state"),
    ("BYTES", "/size_bytes"),
    ("EXPIRES", "/expires_at"),
    ("LABELS", "/labels"),
];

/// `dbforge create`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CreateArgs {
    /// Name of the database
    name: String,
    /// Delete it automatically after this time: 30s, 15m, 2h, 7d
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// A label; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Protect it from deletion
    #[arg(long)]
    protect: bool,
    /// Whether acknowledged writes survive a power failure (full) or may be lost (relaxed)
    #[arg(long, value_parser = ["full", "relaxed"])]
    durability: Option<String>,
    /// Which process answers its SQL: the gateway, or its own worker
    #[arg(long, value_parser = isolation_words())]
    isolation: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Limits of a database.
#[derive(Debug, Clone, clap::Args)]
struct LimitArgs {
    /// Largest size of the database file: 512MiB, 2GiB
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    size: Option<u64>,
    /// Memory of the worker: 256MiB
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,
    /// Processors of the worker: 0.5
    #[arg(long, value_name = "COUNT", value_parser = cpu_millis)]
    cpus: Option<u32>,
}

impl LimitArgs {
    /// The body's field `limits`, if there is any limit.
    fn written(&self) -> Option<Value> {
        let mut limits = Map::new();
        let wanted = [
            ("size_bytes", self.size),
            ("memory_bytes", self.memory),
            ("cpu_millis", self.cpus.map(u64::from)),
        ];
        for (field, limit) in wanted {
            limits.extend(limit.map(|limit| (field.to_owned(), limit.into())));
        }
        (!limits.is_empty()).then(|| limits.into())
    }
}

/// `dbforge set`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("settings").required(true).multiple(true)
    .args(["ttl", "labels", "remove_labels", "protect", "size", "memory", "cpus", "isolation"]))]
pub(in crate::cli) struct SetArgs {
    /// Name or id of the database
    name: String,
    /// Delete it automatically after this time, counted from now; `never` removes the limit
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// Add or replace a label; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Remove a label; repeatable
    #[arg(long = "remove-label", value_name = "KEY")]
    remove_labels: Vec<String>,
    /// Whether it is protected from deletion
    #[arg(long, value_name = "BOOL")]
    protect: Option<bool>,
    /// Which process answers its SQL: the gateway, or its own worker; a change restarts the worker
    #[arg(long, value_parser = isolation_words())]
    isolation: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// `dbforge list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Only databases in this state
    #[arg(long, value_parser = state_words())]
    state: Option<String>,
    /// Only databases with this label
    #[arg(long, value_name = "KEY=VALUE")]
    label: Option<String>,
}

/// `dbforge show`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowArgs {
    /// Name or id of the database
    name: String,
}

fn isolation_words() -> clap::builder::PossibleValuesParser {
    Isolation::ALL.iter().map(|it| it.as_str()).into()
}

fn state_words() -> clap::builder::PossibleValuesParser {
    DatabaseState::ALL.iter().map(|it| it.as_str()).into()
}

/// Creates a database.
pub(in crate::cli) fn create(args: &CreateArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let command = Request::post(&["databases"]).body(wanted(args));
    carry_out(&client, &args.wait, command)?;
    if !client.json {
        let name = &args.name;
        output::note(format_args!("connect:  dbforge sql {name} 'SELECT 1'"));
        output::note(format_args!(
            "          curl -H \"X-API-Key: $DBFORGE_TOKEN\" --json '{{\"sql\":\"SELECT 1\"}}' \
             {}/v1/databases/{name}/query",
            client.url
        ));
    }
    Ok(())
}

/// Changes settings of a database and shows it.
pub(in crate::cli) fn set(args: &SetArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let mut change = Map::new();
    let mut request = Request::patch(&["databases", &args.name]);
    if let Some(ttl) = &args.ttl {
        let ttl = (ttl != "never").then_some(ttl.as_str());
        change.insert("ttl".into(), ttl.into());
    }
    if !args.labels.is_empty() || !args.remove_labels.is_empty() {
        let (labels, sequence) = changed_labels(&client, args)?;
        change.insert("labels".into(), labels.into());
        request = request.if_match(sequence);
    }
    if let Some(protect) = args.protect {
        change.insert("protect".into(), protect.into());
    }
    if let Some(isolation) = &args.isolation {
        change.insert("isolation".into(), isolation.as_str().into());
    }
    change.extend(args.limits.written().map(|it| ("limits".to_owned(), it)));
    let answer = client.send(request.body(change.into()))?;
    print_in_full(&client, &answer)
}

#[derive(Deserialize)]
struct Labelled {
    labels: Map<String, Value>,
    sequence: u64,
}

/// All labels that the database is to have, and the event that they were read at: the gateway
/// replaces all labels at once.
fn changed_labels(client: &Client, args: &SetArgs) -> Result<(Map<String, Value>, u64), Failure> {
    let answer = client.send(Request::get(&["databases", &args.name]))?;
    let Labelled {
        mut labels,
        sequence,
    } = answer.read()?;
    for key in &args.remove_labels {
        if labels.remove(key).is_none() {
            let message = format_args!("{} has no label `{key}`", args.name);
            return Err(Failure::new(Exit::Refused, message));
        }
    }
    let added = args.labels.iter();
    labels.extend(added.map(|(key, value)| (key.clone(), value.as_str().into())));
    Ok((labels, sequence))
}

fn wanted(args: &CreateArgs) -> Value {
    let mut wanted = Map::new();
    wanted.insert("name".into(), args.name.as_str().into());
    if let Some(ttl) = &args.ttl {
        wanted.insert("ttl".into(), ttl.as_str().into());
    }
    if !args.labels.is_empty() {
        let labels = args.labels.iter();
        let labels = labels.map(|(key, value)| (key.clone(), value.as_str().into()));
        wanted.insert("labels".into(), Value::Object(labels.collect()));
    }
    if args.protect {
        wanted.insert("protect".into(), true.into());
    }
    if let Some(durability) = &args.durability {
        wanted.insert("durability".into(), durability.as_str().into());
    }
    if let Some(isolation) = &args.isolation {
        wanted.insert("isolation".into(), isolation.as_str().into());
    }
    wanted.extend(args.limits.written().map(|it| ("limits".to_owned(), it)));
    wanted.into()
}

/// Lists databases.
pub(in crate::cli) fn list(args: &ListArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let all = pages::fetch(&client, || {
        Request::get(&["databases"])
            .query_if("state", args.state.as_ref())
            .query_if("label", args.label.as_ref())
    })?;
    pages::print(&client, &all, COLUMNS)
}

/// Shows one database.
pub(in crate::cli) fn show(args: &ShowArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let answer = client.send(Request::get(&["databases", &args.name]))?;
    print_in_full(&client, &answer)
}

fn print_in_full(client: &Client, database: &Answer) -> Result<(), Failure> {
    if client.json {
        return output::line(&database.text);
    }
    output::text(in_full(&database.read()?))
}

fn in_full(database: &Value) -> Table {
    let mut table = Table::default();
    for (label, pointer) in [
        ("name", "/name"),
        ("id", "/id"),
        ("host", "/host"),
        ("engine", "/engine"),
        ("state", "/state"),
        ("worker", "/worker/id"),
        ("worker state", "/worker/state"),
        ("bytes", "/size_bytes"),
        ("limits", "/limits"),
        ("durability", "/durability"),
        ("isolation", "/isolation"),
        ("labels", "/labels"),
        ("protected", "/protected"),
        ("expires", "/expires_at"),
        ("created", "/created_at"),
        ("sequence", "/sequence"),
    ] {
        table.row([label, &cell(database, pointer)]);
    }
    table
}

/// A number of bytes, with or without a unit: 65536, 512MiB, 2GB.
fn bytes(text: &str) -> Result<u64, String> {
    let end = text
        .find(|it: char| !it.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit.trim() {
        "" | "B" => Some(1),
        "K" | "KiB" => Some(1 << 10),
        "M" | "MiB" => Some(1 << 20),
        "G" | "GiB" => Some(1 << 30),
        "T" | "TiB" => Some(1 << 40),
        "kB" | "KB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "TB" => Some(1_000_000_000_000),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(factor);
    let bytes = bytes.and_then(|(number, factor)| number.checked_mul(factor));
    bytes.ok_or_else(|| "expected a number of bytes such as 65536, 512MiB or 2GiB".to_owned())
}

/// A number of processors in thousandths: `0.5` is 500.
fn cpu_millis(text: &str) -> Result<u32, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let millis = (is_number(whole) && is_number(part) && part.len() <= 3)
        .then(|| format!("{whole}{part:0<3}").parse().ok())
        .flatten();
    millis.ok_or_else(|| "expected a number of processors such as 0.5 or 2".to_owned())
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_processors_are_read_with_their_units() {
        assert_eq!(bytes("65536"), Ok(65_536));
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("2GB"), Ok(2_000_000_000));
        assert_eq!(cpu_millis("0.5"), Ok(500));
        assert_eq!(cpu_millis("2"), Ok(2_000));
        assert_eq!(cpu_millis("1.25"), Ok(1_250));
        for wrong in ["", "x", "1.5GiB", "-1", "99999999999TiB", "1 apple"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", ".", "-1", "1.2345", "1e3", "9999999999"] {
            assert!(cpu_millis(wrong).is_err(), "{wrong}");
        }
    }
}
