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
    /// Make a token and print its secret
    Create(tokens::CreateTokenArgs),
    /// List the tokens that are accepted
    List(tokens::ListTokensArgs),
    /// Take a token back
    Revoke(tokens::RevokeTokenArgs),
    /// Replace the root token in a data folder and print it; the gateway takes it up when it
    /// starts
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
        .or_exit(Exit::Unavailable, "the root token was not replaced")?;
    output::line(token)?;
    output::note("a running gateway takes it up at its next start");
    if environment.get("DBFORGE_ROOT_TOKEN").is_some() {
        output::note("DBFORGE_ROOT_TOKEN is set, and wins over it");
    }
    Ok(())
}
