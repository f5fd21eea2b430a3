//! The verbs of a database, carried out or planned: stop, start, restart, delete, undelete.
use super::connection::client::{Client, GatewayArgs};
use super::connection::request::Request;
use super::jobs::{WaitArgs, carry_out};
use crate::cli::exit::Failure;
use crate::config::Environment;
use crate::domain::verb::Verb;
use serde_json::{Value, json};

/// `dbforge stop` and the like.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum VerbCommand {
    /// Stop a database; its data is kept
    Stop(ActionArgs),
    /// Start a stopped database
    Start(ActionArgs),
    /// Replace a database's worker
    Restart(ActionArgs),
    /// Move a database to the trash
    Delete(DeleteArgs),
    /// Restore a database from the trash
    Undelete(ActionArgs),
}

/// `dbforge plan stop` and the like.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum PlannedVerb {
    /// Stop a database
    Stop(PlannedArgs),
    /// Start a stopped database
    Start(PlannedArgs),
    /// Replace a database's worker
    Restart(PlannedArgs),
    /// Move a database to the trash
    Delete(PlannedDeleteArgs),
    /// Restore a database from the trash
    Undelete(PlannedArgs),
}

/// `dbforge stop`, `start`, `restart`, `undelete`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ActionArgs {
    /// Name or id of the database
    name: String,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// `dbforge delete`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DeleteArgs {
    /// Name or id of the database
    name: String,
    /// Delete permanently, also from the trash
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// `dbforge plan stop`, `start`, `restart`, `undelete`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PlannedArgs {
    /// Name or id of the database
    name: String,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// `dbforge plan delete`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PlannedDeleteArgs {
    /// Name or id of the database
    name: String,
    /// Delete permanently
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

impl VerbCommand {
    /// Sends the request, and waits for its job.
    pub(in crate::cli) fn run(&self, environment: &dyn Environment) -> Result<(), Failure> {
        let (verb, args) = match self {
            Self::Stop(it) => (Verb::Stop, it),
            Self::Start(it) => (Verb::Start, it),
            Self::Restart(it) => (Verb::Restart, it),
            Self::Undelete(it) => (Verb::Undelete, it),
            Self::Delete(it) => return it.run(environment),
        };
        let client = Client::new(&args.gateway, environment)?;
        let command = Request::post(&["databases", &args.name, verb.row().word]);
        carry_out(&client, &args.wait, command)
    }
}

impl DeleteArgs {
    fn run(&self, environment: &dyn Environment) -> Result<(), Failure> {
        let client = Client::new(&self.gateway, environment)?;
        let purge = self.purge.then_some(true);
        let command = Request::delete(&["databases", &self.name]).query_if("purge", purge.as_ref());
        carry_out(&client, &self.wait, command)
    }
}

impl PlannedVerb {
    /// The command that is planned, and the gateway that plans it.
    pub(super) fn written(&self) -> (&GatewayArgs, Value) {
        let (verb, name, gateway) = match self {
            Self::Stop(it) => (Verb::Stop, &it.name, &it.gateway),
            Self::Start(it) => (Verb::Start, &it.name, &it.gateway),
            Self::Restart(it) => (Verb::Restart, &it.name, &it.gateway),
            Self::Undelete(it) => (Verb::Undelete, &it.name, &it.gateway),
            Self::Delete(it) if it.purge => (Verb::Purge, &it.name, &it.gateway),
            Self::Delete(it) => (Verb::Delete, &it.name, &it.gateway),
        };
        (gateway, json!({ verb.row().command: {"database": name} }))
    }
}
