//! Tokens: those of the running gateway, and the root token of a data folder.
use super::terminal::output;
use crate::app;
use crate::cli::client::tokens;
use crate::cli::data_dir::DataDirArgs;
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::config::Environment;

/// `dbforge token`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print its secret
    Create(tokens::CreateTokenArgs),
    /// List valid tokens
    List(tokens::ListTokensArgs),
    /// Revoke a token
    Revoke(tokens::RevokeTokenArgs),
    /// Replace the root token of a data folder and print it; takes effect when the gateway starts
    ResetRoot(DataDirArgs),
}

pub(super) fn run(command: &TokenCommand, environment: &dyn Environment) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => tokens::create(args, environment),
        TokenCommand::List(args) => tokens::list(args, environment),
        TokenCommand::Revoke(args) => tokens::revoke(args, environment),
        TokenCommand::ResetRoot(args) => reset_root(args, environment),
    }
}

fn reset_root(args: &DataDirArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let data_dir = args.data_dir(environment)?;
    let token = app::reset_root_token(&data_dir)
        .or_exit(Exit::Unavailable, "cannot replace the root token")?;
    output::line(token)?;
    output::note("restart the gateway to use it");
    if environment.get("DBFORGE_ROOT_TOKEN").is_some() {
        output::note("DBFORGE_ROOT_TOKEN is set and takes precedence over it");
    }
    Ok(())
}
