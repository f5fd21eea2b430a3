//! A one-shot child: reads one order, does it under its bounds, tells what came of it, and ends.
use super::fence::fence;
use super::operation::Operation;
use crate::clock::Stopwatch;
use crate::engine::Engine;
use crate::engine::registry::Engines;
use crate::runtime::child::{ChildFailure, ChildOrder, ChildProgress, ChildReply};
use serde_json::Value;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

/// The longest order that is read.
const LONGEST_ORDER: u64 = 1 << 20;
/// Least time between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// Does what the standard input says, and writes what came of it to the standard output.
///
/// # Errors
/// When there is no order, or nothing can be written.
pub fn perform() -> io::Result<()> {
    let mut line = String::new();
    let mut input = io::BufReader::new(io::stdin().take(LONGEST_ORDER));
    input.read_line(&mut line)?;
    let order: ChildOrder<Operation> = serde_json::from_str(&line)?;
    fence(&order.limits)?;
    std::thread::spawn(end_with_input);
    let reply = match carry_out(&order.operation) {
        Ok(result) => ChildReply::Done(result),
        Err(failure) => ChildReply::Failed(failure),
    };
    say(&reply)
}

fn carry_out(operation: &Operation) -> Result<Value, ChildFailure> {
    let mut last = None::<Stopwatch>;
    let mut report = |progress: ChildProgress| {
        if last.is_some_and(|last| last.elapsed() < REPORT_EVERY) {
            return;
        }
        last = Some(Stopwatch::start());
        if say(&ChildReply::<Value>::Progress(progress)).is_err() {
            // Nothing hears it any more.
            std::process::exit(1);
        }
    };
    match operation {
        Operation::Export { engine, order } => value_of(engine_of(engine)?.export(order)?),
        Operation::Load { engine, order } => value_of(engine_of(engine)?.load(order, &mut report)?),
        Operation::WriteValue { engine, order } => value_of(engine_of(engine)?.write_value(order)?),
    }
}

fn engine_of(name: &str) -> Result<Arc<dyn Engine>, ChildFailure> {
    let engine = Engines::standard().find(name).cloned();
    engine.ok_or_else(|| ChildFailure::internal(format!("unknown engine `{name}`")))
}

fn value_of(result: impl serde::Serialize) -> Result<Value, ChildFailure> {
    serde_json::to_value(result).map_err(|error| ChildFailure::internal(error.to_string()))
}

fn say<T: serde::Serialize>(reply: &ChildReply<T>) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    let mut output = io::stdout().lock();
    output.write_all(&line)?;
    output.flush()
}

/// Its gateway holds the other end open for as long as it is there.
fn end_with_input() {
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    std::process::exit(1);
}
