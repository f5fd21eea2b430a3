//! Differences between the recorded state and what is running.
use super::connection::client::{Client, GatewayArgs};
use super::connection::request::Request;
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use crate::cli::terminal::table::Table;
use crate::config::Environment;
use serde::Deserialize;

/// `dbforge drift`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DriftArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
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
}

/// Prints the findings of the reconciler's last pass.
pub(in crate::cli) fn drift(
    args: &DriftArgs,
    environment: &dyn Environment,
) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
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
        output::note("reconciler halted; allow one pass with POST /v1/drift/allow");
    }
    let mut table = Table::headed(["KIND", "STANDING", "DUE", "WHAT"]);
    for it in drift.findings {
        table.row([it.kind, it.standing, it.due_at.unwrap_or_default(), it.what]);
    }
    output::text(table)
}
