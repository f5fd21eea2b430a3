//! The command line: what can be said to `dbforge`.
mod client;
mod completion;
mod data_dir;
mod doctor;
mod exit;
mod log;
mod replay;
mod serve;
mod terminal;
mod token;
mod worker;

use self::client::history::{audit, events, past};
use self::client::{databases, drift, health, jobs, plans, schedules, sql, webhooks};
use self::exit::Failure;
use crate::config::{Environment, ProcessEnvironment};
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

pub use self::exit::Exit;

/// Databases on call, on your own machine.
#[derive(Debug, Parser)]
#[command(name = "dbforge", version, after_help = exit::HELP, disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway until it is told to stop
    #[command(after_help = "A flag wins over the variable behind it.")]
    Serve(serve::Settings),
    /// Create a database
    Create(databases::CreateArgs),
    /// List databases
    List(databases::ListArgs),
    /// Show a database
    Show(databases::ShowArgs),
    /// Run a SQL statement and print its rows
    Sql(sql::SqlArgs),
    /// Take a database's worker away and refuse SQL; its data is kept
    Stop(databases::ActionArgs),
    /// Bring a stopped database back
    Start(databases::ActionArgs),
    /// Replace a database's worker by a fresh one
    Restart(databases::ActionArgs),
    /// Move a database to the trash
    Delete(databases::DeleteArgs),
    /// Bring a database back from the trash
    Undelete(databases::ActionArgs),
    /// List jobs, show one, or watch one
    Jobs(jobs::JobsArgs),
    /// List what happened, or follow what happens
    Events(events::EventsArgs),
    /// Show everything that is true now, or was at an earlier moment
    State(past::StateArgs),
    /// Show what changed between two moments
    Diff(past::DiffArgs),
    /// Ask the history in SQL; sign the end of the event log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Write a command down, and show what it would do; nothing is done
    Plan(plans::PlanArgs),
    /// List plans, or show one
    Plans(plans::PlansArgs),
    /// Carry a plan out, if nothing that it rests on has changed
    Apply(plans::ApplyArgs),
    /// Take back what an event's command has done
    Undo(plans::UndoArgs),
    /// Show how the forge differs from what its log says, and what is done about it
    Drift(drift::DriftArgs),
    /// Do something again and again: make, list, pause, run and delete schedules
    #[command(subcommand)]
    Schedules(schedules::ScheduleCommand),
    /// Be told of events: make, list, try, enable and delete webhooks
    #[command(subcommand)]
    Webhooks(webhooks::WebhookCommand),
    /// Make, list and revoke tokens; replace the root token
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Read the event log of a data folder, beside a running gateway or without one
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Fold an exported event log and print the state it leads to
    Replay(replay::ReplayArgs),
    /// Look for what is wrong with a data folder and this machine, and say what to do
    Doctor(doctor::DoctorArgs),
    /// Ask a running gateway whether it is well
    Health(health::HealthArgs),
    /// Print a script that completes this command line in a shell
    Completion(completion::CompletionArgs),
    /// What runs inside a worker
    #[command(subcommand)]
    Worker(worker::WorkerCommand),
}

/// Does what the process's arguments say.
#[must_use]
pub fn main() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(unreadable) => return explain(&unreadable),
    };
    match line.command.run(&ProcessEnvironment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.exit.into()
        }
    }
}

/// The whole command line as it is declared; for its help texts.
#[must_use]
pub fn declaration() -> clap::Command {
    Line::command()
}

/// Help and version are errors to clap, which prints them to the standard output.
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
            Self::Stop(args) => databases::act("stop", args, environment),
            Self::Start(args) => databases::act("start", args, environment),
            Self::Restart(args) => databases::act("restart", args, environment),
            Self::Delete(args) => databases::delete(args, environment),
            Self::Undelete(args) => databases::act("undelete", args, environment),
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
            Self::Completion(args) => completion::completion(args),
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
