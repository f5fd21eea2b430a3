//! The verbs of a database, carried out or planned: stop, start, restart, delete, undelete.
use super::connection::client::{Client, Invocation};
use super::connection::request::Request;
use super::jobs::{WaitArgs, carry_out};
use crate::cli::exit::Failure;
use crate::cli::terminal::confirm::confirm;
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
}

/// `dbforge delete`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DeleteArgs {
    /// Name or id of the database
    name: String,
    /// Delete permanently, also from the trash; asks first on a terminal
    #[arg(long)]
    purge: bool,
    /// Do not ask
    #[arg(long, short, requires = "purge")]
    yes: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

/// `dbforge plan stop`, `start`, `restart`, `undelete`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PlannedArgs {
    /// Name or id of the database
    name: String,
}

/// `dbforge plan delete`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PlannedDeleteArgs {
    /// Name or id of the database
    name: String,
    /// Delete permanently
    #[arg(long)]
    purge: bool,
}

impl VerbCommand {
    /// Sends the request, and waits for its job.
    pub(in crate::cli) fn run(&self, invocation: Invocation<'_>) -> Result<(), Failure> {
        let (verb, args) = match self {
            Self::Stop(it) => (Verb::Stop, it),
            Self::Start(it) => (Verb::Start, it),
            Self::Restart(it) => (Verb::Restart, it),
            Self::Undelete(it) => (Verb::Undelete, it),
            Self::Delete(it) => return it.run(invocation),
        };
        let client = Client::new(invocation)?;
        let command = Request::post(&["databases", &args.name, verb.row().word]);
        carry_out(&client, &args.wait, command)
    }
}

impl DeleteArgs {
    fn run(&self, invocation: Invocation<'_>) -> Result<(), Failure> {
        let client = Client::new(invocation)?;
        if self.purge && !self.yes {
            confirm(&format!(
                "Delete `{}` permanently? Its data cannot be restored.",
                self.name
            ))?;
        }
        let purge = self.purge.then_some(true);
        let command = Request::delete(&["databases", &self.name]).query_if("purge", purge.as_ref());
        carry_out(&client, &self.wait, command)
    }
}

impl PlannedVerb {
    /// The command that is planned.
    pub(super) fn written(&self) -> Value {
        let (verb, name) = match self {
            Self::Stop(it) => (Verb::Stop, &it.name),
            Self::Start(it) => (Verb::Start, &it.name),
            Self::Restart(it) => (Verb::Restart, &it.name),
            Self::Undelete(it) => (Verb::Undelete, &it.name),
            Self::Delete(it) if it.purge => (Verb::Purge, &it.name),
            Self::Delete(it) => (Verb::Delete, &it.name),
        };
        json!({ verb.row().command: {"database": name} })
    }
}
