//! The same load by `wrk`, where it is installed: the load generator that others measure with.
//!
//! It takes more of a processor for each request than our own does, which makes the echo slower and
//! every ratio to it larger.
use super::load::{CONNECTIONS, Dice, Load, Outcome, cpu_time};
use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;
use tempfile::NamedTempFile;

/// Bodies that are made beforehand, of which each request takes the next.
const BODIES: usize = 20_000;

/// Whether there is one.
pub(crate) fn is_installed() -> bool {
    Command::new("wrk").arg("-v").output().is_ok()
}

/// Asks for so long, from one thread.
pub(crate) fn run(load: &Load, time: Duration) -> Outcome {
    let script = NamedTempFile::with_suffix(".lua").unwrap();
    std::fs::write(script.path(), self::script(load)).unwrap();
    let cpu = cpu_time(load.process);
    let told = Command::new("wrk")
        .args(["-t1", "--latency", &format!("-c{CONNECTIONS}")])
        .arg(format!("-d{}s", time.as_secs().max(1)))
        .arg("-s")
        .arg(script.path())
        .arg(format!("http://{}", load.address))
        .output()
        .unwrap();
    let cpu = cpu_time(load.process) - cpu;
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(!told.contains("Non-2xx"), "{told}");
    assert!(!told.contains("Socket errors"), "{told}");
    let behind = |mark: &str| {
        let mut rests = (told.lines()).filter_map(|it| it.trim_start().strip_prefix(mark));
        let rest = rests
            .next()
            .unwrap_or_else(|| panic!("no {mark} in {told}"));
        rest.trim().to_owned()
    };
    let (count, _) = told.split_once(" requests in ").unwrap();
    let count: u32 = count.split_whitespace().last().unwrap().parse().unwrap();
    Outcome {
        rate: behind("Requests/sec:").parse().unwrap(),
        cpu: cpu / count.max(1),
        percentiles: format!("p50 {}, p99 {}", behind("50%"), behind("99%")),
    }
}

/// What `wrk` asks, in its own language: any of the paths, with one body after the other.
fn script(load: &Load) -> String {
    let mut script = format!(
        "wrk.method = 'POST'\n\
         wrk.headers['X-API-Key'] = '{}'\n\
         wrk.headers['Content-Type'] = 'application/json'\n\
         local paths = {{ '{}' }}\n\
         local bodies = {{\n",
        load.token,
        load.paths.join("', '")
    );
    let (mut dice, mut body) = (Dice::new(0), String::new());
    for _ in 0..BODIES {
        body.clear();
        (load.bodies)(&mut dice, &mut body);
        writeln!(script, "[==[{body}]==],").unwrap();
    }
    script += "}\n\
               local n = 0\n\
               request = function()\n\
               n = n % #bodies + 1\n\
               return wrk.format(nil, paths[math.random(#paths)], nil, bodies[n])\n\
               end\n";
    script
}
