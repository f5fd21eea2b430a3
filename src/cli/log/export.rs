//! Prints every event of a log.
use super::verify;
use crate::cli::data_dir::DataDirArgs;
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use crate::config::Environment;
use crate::event_log::canonical::export_line;
use crate::event_log::verify::verify_each;

/// Prints the events that verify: the whole log unless it is damaged.
pub(super) fn export(args: &DataDirArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let forge_dir = &args.data_dir(environment)?.join(".forge");
    let mut lines = output::Lines::begin();
    let mut printed = Ok(());
    let verified = verify_each(forge_dir, |recorded| {
        if printed.is_ok() {
            printed = lines.line(export_line(recorded));
        }
    });
    printed?;
    lines.end()?;
    verify::judged(verified, forge_dir).map(drop)
}
