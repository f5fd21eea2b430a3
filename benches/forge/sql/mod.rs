//! SQL over HTTP beside what axum and SQLite do without anything around them.
pub(crate) mod ceilings;
pub(crate) mod chart;
mod fleet;
mod large;
mod load;
mod neighbours;
pub(crate) mod setting;
mod wrk;

use crate::gateway::Gateway;
use crate::table::{Table, median};
use ceilings::Ceilings;
use chart::Chart;
use load::{Dice, Load, Outcome};
use rusqlite::Connection;
use setting::{ROWS, SCHEMA, Size, query_path};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;
use tempfile::TempDir;

/// Ceiling and workload take turns so often: what disturbs the machine disturbs both.
const ROUNDS: usize = 3;
/// Databases of the mixed workload.
const MIXED: usize = 64;

/// W1 to W8, and what databases cost.
pub(crate) fn workloads(table: &mut Table, chart: &mut Chart, size: Size) {
    let folder = TempDir::new().unwrap();
    let bare_files: Vec<PathBuf> = (0..MIXED)
        .map(|n| folder.path().join(format!("bare-{n}.db")))
        .collect();
    for file in &bare_files {
        let bare = ceilings::open(file);
        for sql in SCHEMA {
            bare.execute_batch(sql).unwrap();
        }
    }
    in_process(table, &ceilings::open(&bare_files[0]), size.turn);
    let ceilings = Ceilings::start(&bare_files);
    let gateway = Gateway::start(&folder.path().join("db-data"));
    let idle = gateway.memory();
    let names: Vec<String> = (0..MIXED).map(|n| format!("shop-{n}")).collect();
    for name in &names {
        gateway.create_ready(name);
        for sql in SCHEMA {
            gateway.run(name, sql);
        }
    }
    let ours = |names: &[String], bodies| Load {
        address: gateway.address(),
        process: gateway.process(),
        token: gateway.token().to_owned(),
        paths: names.iter().map(|it| query_path(it)).collect(),
        bodies,
    };
    let bare = |paths, bodies| Load {
        address: ceilings.address,
        process: ceilings.process(),
        token: String::new(),
        paths,
        bodies,
    };
    let theirs = |path: &str, bodies| bare(vec![path.to_owned()], bodies);
    let mixed_bare = || {
        let paths = (0..MIXED).map(|n| format!("/mixed/{n}")).collect();
        ("the same in bare axum", bare(paths, mixed as load::Bodies))
    };
    let (one, all) = (&names[..1], &names[..]);
    let echo = || {
        (
            "a bare echo of the same body",
            theirs("/echo", point as load::Bodies),
        )
    };
    let same = |path, bodies| ("the same in bare axum", theirs(path, bodies));
    let grouped = || ("grouped commits in bare axum", theirs("/write", insert));
    let mut pair = |what, aim, ceiling: (&str, Load), ours: Load| {
        versus(
            table,
            chart,
            (what, aim),
            (ceiling, ours),
            Load::run,
            size.turn,
        );
    };
    pair("W1 point select", Some(0.75), echo(), ours(one, point));
    pair(
        "W1 point select, beside bare axum",
        None,
        same("/read", point),
        ours(one, point),
    );
    pair(
        "W2 durable single insert",
        Some(0.85),
        grouped(),
        ours(one, insert),
    );
    pair(
        "W3 select of 1,000 rows",
        Some(0.9),
        same("/read", thousand_rows),
        ours(one, thousand_rows),
    );
    pair(
        "W4 insert of 1,000 rows",
        Some(0.9),
        same("/write", insert_thousand),
        ours(one, insert_thousand),
    );
    pair(
        "W5 insert of 1,000 rows of parameters",
        Some(0.9),
        same("/write", insert_list),
        ours(one, insert_list),
    );
    let legacy = Load {
        paths: vec![format!("/api/db/{}/tables/w/rows", names[0])],
        ..ours(one, insert_rows)
    };
    pair(
        "W5 insert of 1,000 rows by the legacy route",
        Some(0.9),
        same("/write", insert_rows),
        legacy,
    );
    pair(
        "W7 nine W1 to one W2, 64 databases",
        Some(0.65),
        echo(),
        ours(all, mixed),
    );
    pair("W7, beside bare axum", None, mixed_bare(), ours(all, mixed));
    if wrk::is_installed() {
        for (what, aim, ceiling, ours) in [
            ("W1, asked by wrk", 0.75, echo(), ours(one, point)),
            ("W2, asked by wrk", 0.85, grouped(), ours(one, insert)),
            ("W7, asked by wrk", 0.65, echo(), ours(all, mixed)),
        ] {
            let what = (what, Some(aim));
            versus(table, chart, what, (ceiling, ours), wrk::run, size.turn);
        }
    }
    large::result(table, &ceilings, &gateway, &names[0]);
    neighbours::of_attacks(table, &gateway, &names, size.turn);
    gateway.stop();
    fleet::many(table, &folder.path().join("fleet"), size, idle);
}

