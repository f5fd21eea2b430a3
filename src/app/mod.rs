//! Builds the forge from its settings; starts it and stops it.
mod bounds;
mod identity;
mod passable;
mod runtime_choice;
mod start_error;

use crate::clock::{Clock, IdSource, RandomIds, SystemClock};
use crate::config::{Config, RuntimeChoice};
use crate::control::narrator::Narrator;
use crate::control::{ControlConfig, ControlPlane, Submission, SubmitError, state_snapshot};
use crate::data::{DataPlane, check_layout};
use crate::domain::command::Command;
use crate::domain::database::Isolation;
use crate::domain::ids::{Actor, InstanceId};
use crate::engine::postgres::PostgresConfig;
use crate::engine::registry::Engines;
use crate::event_log::canonical::export_line;
use crate::event_log::checkpoints::Checkpoints;
use crate::event_log::disk::{DiskEventLog, OpenReport, Settings};
use crate::event_log::{AppendError, EventLog};
use crate::http::{self, Gateway};
use crate::jobs::JobContext;
use crate::jobs::reconciler::Reconciler;
use crate::jobs::runner::Runner;
use crate::jobs::ticker::Ticker;
use crate::jobs::worker_status::WorkerStatuses;
use crate::jobs::{checkpoints, engines, retention, schedules, uploads};
use crate::open_files;
use crate::projections::control_db::{ControlDb, Opening};
use crate::runtime::Runtime;
use crate::runtime::child::ChildStarter;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use identity::reset_root_token;
pub use start_error::{RootTokenError, StartError};

/// A forge that serves.
pub struct App {
    /// Where it serves.
    pub address: SocketAddr,
    /// Information for the operator who starts it.
    pub greeting: Greeting,
    gateway: Arc<Gateway>,
    /// Whether the settings name the root token, and not its file.
    has_set_root_token: bool,
    control: Arc<ControlPlane>,
    data: Arc<DataPlane>,
    runtime: Arc<dyn Runtime>,
    ticker: Ticker,
    stop_serving: CancellationToken,
    stop_working: CancellationToken,
    serving: JoinSet<()>,
    working: JoinSet<()>,
}

/// What is said at start.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// The data folder.
    pub data_dir: PathBuf,
    /// Where workers run.
    pub runtime: String,
    /// Why there.
    pub runtime_reason: String,
    /// Whether it was chosen for the person who started the gateway, not by a setting.
    pub runtime_is_automatic: bool,
    /// The identity of the forge, a label of its containers.
    pub instance: String,
    /// The root token, when it was made just now.
    pub fresh_root_token: Option<String>,
    /// Why nothing can be changed, where that is so.
    pub read_only: Option<String>,
}

impl App {
    /// Opens everything below `config.data_dir` and begins to serve.
    ///
    /// # Errors
    /// When a part cannot be opened; nothing is left running then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let config = bounds::within(open_files::raise_limit(), config);
        // Before anything is created: an address in use is the most common reason not to start.
        let listener = listen(config.listen)?;
        let address = listener.local_addr().map_err(|source| StartError::Listen {
            address: config.listen,
            source,
        })?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdSource> = Arc::new(RandomIds);
        check_layout(&config.data_dir)?;
        let data_dir = identity::prepare_data_dir(&config.data_dir)?;
        let forge_dir = data_dir.join(".forge");

        let settings = Settings {
            segment_bytes: config.journal_segment_bytes,
        };
        let (log, report) = DiskEventLog::open(&forge_dir, settings)?;
        for finding in &report.findings {
            tracing::warn!("the event log: {finding}");
        }
        let segments = report.segments;
        if segments.archived > 0 {
            tracing::info!(
                segments = segments.all,
                archived = segments.archived,
                "a part of the journal is in the archive, which must stay reachable"
            );
        }
        let log: Arc<dyn EventLog> = Arc::new(log);
        // Before control.db: it sets what SQLite takes over only before its first use.
        let data = Arc::new(open_data(&data_dir, &config)?);
        if let Some(user) = data.config().owner {
            passable::ensure_passable(&data_dir, user)?;
        }
        let control_db = open_control_db(&forge_dir, log.clone())?;
        let read_model = control_db.clone();
        let state = state_snapshot::restore(&forge_dir, log.as_ref())?;
        let control = Arc::new(ControlPlane::start_at(
            state,
            log,
            clock,
            ids,
            ControlConfig {
                trash_retention: config.trash_retention,
                queue_bound: config.max_unfinished_jobs,
            },
            Box::new(move |events| read_model.publish(events)),
        ));
        let instance = initialize(&control, &config, &report).await?;
        identity::keep_instance(&forge_dir, instance)?;
        let (root_token, fresh_root_token) =
            identity::root_token(&forge_dir, config.root_token.as_ref())?;

