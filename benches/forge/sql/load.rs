//! A load generator: so many connections that each ask again as soon as they are answered.
use crate::table::percentiles;
use dbforge::clock::{Deadline, Stopwatch};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The number that the aims are stated for.
pub(crate) const CONNECTIONS: usize = 32;

/// Writes the next request's body; what it writes before it is gone.
pub(crate) type Bodies = fn(&mut Dice, &mut String);

/// Where a load goes and what it asks.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// The process that answers: its processor time is counted.
    pub(crate) process: u32,
    pub(crate) token: String,
    /// One of these, at random.
    pub(crate) paths: Vec<String>,
    pub(crate) bodies: Bodies,
}

/// What came of a load.
pub(crate) struct Outcome {
    pub(crate) rate: f64,
    /// Processor time that the answering process spent on each request.
    pub(crate) cpu: Duration,
    pub(crate) percentiles: String,
}

impl Load {
    /// Asks for so long. One thread does it all: the other core is the server's.
    pub(crate) fn run(&self, time: Duration) -> Outcome {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (watch, cpu) = (Stopwatch::start(), cpu_time(self.process));
        let times: Vec<Duration> = tokio.block_on(async {
            let deadline = Deadline::after(time);
            let mut all = JoinSet::new();
            for n in 0..CONNECTIONS {
                all.spawn(self.clone().ask_again_and_again(n as u64, deadline));
            }
            all.join_all().await.concat()
        });
        let (elapsed, cpu) = (watch.elapsed(), cpu_time(self.process) - cpu);
        let count = u32::try_from(times.len()).unwrap();
        Outcome {
            rate: f64::from(count) / elapsed.as_secs_f64(),
            cpu: cpu / count.max(1),
            percentiles: percentiles(&times),
        }
    }

    async fn ask_again_and_again(self, seed: u64, deadline: Deadline) -> Vec<Duration> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut dice = Dice::new(seed);
        let (mut body, mut request, mut answer) = (String::new(), String::new(), Vec::new());
        let mut times = Vec::new();
        while !deadline.has_passed() {
            body.clear();
            (self.bodies)(&mut dice, &mut body);
            let path = &self.paths[dice.below(self.paths.len())];
            request.clear();
            write!(
                request,
                "POST {path} HTTP/1.1\r\nHost: bench\r\nX-API-Key: {}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                self.token,
                body.len()
            )
            .unwrap();
            let watch = Stopwatch::start();
            stream.write_all(request.as_bytes()).await.unwrap();
            read_answer(&mut stream, &mut answer).await;
            times.push(watch.elapsed());
        }
        times
    }
}

/// Reads one answer with a length, which must be a good one.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) {
    answer.clear();
    let whole = loop {
        let read = stream.read_buf(answer).await.unwrap();
        assert!(read > 0, "the connection was closed");
        if let Some(end) = head_end(answer) {
            let head = std::str::from_utf8(&answer[..end]).unwrap();
            assert!(
                head.starts_with("HTTP/1.1 2"),
                "{}",
                String::from_utf8_lossy(answer)
            );
            break end + length(head);
        }
    };
    while answer.len() < whole {
        let read = stream.read_buf(answer).await.unwrap();
        assert!(read > 0, "the connection was closed");
    }
}

/// Where the body begins.
pub(crate) fn head_end(answer: &[u8]) -> Option<usize> {
    memchr::memmem::find(answer, b"\r\n\r\n").map(|it| it + 4)
}

fn length(head: &str) -> usize {
    let name = "content-length:";
    let mut lines = head.lines();
    let value = lines.find_map(|it| {
        let (is, value) = (it.get(..name.len())?, it.get(name.len()..)?);
        is.eq_ignore_ascii_case(name).then(|| value.trim())
    });
    value.expect("the answer has a length").parse().unwrap()
}

/// Processor time of a process and its threads since it began; the kernel counts in ticks of
/// 10 ms.
pub(crate) fn cpu_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let behind_name = stat.rsplit_once(')').unwrap().1;
    let ticks = behind_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|it| it.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Numbers that look random and are the same in every run (xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}