/// Lets both take turns, and tells the median of their ratios.
fn versus(
    table: &mut Table,
    chart: &mut Chart,
    (what, aim): (&str, Option<f64>),
    ((name, ceiling), ours): ((&str, Load), Load),
    run: fn(&Load, Duration) -> Outcome,
    turn: Duration,
) {
    run(&ours, turn / 4); // what is prepared once is prepared
    let turns: Vec<_> = (0..ROUNDS)
        .map(|_| (run(&ceiling, turn), run(&ours, turn)))
        .collect();
    let ratio = median(turns.iter().map(|(it, ours)| ours.rate / it.rate).collect());
    let rate = median(turns.iter().map(|(_, it)| it.rate).collect());
    let most = median(turns.iter().map(|(it, _)| it.rate).collect());
    let (least, ours) = &turns[ROUNDS / 2];
    table.row(
        what,
        format!(
            "{rate:.0}/s, {}, {:.1} µs of processor",
            ours.percentiles,
            micros(ours.cpu)
        ),
        format!(
            "{ratio:.2} of {name}: {most:.0}/s, {}, {:.1} µs",
            least.percentiles,
            micros(least.cpu)
        ),
    );
    if let Some(aim) = aim {
        chart.bar(what, ratio, aim);
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn in_process(table: &mut Table, sqlite: &Connection, turn: Duration) {
    let mut dice = Dice::new(0);
    let mut select = sqlite
        .prepare_cached("SELECT name, age, email FROM kv WHERE id = ?1")
        .unwrap();
    let selects = ceilings::in_process(turn, || {
        let name: String = select
            .query_row([dice.below(ROWS) as i64 + 1], |row| row.get(0))
            .unwrap();
        assert!(!name.is_empty());
        1
    });
    let insert = "INSERT INTO w (name, age) VALUES ('somebody', ?1)";
    let mut insert = sqlite.prepare_cached(insert).unwrap();
    let mut rows_in_groups_of = |group: u32| {
        ceilings::in_process(turn, || {
            sqlite.execute_batch("BEGIN IMMEDIATE").unwrap();
            for n in 0..group {
                insert.execute([n]).unwrap();
            }
            sqlite.execute_batch("COMMIT").unwrap();
            group
        })
    };
    let (single, grouped) = (rows_in_groups_of(1), rows_in_groups_of(32));
    table.row(
        "SQLite in process, one thread",
        format!("{selects:.0} point selects/s"),
        format!("{single:.0} durable inserts/s, {grouped:.0} in groups of 32"),
    );
}

fn point(dice: &mut Dice, body: &mut String) {
    let id = dice.below(ROWS) + 1;
    write!(
        body,
        r#"{{"sql":"SELECT name, age, email FROM kv WHERE id = ?1","params":[{id}]}}"#
    )
    .unwrap();
}

fn insert(dice: &mut Dice, body: &mut String) {
    let age = dice.below(90);
    write!(
        body,
        r#"{{"sql":"INSERT INTO w (name, age) VALUES (?1, ?2)","params":["somebody",{age}]}}"#
    )
    .unwrap();
}

fn thousand_rows(dice: &mut Dice, body: &mut String) {
    let first = dice.below(ROWS - 1000);
    write!(
        body,
        r#"{{"sql":"SELECT id, name, age, email FROM kv WHERE id > ?1 LIMIT 1000","params":[{first}]}}"#
    )
    .unwrap();
}

fn insert_thousand(_: &mut Dice, body: &mut String) {
    static BODY: LazyLock<String> = LazyLock::new(|| {
        let rows: Vec<_> = (0..1000)
            .map(|n| serde_json::json!([format!("person {n}"), n % 90]))
            .collect();
        let sql = "INSERT INTO w (name, age) SELECT value ->> 0, value ->> 1 FROM json_each(?1)";
        let rows = serde_json::to_string(&rows).unwrap();
        serde_json::json!({"sql": sql, "params": [rows]}).to_string()
    });
    body.push_str(&BODY);
}

fn insert_list(_: &mut Dice, body: &mut String) {
    static BODY: LazyLock<String> = LazyLock::new(|| {
        let rows: Vec<_> = (0..1000)
            .map(|n| serde_json::json!([format!("person {n}"), n % 90]))
            .collect();
        let sql = "INSERT INTO w (name, age) VALUES (?1, ?2)";
        serde_json::json!({"sql": sql, "params_list": rows}).to_string()
    });
    body.push_str(&BODY);
}

fn insert_rows(_: &mut Dice, body: &mut String) {
    static BODY: LazyLock<String> = LazyLock::new(|| {
        let rows: Vec<_> = (0..1000)
            .map(|n| serde_json::json!({"name": format!("person {n}"), "age": n % 90}))
            .collect();
        serde_json::json!({ "rows": rows }).to_string()
    });
    body.push_str(&BODY);
}

fn mixed(dice: &mut Dice, body: &mut String) {
    if dice.below(10) == 0 {
        insert(dice, body);
    } else {
        point(dice, body);
    }
}
