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

/// Prints the script.
pub(super) fn completion(args: &CompletionArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    let mut program = super::declaration();
    clap_complete::generate(args.shell, &mut program, "dbforge", &mut script);
    output::text(String::from_utf8_lossy(&script))
}
