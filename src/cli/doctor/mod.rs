//! Checks a data folder and this machine for problems, and says what to do.
//!
//! Read-only, takes no lock, and works beside a running gateway.
mod folder;
mod history;
mod lock;
mod machine;

use super::terminal::output;
use crate::cli::data_dir::DataDirArgs;
use crate::cli::exit::{Exit, Failure};
use crate::config::{Config, Environment, TraceConfig};
use std::fmt;

/// `dbforge doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    data_dir: DataDirArgs,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    verdict: Verdict,
    /// What was checked, in a word or two.
    what: &'static str,
    /// The result.
    seen: String,
    /// What to do next, if anything.
    next: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, seen: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            what,
            seen: seen.into(),
            next: None,
        }
    }

    fn warn(what: &'static str, seen: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warn,
            next: Some(next.into()),
            ..Self::ok(what, seen)
        }
    }

    fn fail(what: &'static str, seen: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::warn(what, seen, next)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        write!(f, "{verdict:<4}  {:<10}  {}", self.what, self.seen)?;
        match &self.next {
            Some(next) => write!(f, "; {next}"),
            None => Ok(()),
        }
    }
}

/// Prints one line for each check; fails if a check fails.
pub(super) fn doctor(args: &DoctorArgs, environment: &dyn Environment) -> Result<(), Failure> {
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
