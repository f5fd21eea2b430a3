//! W6: a result of 100,000 rows, and how soon it begins.
use super::ceilings::Ceilings;
use super::load::head_end;
use super::setting::{ROWS, query_path};
use crate::gateway::Gateway;
use crate::process_memory;
use crate::table::{Table, median};
use dbforge::clock::Stopwatch;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

const SQL: &str = r#"{"sql":"SELECT id, name, age, email FROM kv","params":[]}"#;
const TIMES: usize = 5;

struct Read {
    first_byte: f64,
    whole: f64,
    bytes: f64,
}

pub(super) fn result(table: &mut Table, ceilings: &Ceilings, gateway: &Gateway, name: &str) {
    let theirs = times(ceilings.address, "/read", "");
    for (format, accept) in [("NDJSON", "application/x-ndjson"), ("CSV", "text/csv")] {
        let headers = format!("X-API-Key: {}\r\nAccept: {accept}\r\n", gateway.token());
        let read = || times(gateway.address(), &query_path(name), &headers);
        read();
        process_memory::forget_peak(gateway.process());
        let before = gateway.memory();
        let ours = read();
        let growth = process_memory::peak(gateway.process()).saturating_sub(before);
        table.row(
            format!("W6 select of {ROWS} rows as {format}"),
            format!(
                "first byte {:.1} ms, all {:.0} ms, {:.1} MB, memory grows by {:.1} MiB",
                ours.first_byte,
                ours.whole,
                ours.bytes / 1e6,
                growth as f64 / f64::from(1 << 20)
            ),
            format!(
                "{:.2} times the buffered JSON of bare axum: first byte {:.1} ms, all {:.0} ms",
                ours.whole / theirs.whole,
                theirs.first_byte,
                theirs.whole
            ),
        );
    }
}

fn times(address: SocketAddr, path: &str, headers: &str) -> Read {
    let reads: Vec<Read> = (0..TIMES).map(|_| read(address, path, headers)).collect();
    let middle = |part: fn(&Read) -> f64| median(reads.iter().map(part).collect());
    Read {
        first_byte: middle(|it| it.first_byte),
        whole: middle(|it| it.whole),
        bytes: middle(|it| it.bytes),
    }
}

/// The server closes the connection behind the answer.
fn read(address: SocketAddr, path: &str, headers: &str) -> Read {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n{headers}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{SQL}",
        SQL.len()
    );
    let watch = Stopwatch::start();
    stream.write_all(request.as_bytes()).unwrap();
    let (mut answer, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    let mut first_byte = None;
    loop {
        let read = stream.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..read]);
        if first_byte.is_none() && head_end(&answer).is_some_and(|it| it < answer.len()) {
            first_byte = Some(watch.elapsed());
        }
    }
    let whole = watch.elapsed();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "a good answer");
    let last = format!("person{ROWS}@example.org");
    assert!(
        memchr::memmem::find(&answer, last.as_bytes()).is_some(),
        "the last row is there"
    );
    let milliseconds = |it: std::time::Duration| it.as_secs_f64() * 1000.0;
    Read {
        first_byte: milliseconds(first_byte.unwrap()),
        whole: milliseconds(whole),
        bytes: answer.len() as f64,
    }
}
