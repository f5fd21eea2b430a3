//! What the forge does in a second, beside what the machine could: `make bench`.
//!
//! Every figure stands next to a ceiling that was measured in the same run on the same disk.
//! `ONLY=log` runs one topic, `SIZE=small` takes a quick look, `OUT=docs/performance.md` keeps the
//! table between the marks of that file, and the chart beside it.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot measure has nothing better to do than to end"
)]
mod commands;
mod gateway;
mod history;
mod memory;
mod process_memory;
mod sql;
mod story;
mod table;
mod transfers;

use memory::OfTheState;
use sql::chart::Chart;
use sql::setting::Size;
use std::path::Path;
use std::time::Duration;
use table::Table;

/// Between these, `OUT` is written anew.
const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- end of figures -->\n";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [what, address, files @ ..] = &arguments[..]
        && what == sql::ceilings::ARGUMENT
    {
        return sql::ceilings::serve(address, files);
    }
    let only = setting("ONLY");
    let is_small = setting("SIZE").as_deref() == Some("small");
    let wants = |topic: &str| only.as_deref().is_none_or(|it| it == topic);
    let of_the_state = wants("memory").then(|| {
        if is_small {
            OfTheState::measure(1000, 2000)
        } else {
            OfTheState::measure(10_000, 100_000)
        }
    });
    let (mut table, mut chart) = (Table::default(), Chart::default());
    if wants("sql") {
        let size = if is_small {
            Size {
                turn: Duration::from_secs(1),
                databases: 100,
            }
        } else {
            Size {
                turn: Duration::from_secs(4),
                databases: 10_000,
            }
        };
        sql::workloads(&mut table, &mut chart, size);
    }
    if wants("data") {
        transfers::both_ways(&mut table, if is_small { 50_000 } else { 1_000_000 });
        transfers::rows_routes(&mut table, if is_small { 200 } else { 2000 });
    }
    if wants("log") {
        commands::in_process(&mut table, if is_small { 300 } else { 3000 });
        commands::over_http(&mut table, if is_small { 200 } else { 2000 });
    }
    if wants("history") {
        let sizes: &[u64] = if is_small {
            &[10_000]
        } else {
            &[10_000, 100_000, 1_000_000]
        };
        for size in sizes {
            history::starts(&mut table, *size);
        }
    }
    if let Some(it) = of_the_state {
        it.tell(&mut table);
    }
    let text = format!("{}\n\n{table}", surroundings());
    say(&text);
    if let Some(file) = setting("OUT") {
        keep(Path::new(&file), &text, &chart);
    }
}

/// Puts the figures into a page, and the chart beside it under the same name.
fn keep(file: &Path, text: &str, chart: &Chart) {
    let page = std::fs::read_to_string(file).unwrap_or_else(|_| format!("{BEGIN}{END}"));
    let (before, rest) = page.split_once(BEGIN).expect("OUT has a mark to begin at");
    let (_, behind) = rest.split_once(END).expect("OUT has a mark to end at");
    std::fs::write(file, format!("{before}{BEGIN}{text}{END}{behind}")).unwrap();
    if !chart.is_empty() {
        std::fs::write(file.with_extension("svg"), chart.svg()).unwrap();
    }
}

/// What the figures were measured on.
fn surroundings() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let model = information.lines().find(|it| it.starts_with("model name"));
    let model = model
        .and_then(|it| it.split_once(": "))
        .map_or("", |it| it.1);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "dbforge {}, {cores} × {model}, Linux {}, load {load} at the end",
        env!("CARGO_PKG_VERSION"),
        kernel.trim()
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark has no configuration but this"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|it| !it.is_empty())
}

#[expect(clippy::print_stdout, reason = "this is what a benchmark is for")]
fn say(text: &str) {
    println!("{text}");
}
