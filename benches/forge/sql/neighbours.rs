//! What a neighbour feels of statements that want every processor.
use crate::gateway::Gateway;
use crate::table::{Table, percentile, percentiles};
use dbforge::clock::{Deadline, Stopwatch};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// So many clients send the same statement again as soon as they are answered.
const ATTACKERS: [usize; 2] = [1, 16];
/// A neighbour asks so often.
const PAUSE: Duration = Duration::from_millis(1);

/// What somebody may ask of a database of their own.
const ATTACKS: [(&str, &str); 4] = [
    (
        "endless counts",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    ),
    (
        "joins of everything with everything",
        "SELECT count(*) FROM kv a, kv b WHERE a.age = b.age + 1",
    ),
    (
        "sorts of 100,000 rows",
        "SELECT name FROM kv ORDER BY random() LIMIT 10",
    ),
    (
        "inserts of 20,000 rows",
        "INSERT INTO w (name, age) SELECT name, age FROM kv LIMIT 20000",
    ),
];

const READ: &str = "SELECT name, age, email FROM kv WHERE id = 7";
const WRITE: &str = "INSERT INTO w (name, age) VALUES ('somebody', 7)";

/// A neighbour's times, alone and beside each attack.
pub(crate) fn of_attacks(table: &mut Table, gateway: &Gateway, names: &[String], turn: Duration) {
    let (attacked, neighbour) = (&names[0], &names[1]);
    for (what, sql) in [("a point select", READ), ("a durable insert", WRITE)] {
        let ask = || times(gateway, neighbour, sql, turn);
        ask(); // what is prepared once is prepared
        let alone = ask();
        let idle = percentile(&alone, 99);
        table.row(
            format!("{what} of a neighbour, alone"),
            percentiles(&alone),
            String::new(),
        );
        for (attackers, (attack, attack_sql)) in ATTACKERS
            .iter()
            .flat_map(|it| ATTACKS.map(|attack| (*it, attack)))
        {
            let under_attack = while_attacked(gateway, attacked, (attackers, attack_sql), ask);
            let factor = percentile(&under_attack, 99).as_secs_f64() / idle.as_secs_f64();
            table.row(
                format!("{what} of a neighbour, beside {attackers} × {attack}"),
                percentiles(&under_attack),
                format!("its p99 is {factor:.1} times that alone"),
            );
        }
    }
}

fn while_attacked<T>(
    gateway: &Gateway,
    database: &str,
    (attackers, sql): (usize, &str),
    measure: impl FnOnce() -> T,
) -> T {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..attackers {
            scope.spawn(|| {
                let agent = ureq::Agent::new_with_defaults();
                let body = json!({ "sql": sql, "timeout_ms": 1000 });
                while !is_over.load(Ordering::Relaxed) {
                    // Refused, cut or answered: it comes again.
                    let _ = gateway.try_run(&agent, database, &body);
                }
            });
        }
        let measured = measure();
        is_over.store(true, Ordering::Relaxed);
        measured
    })
}

fn times(gateway: &Gateway, neighbour: &str, sql: &str, turn: Duration) -> Vec<Duration> {
    let (agent, body) = (ureq::Agent::new_with_defaults(), json!({ "sql": sql }));
    let deadline = Deadline::after(turn);
    let mut times = Vec::new();
    while !deadline.has_passed() {
        let watch = Stopwatch::start();
        let answered = gateway.try_run(&agent, neighbour, &body);
        answered.expect("a neighbour is answered");
        times.push(watch.elapsed());
        std::thread::sleep(PAUSE);
    }
    times
}
