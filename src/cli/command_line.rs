//! Every command, and which function runs it.
use super::client::connection::client::{GatewayArgs, Invocation};
use super::client::data::{dump, export, import, load, migrate, schema};
use super::client::history::{audit, events, past};
use super::client::{databases, drift, health, jobs, plans, schedules, sql, verbs, webhooks};
use super::exit::{self, Exit, Failure, OrExit};
use super::terminal::output;
use super::{completion, doctor, log, replay, serve, token, worker};
use crate::config::{Environment, ProcessEnvironment, WithEnvFile, unknown_settings};
use clap::{CommandFactory, Parser, Subcommand};
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

/// SQLite databases on demand, on your own machine.
#[derive(Debug, Parser)]
#[command(name = "dbforge", version, after_help = exit::HELP)]
struct Line {
    #[command(flatten)]
    gateway: GatewayArgs,
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
    #[command(visible_alias = "ls")]
    List(databases::ListArgs),
    /// Show a database
    Show(databases::ShowArgs),
    /// Change a database's settings
    Set(databases::SetArgs),
    /// Run a SQL statement or a script
    Sql(sql::SqlArgs),
    /// Import rows from a CSV, TSV, NDJSON or JSON file into a table
    Import(import::ImportArgs),
    /// Export the rows of a table or a query
    Export(export::ExportArgs),
    /// Load a dump, SQL or a SQLite file into a database
    Load(load::LoadArgs),
    /// Download a whole database as SQL or as a SQLite file
    Dump(dump::DumpArgs),
    /// Print a database's schema
    Schema(schema::SchemaArgs),
    /// Apply a folder of migrations, or list those that were applied
    Migrate(migrate::MigrateArgs),
    #[command(flatten)]
    Act(verbs::VerbCommand),
    /// List, show, watch, cancel or retry jobs
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
    /// Print the version
    Version,
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
    let ended = line.run();
    if let Err(failure) = &ended {
        output::failure(failure, line.gateway.json);
    }
    ended.map_or_else(|failure| failure.exit.into(), |()| ExitCode::SUCCESS)
}

/// The declaration of the whole command line, for its help texts.
#[must_use]
pub fn declaration() -> clap::Command {
    Line::command()
}

/// To clap, help and version are errors; it prints them to the standard output.
fn explain(unreadable: &clap::Error) -> ExitCode {
    if unreadable.use_stderr() && std::env::args().any(|it| it == "--json") {
        let message = unreadable.to_string();
        let message = message.trim_start_matches("error: ").trim_end();
        output::failure(&Failure::new(Exit::Usage, message), true);
        return Exit::Usage.into();
    }
    match unreadable.print() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Exit::OutputClosed.into(),
        Ok(()) if !unreadable.use_stderr() => ExitCode::SUCCESS,
        _ => Exit::Usage.into(),
    }
}

impl Line {
    fn run(&self) -> Result<(), Failure> {
        if self.gateway.quiet {
            output::be_quiet();
        }
        if self.command.is_local() && (self.gateway.url.is_some() || self.gateway.token.is_some()) {
            let message = "--url and --token are for commands that talk to a gateway";
            return Err(Failure::new(Exit::Usage, message));
        }
        let environment = WithEnvFile::read(ProcessEnvironment, Path::new("."));
        let environment = environment.or_exit(Exit::Usage, "settings")?;
        if self.command.has_settings() {
            warn_of_unknown_settings(&environment);
        }
        let gateway = &self.gateway;
        self.command.run(Invocation {
            gateway,
            environment: &environment,
        })
    }
}

/// A misspelt setting would else be as if it were not set.
fn warn_of_unknown_settings(environment: &dyn Environment) {
    for (variable, meant) in unknown_settings(environment) {
        match meant {
            Some(meant) => output::note(format_args!(
                "unknown setting {variable} is ignored; did you mean {meant}?"
            )),
            None => output::note(format_args!("unknown setting {variable} is ignored")),
        }
    }
}

impl Command {
    /// Whether the command talks to no gateway.
    fn is_local(&self) -> bool {
        match self {
            Self::Serve(_)
            | Self::Log(_)
            | Self::Replay(_)
            | Self::Doctor(_)
            | Self::Version
            | Self::Completion(_)
            | Self::Worker(_) => true,
            Self::Token(command) => matches!(command, token::TokenCommand::ResetRoot(_)),
            _ => false,
        }
    }

    /// Whether the command reads settings and prints warnings about them.
    fn has_settings(&self) -> bool {
        !matches!(
            self,
            Self::Health(_)
                | Self::Worker(_)
                | Self::Version
                | Self::Completion(_)
                | Self::Replay(_)
        )
    }

    fn run(&self, invocation: Invocation<'_>) -> Result<(), Failure> {
        let environment = invocation.environment;
        match self {
            Self::Serve(settings) => serve::serve(settings, environment),
            Self::Create(args) => databases::create(args, invocation),
            Self::List(args) => databases::list(args, invocation),
            Self::Show(args) => databases::show(args, invocation),
            Self::Set(args) => databases::set(args, invocation),
            Self::Sql(args) => sql::sql(args, invocation),
            Self::Import(args) => import::import(args, invocation),
            Self::Export(args) => export::export(args, invocation),
            Self::Load(args) => load::load(args, invocation),
            Self::Dump(args) => dump::dump(args, invocation),
            Self::Schema(args) => schema::schema(args, invocation),
            Self::Migrate(args) => migrate::migrate(args, invocation),
            Self::Act(command) => command.run(invocation),
            Self::Jobs(args) => jobs::jobs(args, invocation),
            Self::Events(args) => events::events(args, invocation),
            Self::State(args) => past::state(args, invocation),
            Self::Diff(args) => past::diff(args, invocation),
            Self::Audit(command) => audit::run(command, invocation),
            Self::Plan(args) => plans::plan(args, invocation),
            Self::Plans(args) => plans::plans(args, invocation),
            Self::Apply(args) => plans::apply(args, invocation),
            Self::Undo(args) => plans::undo(args, invocation),
            Self::Drift(args) => drift::drift(args, invocation),
            Self::Schedules(command) => schedules::run(command, invocation),
            Self::Webhooks(command) => webhooks::run(command, invocation),
            Self::Token(command) => token::run(command, invocation),
            Self::Log(command) => log::run(command, environment),
            Self::Replay(args) => replay::replay(args),
            Self::Doctor(args) => doctor::doctor(args, environment),
            Self::Health(args) => health::health(args, invocation),
            Self::Version => output::line(concat!("dbforge ", env!("CARGO_PKG_VERSION"))),
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