        let engines = data.engines();
        let chosen =
            runtime_choice::choose(&config, &data_dir, &control, engines, instance).await?;
        // Bounded: a runtime that does not answer is looked at again later.
        let looked = data.engines().look_around(&chosen.runtime);
        if tokio::time::timeout(FIRST_LOOK, looked).await.is_err() {
            tracing::warn!("the runtime does not say yet what engines it has");
        }
        let job_context = Arc::new(JobContext {
            control: control.clone(),
            runtime: chosen.runtime.clone(),
            data: data.clone(),
            worker_status: Arc::new(WorkerStatuses::default()),
            progress: Arc::default(),
            children: ChildStarter::of_this_program(data.config().owner),
        });
        let gateway = Arc::new(Gateway::new(
            &job_context,
            control_db.clone(),
            root_token,
            bounds::of_http(&config),
        ));
        let (named, weak) = (data.statistics(), Arc::downgrade(&control));
        named.name_by(Box::new(move |id| {
            let current = weak.upgrade()?.current();
            let database = current.state.database(id)?;
            Some(database.name.to_string())
        }));
        let narrator = Narrator::new(&control, gateway.told.clone());
        let ready = gateway.clone();
        let webhooks = gateway.service.webhooks.clone();
        let signed = gateway.service.checkpoints.clone();
        let (stop_serving, serving) = serve(listener, gateway.clone())?;
        let (ticker, stop_working, mut working) = work(&job_context, signed).await?;
        working.spawn(state_snapshot::keep(
            control.clone(),
            forge_dir.into(),
            stop_working.clone(),
        ));
        working.spawn(webhooks.run(stop_working.clone()));
        working.spawn(narrator.run(control.clone(), stop_working.clone()));
        working.spawn(http::announce_ready(ready, stop_working.clone()));
        working.spawn(engines::run(
            data.clone(),
            chosen.runtime.clone(),
            stop_working.clone(),
        ));
        working.spawn(uploads::run(
            control.clone(),
            data.clone(),
            stop_working.clone(),
        ));
        let clock = control.clock().clone();
        working.spawn(data.clone().keep_time(clock, stop_working.clone()));
        let head = control.current().head;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            address = %address,
            data_dir = %data_dir.display(),
            runtime = chosen.runtime.name(),
            runtime.reason = chosen.reason,
            instance = %instance,
            head.sequence = head.sequence.0,
            head.hash = hex::encode(head.hash),
            process.id = std::process::id(),
            "started"
        );
        Ok(Self {
            address,
            greeting: Greeting {
                data_dir,
                runtime: chosen.runtime.name().to_owned(),
                runtime_reason: chosen.reason,
                runtime_is_automatic: config.runtime == RuntimeChoice::Auto,
                instance: instance.to_string(),
                fresh_root_token,
                read_only: control.current().read_only.clone(),
            },
            gateway,
            has_set_root_token: config.root_token.is_some(),
            control,
            data,
            runtime: chosen.runtime,
            ticker,
            stop_serving,
            stop_working,
            serving,
            working,
        })
    }

    /// Accepts the root token that is in its file now, and no longer the one before.
    ///
    /// # Errors
    /// When the file cannot be read; the token stays as it is.
    pub fn take_up_root_token(&self) -> Result<(), RootTokenError> {
        if self.has_set_root_token {
            tracing::warn!("the root token is set by DBFORGE_ROOT_TOKEN; restart to change it");
            return Ok(());
        }
        let kept = identity::kept_root_token(&self.greeting.data_dir.join(".forge"))?;
        if self.gateway.replace_root_token(&kept) {
            tracing::info!("the root token was replaced");
        } else {
            tracing::info!("the root token is unchanged");
        }
        Ok(())
    }

    /// Finishes running requests and steps, closes the files and the log. Every part
    /// of it is bounded in time.
    pub async fn stop(mut self) {
        self.stop_serving.cancel();
        while self.serving.join_next().await.is_some() {}
        self.ticker.stop().await;
        self.stop_working.cancel();
        while self.working.join_next().await.is_some() {}
        self.data.close().await;
        self.runtime.close().await;
        let control = self.control;
        let closed = tokio::task::spawn_blocking(move || control.stop());
        if closed.await.is_err() {
            tracing::error!("closing the event log panicked");
        }
    }
}

