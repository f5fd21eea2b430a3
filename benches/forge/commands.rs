//! How many commands a second are decided, kept and answered.
use crate::gateway::{Gateway, passable_folder};
use crate::table::{Table, median, per_second, percentiles};
use dbforge::clock::{RandomIds, Stopwatch, SystemClock};
use dbforge::control::{ControlConfig, ControlPlane, Submission};
use dbforge::domain::command::{Command, CreateDatabase};
use dbforge::domain::database::Limits;
use dbforge::domain::ids::Actor;
use dbforge::domain::name::DatabaseName;
use dbforge::event_log::disk::{DiskEventLog, Settings};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const CLIENTS: [usize; 3] = [1, 8, 64];
/// What a create adds to the journal, roughly: two events and their header.
const BYTES_OF_A_CREATE: usize = 700;
/// Enough that one slow sync does not decide.
const SYNCS_OF_A_CEILING: usize = 500;

/// Through `ControlPlane::submit`.
pub(crate) fn in_process(table: &mut Table, count: usize) {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    for clients in CLIENTS {
        let folder = passable_folder();
        let ceiling = write_and_sync(folder.path(), clients);
        let control = control(folder.path());
        let watch = Stopwatch::start();
        tokio.block_on(async {
            let mut all = tokio::task::JoinSet::new();
            for client in 0..clients {
                let control = control.clone();
                all.spawn(async move {
                    for n in 0..count / clients {
                        let request = control.fresh_request();
                        let command = create(&format!("c{client}-{n}"));
                        let submission = Submission::new(command, Actor::named("bench"), request);
                        control.submit(submission).await.unwrap();
                    }
                });
            }
            while all.join_next().await.is_some() {}
        });
        let rate = per_second(count / clients * clients, watch.elapsed());
        let what = format!("creates in process, {clients} clients");
        table.rate(what, rate, (&plain_loop(clients), ceiling));
        control.stop();
    }
}

/// The real program, asked by threads of this one.
pub(crate) fn over_http(table: &mut Table, count: usize) {
    for clients in CLIENTS {
        let folder = passable_folder();
        let ceiling = write_and_sync(folder.path(), clients);
        let gateway = Gateway::start(&folder.path().join("db-data"));
        let watch = Stopwatch::start();
        let times: Vec<Duration> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..clients)
                .map(|client| {
                    let gateway = &gateway;
                    scope.spawn(move || gateway.create_many(client, count / clients))
                })
                .collect();
            let joined = threads.into_iter().map(|it| it.join().unwrap());
            joined.flatten().collect()
        });
        let rate = per_second(times.len(), watch.elapsed());
        let plain = clients as f64 / ceiling; // one write and its sync
        let p50 = median(times.iter().map(Duration::as_secs_f64).collect());
        let what = format!(
            "creates accepted over HTTP, {clients} clients, while their jobs run: {}; p50 is {:.1} \
             times a plain write + fdatasync",
            percentiles(&times),
            p50 / plain
        );
        table.rate(what, rate, (&plain_loop(clients), ceiling));
    }
}

/// Appends to a file, synced when each of `clients` has one in it: what they could have at most.
fn write_and_sync(folder: &Path, clients: usize) -> f64 {
    let mut file = File::create(folder.join("ceiling")).unwrap();
    let bytes = vec![7; BYTES_OF_A_CREATE];
    let watch = Stopwatch::start();
    for _ in 0..SYNCS_OF_A_CEILING {
        for _ in 0..clients {
            file.write_all(&bytes).unwrap();
        }
        file.sync_data().unwrap();
    }
    per_second(SYNCS_OF_A_CEILING * clients, watch.elapsed())
}

fn plain_loop(clients: usize) -> String {
    match clients {
        1 => "a plain loop of write + fdatasync".to_owned(),
        _ => format!("a plain loop of {clients} × write + fdatasync"),
    }
}

pub(crate) fn control(folder: &Path) -> Arc<ControlPlane> {
    let (log, _) = DiskEventLog::open(&folder.join(".forge"), Settings::default()).unwrap();
    let config = ControlConfig {
        trash_retention: Duration::from_secs(86_400),
        queue_bound: usize::MAX,
    };
    let control = ControlPlane::start(
        Arc::new(log),
        Arc::new(SystemClock),
        Arc::new(RandomIds),
        config,
        Box::new(|_| {}),
    );
    Arc::new(control.unwrap())
}

pub(crate) fn create(name: &str) -> Command {
    Command::CreateDatabase(CreateDatabase {
        name: Some(DatabaseName::parse(name).unwrap()),
        ..CreateDatabase::of_engine("sqlite", Limits::default())
    })
}
