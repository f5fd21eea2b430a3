//! W8: many databases touched at random, and what each costs in memory and at a start.
use super::ceilings;
use super::load::{Dice, Load};
use super::setting::{Size, query_path};
use crate::gateway::Gateway;
use crate::table::Table;
use dbforge::clock::Stopwatch;
use std::path::Path;

/// Of these the aims for memory and cold start speak.
const TOUCHED: usize = 1000;

pub(super) fn many(table: &mut Table, data_dir: &Path, size: Size, idle: u64) {
    let names: Vec<String> = (0..size.databases).map(|n| format!("fleet-{n}")).collect();
    let touched = &names[..TOUCHED.min(size.databases)];
    let gateway = Gateway::start(data_dir);
    gateway.create_all_ready(touched);
    gateway.stop();
    let watch = Stopwatch::start();
    let gateway = Gateway::start(data_dir);
    let started = watch.elapsed();
    for name in touched {
        gateway.run(name, "SELECT count(*) FROM sqlite_schema");
    }
    table.row(
        format!("memory, idle and with {} databases touched", touched.len()),
        format!("{:.0} MiB, {:.0} MiB", mib(idle), mib(gateway.memory())),
        format!(
            "cold start with them: {:.0} ms",
            started.as_secs_f64() * 1e3
        ),
    );
    gateway.create_all_ready(&names[touched.len()..]);
    gateway.stop();
    let gateway = Gateway::start(data_dir);
    let untouched = gateway.memory().saturating_sub(idle) / names.len() as u64;
    table.row(
        format!("memory of each of {} databases, untouched", names.len()),
        format!("{untouched} bytes"),
        String::new(),
    );
    let load = Load {
        address: gateway.address(),
        process: gateway.process(),
        token: gateway.token().to_owned(),
        paths: names.iter().map(|it| query_path(it)).collect(),
        bodies: schema_count,
    };
    let outcome = load.run(size.turn * 2);
    let file = data_dir.join("databases");
    let files: Vec<_> = std::fs::read_dir(file)
        .unwrap()
        .map(|it| it.unwrap().path().join("main.db"))
        .collect();
    let mut dice = Dice::new(1);
    let opens = ceilings::in_process(size.turn, || {
        let sqlite = ceilings::open(&files[dice.below(files.len())]);
        let count = "SELECT count(*) FROM sqlite_schema";
        let tables: i64 = sqlite.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 0);
        1
    });
    table.row(
        format!("W8 {} databases touched at random", names.len()),
        format!(
            "{:.0}/s, {}, {:.0} MiB of memory",
            outcome.rate,
            outcome.percentiles,
            mib(gateway.memory())
        ),
        format!("{opens:.0}/s are opened, asked and closed by SQLite in process, one thread"),
    );
    gateway.stop();
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn schema_count(_: &mut Dice, body: &mut String) {
    body.push_str(r#"{"sql":"SELECT count(*) FROM sqlite_schema","params":[]}"#);
}