fn open_data(data_dir: &Path, config: &Config) -> Result<DataPlane, StartError> {
    let data = bounds::of_sql(config);
    let engines = Engines::of_gateway(PostgresConfig {
        data_dir: data_dir.to_owned(),
        owner: data.owner,
        bin: config.postgres_bin.clone(),
        image: config.postgres_image.clone(),
    });
    let isolation = match config.isolation.by_worker {
        true => Isolation::Worker,
        false => Isolation::Gateway,
    };
    let engines = engines.isolated_by(isolation, config.isolation.fence);
    DataPlane::open(data_dir, data, engines).map_err(|error| StartError::DataFolder {
        folder: data_dir.to_owned(),
        source: io::Error::other(error.to_string()),
    })
}

fn open_control_db(forge_dir: &Path, log: Arc<dyn EventLog>) -> Result<Arc<ControlDb>, StartError> {
    let file = forge_dir.join("control.db");
    let (control_db, opening) = ControlDb::open(&file, log, export_line)
        .map_err(|error| StartError::ControlDb(error.to_string()))?;
    if let Opening::Replaced(reason) = opening {
        tracing::warn!("rebuilding control.db from the log: {reason}");
    }
    Ok(Arc::new(control_db))
}

/// Gives a new data folder its identity, and records repairs of the log in it.
async fn initialize(
    control: &ControlPlane,
    config: &Config,
    report: &OpenReport,
) -> Result<InstanceId, StartError> {
    let submit = |command| {
        let submission = Submission::new(command, Actor::named("forge"), control.fresh_request());
        control.submit(submission)
    };
    if let Some(detail) = report.healed() {
        match submit(Command::RecordHealing { detail }).await {
            // The forge starts all the same: what makes room is taken, and reads go on.
            Err(SubmitError::NotAppended(AppendError::DiskFull)) => {
                tracing::warn!("the disk is full: the repair of the log is not recorded in it");
            }
            noted => drop(noted?),
        }
    }
    if let Some(instance) = control.current().state.instance {
        return Ok(instance);
    }
    let instance = config.instance.map(InstanceId);
    submit(Command::InitializeForge { instance }).await?;
    let current = control.current();
    Ok(current
        .state
        .instance
        .expect("an initialized forge has an identity"))
}

/// How long the start waits for a first look at programs and images.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// Length of the kernel's accept queue, as far as it allows. A client that finds no
/// room among them tries again after a second.
const BACKLOG: u32 = 4096;

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listening = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.set_reuseaddr(true)?; // what an earlier process has closed is no reason to wait
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listening().map_err(|source| StartError::Listen { address, source })
}

fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
) -> Result<(CancellationToken, JoinSet<()>), StartError> {
    let stop = CancellationToken::new();
    let mut serving = JoinSet::new();
    let served = http::serve(listener, gateway, stop.clone()).map_err(StartError::Threads)?;
    serving.spawn(served);
    Ok((stop, serving))
}

/// Starts everything that works in the background.
async fn work(
    job_context: &Arc<JobContext>,
    signed: Arc<Checkpoints>,
) -> Result<(Ticker, CancellationToken, JoinSet<()>), StartError> {
    let [wake_reconciler, wake_retention, wake_schedules, wake_signer] =
        std::array::from_fn(|_| Arc::new(Notify::new()));
    let subscribers = vec![
        wake_reconciler.clone(),
        wake_retention.clone(),
        wake_schedules.clone(),
        wake_signer.clone(),
    ];
    let ticker = Ticker::start(subscribers, job_context.control.clock().clone())
        .await
        .map_err(|error| StartError::Ticker(error.to_string()))?;
    let stop = CancellationToken::new();
    let mut working = JoinSet::new();
    working.spawn(Arc::new(Runner::new(job_context.clone())).run(stop.clone()));
    working
        .spawn(Arc::new(Reconciler::new(job_context.clone())).run(wake_reconciler, stop.clone()));
    working.spawn(retention::run(
        job_context.control.clone(),
        wake_retention,
        stop.clone(),
    ));
    working.spawn(schedules::run(
        job_context.control.clone(),
        wake_schedules,
        stop.clone(),
    ));
    working.spawn(checkpoints::run(
        job_context.control.clone(),
        signed,
        wake_signer,
        stop.clone(),
    ));
    Ok((ticker, stop, working))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[tokio::test]
    async fn many_clients_that_come_at_once_find_room_until_they_are_accepted() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        for client in 0..500 {
            let connected = TcpStream::connect_timeout(&address, Duration::from_secs(5));
            // What is closed stays in the queue until it is accepted.
            assert!(connected.is_ok(), "client {client}: {connected:?}");
        }
    }
}
