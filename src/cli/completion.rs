//! Shell completion scripts.
use super::terminal::output;
use crate::cli::exit::Failure;
use clap_complete::Shell;

/// `dbforge completion`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script for the whole command line.
pub(super) fn completion(
    args: &CompletionArgs,
    mut command_line: clap::Command,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command_line, "dbforge", &mut script);
    output::text(String::from_utf8_lossy(&script))
}
