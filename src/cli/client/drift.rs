//! Differences between the recorded state and what is running.
use super::connection::client::{Client, Invocation};
use super::connection::request::Request;
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use crate::cli::terminal::table::Table;
use serde::Deserialize;

/// `dbforge drift`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DriftArgs {
    #[command(subcommand)]
    command: Option<DriftCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum DriftCommand {
    /// Allow one pass of the reconciler without the disruption limit
    Allow,
    /// Remove a quarantined worker, or move an unknown folder to the trash
    Remove(RemoveArgs),
}

#[derive(Debug, clap::Args)]
struct RemoveArgs {
    /// Id of the worker or name of the folder, as `dbforge drift` shows it
    what: String,
}

#[derive(Deserialize)]
struct Drift {
    looked_at: Option<String>,
    trouble: Option<String>,
    reconcile_halted: bool,
    findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct Finding {
    kind: String,
    what: String,
    standing: String,
    due_at: Option<String>,
    worker: Option<String>,
    folder: Option<String>,
}

/// Prints the findings of the reconciler's last pass.
pub(in crate::cli) fn drift(args: &DriftArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    match &args.command {
        Some(DriftCommand::Allow) => {
            client.send(Request::post(&["drift", "allow"]))?;
            output::note("the next pass is allowed");
            return Ok(());
        }
        Some(DriftCommand::Remove(args)) => return remove(&client, &args.what),
        None => {}
    }
    let answer = client.send(Request::get(&["drift"]))?;
    if client.json {
        return output::line(&answer.text);
    }
    let drift: Drift = answer.read()?;
    match (&drift.looked_at, &drift.trouble) {
        (None, _) => output::note("the reconciler has not run yet"),
        (Some(at), None) => output::note(format_args!("as of {at}")),
        (Some(at), Some(trouble)) => output::note(format_args!("as of {at}: {trouble}")),
    }
    if drift.reconcile_halted {
        output::note("reconciler halted; allow one pass with `dbforge drift allow`");
    }
    let mut table = Table::headed(["KIND", "STANDING", "DUE", "WORKER OR FOLDER", "WHAT"]);
    for it in drift.findings {
        let due = it.due_at.unwrap_or_else(|| "-".to_owned());
        let resource = it.worker.or(it.folder).unwrap_or_else(|| "-".to_owned());
        table.row([it.kind, it.standing, due, resource, it.what]);
    }
    output::text(table)
}

/// Removes what a finding is about: a folder if one of this name was found, else a worker.
fn remove(client: &Client, what: &str) -> Result<(), Failure> {
    let drift: Drift = client.send(Request::get(&["drift"]))?.read()?;
    let is_folder = (drift.findings.iter()).any(|it| it.folder.as_deref() == Some(what));
    let kind = if is_folder { "folders" } else { "workers" };
    let answer = client.send(Request::delete(&["drift", kind, what]))?;
    if client.json && !answer.text.is_empty() {
        return output::line(&answer.text);
    }
    output::note(match is_folder {
        true => format!("folder {what} is in the trash"),
        false => format!("worker {what} is removed"),
    });
    Ok(())
}
