//! Tokens: those of the running gateway, and the root token of a data folder.
use super::terminal::output;
use crate::app;
use crate::cli::client::connection::client::Invocation;
use crate::cli::client::tokens;
use crate::cli::data_dir::DataDirArgs;
use crate::cli::doctor::lock;
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::config::Environment;

/// `dbforge token`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print its secret
    Create(tokens::CreateTokenArgs),
    /// List valid tokens
    List,
    /// Revoke a token
    Revoke(tokens::RevokeTokenArgs),
    /// Replace the root token of a data folder and print it; takes effect at SIGHUP or the next start
    ResetRoot(DataDirArgs),
}

pub(super) fn run(command: &TokenCommand, invocation: Invocation<'_>) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => tokens::create(args, invocation),
        TokenCommand::List => tokens::list(invocation),
        TokenCommand::Revoke(args) => tokens::revoke(args, invocation),
        TokenCommand::ResetRoot(args) => reset_root(args, invocation.environment),
    }
}

fn reset_root(args: &DataDirArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let data_dir = args.data_dir(environment)?;
    let token = app::reset_root_token(&data_dir)
        .or_exit(Exit::Unavailable, "cannot replace the root token")?;
    output::line(token)?;
    match lock::gateway_process(&data_dir.join(".forge")) {
        Some(0) => output::note(
            "to let the running gateway use it: docker kill --signal HUP <its container>",
        ),
        Some(pid) => output::note(format_args!(
            "to let the running gateway use it: kill -HUP {pid}"
        )),
        None => output::note("it is used from the next start on"),
    }
    if environment.get("DBFORGE_ROOT_TOKEN").is_some() {
        output::note("DBFORGE_ROOT_TOKEN is set and takes precedence over it");
    }
    Ok(())
}
