//! Runs every check and prints its result.
use super::finding::{Finding, Verdict};
use super::{folder, history, lock, machine};
use crate::cli::data_dir::DataDirArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use crate::config::{Config, Environment, TraceConfig};

/// `dbforge doctor`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DoctorArgs {
    #[command(flatten)]
    data_dir: DataDirArgs,
}

/// Prints one line for each check; fails if a check fails.
pub(in crate::cli) fn doctor(
    args: &DoctorArgs,
    environment: &dyn Environment,
) -> Result<(), Failure> {
    let mut worst = Verdict::Ok;
    let mut say = |finding: Finding| {
        worst = worst.max(finding.verdict);
        output::line(finding)
    };
    let environment = args.data_dir.over(environment);
    let config = match (Config::read(&environment), TraceConfig::read(&environment)) {
        (Ok(config), Ok(_)) => config,
        (config, traces) => {
            let problems = [config.err(), traces.err()].into_iter().flatten();
            for problem in problems.flat_map(|it| it.0) {
                say(Finding::fail(
                    "settings",
                    problem,
                    "the gateway does not start until this is fixed",
                ))?;
            }
            return Err(Failure::told(Exit::Damage));
        }
    };
    say(Finding::ok("settings", "all valid"))?;
    let data_dir = &config.data_dir;
    let forge_dir = data_dir.join(".forge");
    for finding in folder::look(data_dir, &forge_dir) {
        say(finding)?;
    }
    let state = if forge_dir.is_dir() {
        say(lock::look(&forge_dir))?;
        let history = history::look(data_dir, &forge_dir);
        for finding in history.findings {
            say(finding)?;
        }
        history.state
    } else {
        Default::default()
    };
    say(machine::look_at_disk(data_dir))?;
    say(machine::look_at_runtime(&config, state.runtime.as_deref()))?;
    if worst == Verdict::Fail {
        return Err(Failure::told(Exit::Damage));
    }
    Ok(())
}
