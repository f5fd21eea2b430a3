//! One folder through many lives: the damage of every kill meets that of the kills before.
use super::crash::points;
use super::sound::{assert_sound, await_jobs, fast_folder};
use crate::support::gateway_process::GatewayProcess;
use dbforge::clock::{IdSource, RandomIds};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

const CLIENTS: usize = 3;
/// A life's longest time once it serves; it takes some 100 ms to start.
const LONGEST_LIFE: Duration = Duration::from_millis(300);

#[test]
fn a_folder_that_is_killed_on_again_and_again_keeps_every_acknowledged_job() {
    let seed = RandomIds.fresh().as_u128();
    let dice = Mutex::new(Dice(seed));
    let folder = fast_folder();
    let acknowledged = Mutex::new(Vec::new());
    let lives = points() * 2 / 5;
    for _ in 0..lives {
        let gateway = GatewayProcess::start(folder.path());
        let life = LONGEST_LIFE.mul_f64(f64::from(dice.lock().unwrap().roll(1000)) / 1000.0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(life); // the instant is what is tried, not waited for
                gateway.kill_now();
            });
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    while let Some((status, job)) = command(&gateway, &dice) {
                        assert!(status < 500, "seed {seed}: {status} {job}");
                        if status == 202 {
                            let id = job["id"].as_str().expect("a job").to_owned();
                            acknowledged.lock().unwrap().push(id);
                        }
                    }
                });
            }
        });
    }
    let gateway = GatewayProcess::start(folder.path());
    await_jobs(&gateway);
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(
        acknowledged.len() > lives,
        "seed {seed}: the clients did something"
    );
    for id in acknowledged {
        let (status, job) = gateway.get(&format!("/v1/jobs/{id}")).unwrap();
        assert_eq!(status, 200, "seed {seed}: job {id} was acknowledged: {job}");
        // A command may find another's outcome when its turn comes; it is told so, and ends.
        let ended = ["succeeded", "failed"].contains(&job["state"].as_str().unwrap());
        assert!(ended, "seed {seed}: {job}");
    }
    assert_sound(gateway, folder.path(), &format!("seed {seed}"));
}

/// Any command on any of a few databases. `None` when the gateway did not answer.
fn command(gateway: &GatewayProcess, dice: &Mutex<Dice>) -> Option<(u16, serde_json::Value)> {
    let (name, what) = {
        let mut dice = dice.lock().unwrap();
        (dice.roll(6), dice.roll(9))
    };
    let database = format!("/v1/databases/db{name}");
    match what {
        0..=2 => gateway.post("/v1/databases", &json!({"name": format!("db{name}")})),
        3 => gateway.delete(&database),
        4 => gateway.delete(&format!("{database}?purge=true")),
        other => {
            let action = ["stop", "start", "restart", "undelete"][other as usize - 5];
            gateway.post(&format!("{database}/{action}"), &json!({}))
        }
    }
}

/// Knuth's linear congruential generator: the same rolls for the same seed.
struct Dice(u128);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let high = u32::try_from(self.0 >> 33 & 0x7fff_ffff).expect("31 bits");
        high % sides
    }
}

#[test]
fn of_two_gateways_started_at_once_exactly_one_serves_and_the_other_says_why_not() {
    let folder = fast_folder();
    for round in 0..20 {
        let start = || {
            Command::new(env!("CARGO_BIN_EXE_dbforge"))
                .arg("serve")
                .env("DBFORGE_LISTEN", "127.0.0.1:0")
                .env("DBFORGE_DATA_DIR", folder.path())
                .env("DBFORGE_RUNTIME", "process")
                .env("DBFORGE_LOG", "error")
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let mut both = [start(), start()];
        let gone = loop {
            let ended = |it: &mut Child| it.try_wait().unwrap().is_some();
            if let Some(gone) = both.iter_mut().position(ended) {
                break gone;
            }
            std::thread::yield_now();
        };
        let [first, second] = both;
        let (loser, winner) = if gone == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let said = loser.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(
            !said.status.success() && text.contains("another"),
            "round {round}: {text}"
        );
        let mut winner = winner;
        let url = url_of(&mut winner);
        let healthy = ureq::get(format!("{url}/healthz")).call();
        assert_eq!(healthy.unwrap().status(), 200, "round {round}");
        winner.kill().unwrap();
        let ended = winner.wait_with_output().unwrap();
        assert_eq!(ended.status.signal(), Some(9), "round {round}: {ended:?}");
    }
    let gateway = GatewayProcess::start(folder.path());
    assert_sound(gateway, folder.path(), "after twenty races");
}

/// Where it says that it serves.
fn url_of(gateway: &mut Child) -> String {
    let lines = BufReader::new(gateway.stdout.take().unwrap()).lines();
    let mut words = lines.flat_map(|line| {
        let words: Vec<_> = line
            .unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        words
    });
    let url = words.find(|it| it.starts_with("http://127.0.0.1:"));
    url.expect("the gateway says where it serves")
}
