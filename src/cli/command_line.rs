//! Every command, and which function runs it.
use super::client::history::{audit, events, past};
use super::client::{databases, drift, health, jobs, plans, schedules, sql, verbs, webhooks};
use super::exit::{self, Exit, Failure};
use super::terminal::output;
use super::{completion, doctor, log, replay, serve, token, worker};
use crate::config::{Environment, ProcessEnvironment};
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// SQLite databases on demand, on your own machine.
#[derive(Debug, Parser)]
#[command(name = "dbforge", version, after_help = exit::HELP, disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway until it receives SIGINT or SIGTERM
    #[command(after_help = "A flag takes precedence over its environment variable.")]
    Serve(serve::Settings),
    /// Create a database
    Create(databases::CreateArgs),
    /// List databases
    List(databases::ListArgs),
    /// Show a database
    Show(databases::ShowArgs),
    /// Run a SQL statement or a script
    Sql(sql::SqlArgs),
    #[command(flatten)]
    Act(verbs::VerbCommand),
    /// List, show or watch jobs
    Jobs(jobs::JobsArgs),
    /// List or follow events
    Events(events::EventsArgs),
    /// Show the current state, or an earlier one
    State(past::StateArgs),
    /// Show what changed between two points in the history
    Diff(past::DiffArgs),
    /// Query the history in SQL, sign checkpoints
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Create a plan without applying it
    Plan(plans::PlanArgs),
    /// List or show plans
    Plans(plans::PlansArgs),
    /// Apply a plan, unless the state it was made for has changed
    Apply(plans::ApplyArgs),
    /// Undo the command behind an event
    Undo(plans::UndoArgs),
    /// Show differences between the recorded state and what is running
    Drift(drift::DriftArgs),
    /// Manage schedules
    #[command(subcommand)]
    Schedules(schedules::ScheduleCommand),
    /// Manage webhooks
    #[command(subcommand)]
    Webhooks(webhooks::WebhookCommand),
    /// Manage tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Export, verify or archive the event log of a data folder
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Rebuild the state from an exported event log and print it
    Replay(replay::ReplayArgs),
    /// Check a data folder and this machine for problems
    Doctor(doctor::DoctorArgs),
    /// Check whether the gateway is healthy
    Health(health::HealthArgs),
    /// Print a shell completion script
    Completion(completion::CompletionArgs),
    /// Run inside a worker; called by the gateway
    #[command(subcommand)]
    Worker(worker::WorkerCommand),
}

/// Runs the command that the process's arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(unreadable) => return explain(&unreadable),
    };
    match line.command.run(&ProcessEnvironment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::failure(&failure);
            failure.exit.into()
        }
    }
}

/// The declaration of the whole command line, for its help texts.
#[must_use]
pub fn declaration() -> clap::Command {
    Line::command()
}

/// To clap, help and version are errors; it prints them to the standard output.
fn explain(unreadable: &clap::Error) -> ExitCode {
    match unreadable.print() {
        Ok(()) if !unreadable.use_stderr() => ExitCode::SUCCESS,
        _ => Exit::Usage.into(),
    }
}

impl Command {
    fn run(&self, environment: &dyn Environment) -> Result<(), Failure> {
        match self {
            Self::Serve(settings) => serve::serve(settings, environment),
            Self::Create(args) => databases::create(args, environment),
            Self::List(args) => databases::list(args, environment),
            Self::Show(args) => databases::show(args, environment),
            Self::Sql(args) => sql::sql(args, environment),
            Self::Act(command) => command.run(environment),
            Self::Jobs(args) => jobs::jobs(args, environment),
            Self::Events(args) => events::events(args, environment),
            Self::State(args) => past::state(args, environment),
            Self::Diff(args) => past::diff(args, environment),
            Self::Audit(command) => audit::run(command, environment),
            Self::Plan(args) => plans::plan(args, environment),
            Self::Plans(args) => plans::plans(args, environment),
            Self::Apply(args) => plans::apply(args, environment),
            Self::Undo(args) => plans::undo(args, environment),
            Self::Drift(args) => drift::drift(args, environment),
            Self::Schedules(command) => schedules::run(command, environment),
            Self::Webhooks(command) => webhooks::run(command, environment),
            Self::Token(command) => token::run(command, environment),
            Self::Log(command) => log::run(command, environment),
            Self::Replay(args) => replay::replay(args),
            Self::Doctor(args) => doctor::doctor(args, environment),
            Self::Health(args) => health::health(args, environment),
            Self::Completion(args) => completion::completion(args, declaration()),
            Self::Worker(command) => worker::run(command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_holds_together() {
        declaration().debug_assert();
    }
}
