//! Runs the gateway: reads the settings, prints where it listens, stops on signals.
mod allocator;
mod greeting;

use super::terminal::output;
use crate::app::App;
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::config::{Config, Environment, LogFormat, Overlay, SETTINGS, Setting, TraceConfig};
use crate::engine::SQL_THREAD_STACK;
use crate::telemetry;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code of an interrupted process: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// How long the exit waits for threads with a statement that cannot be interrupted. Its writes
/// were never acknowledged.
const STUCK_THREADS: Duration = Duration::from_secs(1);

/// The settings given as flags, by variable: one flag for each of [`SETTINGS`].
#[derive(Debug, Clone, Default)]
pub(super) struct Settings(BTreeMap<String, String>);

/// The flags' names live as long as the command line that borrows them.
static FLAGS: LazyLock<Vec<String>> =
    LazyLock::new(|| SETTINGS.iter().map(Setting::flag).collect());

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().zip(FLAGS.iter()).map(|(setting, flag)| {
            Arg::new(setting.variable)
                .long(flag.as_str())
                .value_name("VALUE")
                .help(format!(
                    "{} [{}={}]",
                    setting.about, setting.variable, setting.default
                ))
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Self::default();
        settings.update_from_arg_matches(matches)?;
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in SETTINGS {
            if let Some(value) = matches.get_one::<String>(setting.variable) {
                self.0.insert(setting.variable.to_owned(), value.clone());
            }
        }
        Ok(())
    }
}

/// Serves until SIGINT or SIGTERM. A second signal ends the process at once; nothing that was
/// acknowledged is lost.
pub(super) fn serve(settings: &Settings, environment: &dyn Environment) -> Result<(), Failure> {
    let environment = Overlay {
        flags: settings.0.clone(),
        below: environment,
    };
    let served = start_logs(&environment).and_then(|format| run(&environment, format));
    served.map_err(|failure| match TraceConfig::format(&environment) {
        LogFormat::Text => failure,
        LogFormat::Json => {
            if let Some(line) = greeting::failure_in_json(&failure) {
                output::error_line(line);
            }
            Failure::told(failure.exit)
        }
    })
}

fn start_logs(environment: &dyn Environment) -> Result<LogFormat, Failure> {
    let traces = TraceConfig::read(environment);
    let traces = traces.map_err(|error| Failure::new(Exit::Usage, error))?;
    telemetry::start(&traces).or_exit(Exit::Usage, "DBFORGE_LOG is not a valid filter")?;
    Ok(traces.format)
}

fn run(environment: &dyn Environment, format: LogFormat) -> Result<(), Failure> {
    let config = Config::read(environment).map_err(|error| Failure::new(Exit::Usage, error))?;
    allocator::use_small_pages();
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(SQL_THREAD_STACK)
        .build()
        .or_exit(Exit::Unavailable, "cannot start the tokio runtime")?;
    let served = tokio.block_on(serve_until_told(config, format));
    tokio.shutdown_timeout(STUCK_THREADS);
    served
}

async fn serve_until_told(config: Config, format: LogFormat) -> Result<(), Failure> {
    let mut signals =
        StopSignals::listen().or_exit(Exit::Unavailable, "cannot listen for signals")?;
    let mut hang_ups =
        signal(SignalKind::hangup()).or_exit(Exit::Unavailable, "cannot listen for signals")?;
    // Boxed, because the future holds every part of the forge.
    let app = tokio::select! {
        started = Box::pin(App::start(config)) => started,
        // No request has been served yet, so there is nothing to finish.
        _ = signals.next() => std::process::exit(INTERRUPTED),
    };
    let app = app.or_exit(Exit::Unavailable, "the gateway cannot start")?;
    allocator::give_back_all();
    let greeted = match format {
        LogFormat::Text => output::text(greeting::written(app.address, &app.greeting)),
        LogFormat::Json => output::line(greeting::in_json(app.address, &app.greeting)),
    };
    // A gateway whose output is closed or full serves as well.
    if greeted.is_err() {
        tracing::warn!(address = %app.address, "cannot write to the standard output; serving");
    }
    tokio::select! {
        signal = signals.next() => tracing::info!(signal, "stopping"),
        never = allocator::give_back() => match never {},
        never = take_up_root_tokens(&app, &mut hang_ups) => match never {},
    }
    if format == LogFormat::Text {
        output::note("shutting down: finishing running requests; press Ctrl-C again to stop now");
    }
    let farewell = greeting::farewell(&app.greeting);
    tokio::select! {
        () = app.stop() => {}
        signal = signals.next() => {
            tracing::warn!(signal, "stopped at once: running requests were not finished");
            std::process::exit(INTERRUPTED)
        }
    }
    match (farewell, format) {
        (Some(farewell), LogFormat::Text) => output::note(farewell),
        (Some(farewell), LogFormat::Json) => tracing::info!("{farewell}"),
        (None, _) => {}
    }
    tracing::info!("stopped");
    Ok(())
}

/// Takes up the root token of the data folder at each SIGHUP.
async fn take_up_root_tokens(app: &App, hang_ups: &mut Signal) -> Infallible {
    loop {
        if hang_ups.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        if let Err(error) = app.take_up_root_token() {
            tracing::error!(%error, "the root token stays as it is");
        }
    }
}

/// SIGINT and SIGTERM.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
