//! Event streams, resumed after a broken connection.
use super::client::Client;
use super::names::Names;
use super::request::{Problem, Request, read};
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use crate::cli::terminal::table::cell;
use serde::Deserialize;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::time::Duration;

/// The gateway sends a keep-alive every 15 s; a longer silence means a broken connection.
const SILENCE: Duration = Duration::from_secs(40);
/// Pause before reconnecting.
const PAUSE: Duration = Duration::from_secs(1);
/// Attempts in a row without an event: a restarted gateway is back within a minute.
const MOST_TRIES: u32 = 60;

/// Prints the events of a stream until the gateway ends it.
pub(crate) fn follow(client: &Client, request: impl Fn() -> Request) -> Result<(), Failure> {
    let names = Names::of(client);
    let mut last = None;
    let mut tries = 0;
    loop {
        match once(client, &names, request(), &mut last, &mut tries)? {
            Ended::ForGood => return Ok(()),
            Ended::BrokenOff if tries < MOST_TRIES => std::thread::sleep(PAUSE),
            Ended::BrokenOff => {
                let message = format!("lost the connection to the gateway at {}", client.url);
                return Err(Failure::new(Exit::Unavailable, message));
            }
        }
        tries += 1;
    }
}

enum Ended {
    ForGood,
    BrokenOff,
}

fn once(
    client: &Client,
    names: &Names<'_>,
    request: Request,
    last: &mut Option<String>,
    tries: &mut u32,
) -> Result<Ended, Failure> {
    let url = format!("{}{}", client.url, request.path_and_query);
    let mut message = client
        .agent
        .get(&url)
        .config()
        .timeout_per_read(Some(SILENCE))
        .build()
        .header("Accept", "text/event-stream");
    if let Some(token) = &client.token {
        message = message.header("Authorization", format!("Bearer {}", token.reveal()));
    }
    if let Some(last) = last.as_ref() {
        message = message.header("Last-Event-ID", last);
    }
    let mut answer = match message.call() {
        Ok(answer) => answer,
        Err(error) if last.is_none() => return Err(client.unreachable(&error)),
        Err(_) => return Ok(Ended::BrokenOff),
    };
    match answer.status().as_u16() {
        200 => {}
        204 => return Ok(Ended::ForGood),
        // The gateway is stopping, or a proxy answers for it.
        500.. if last.is_some() => return Ok(Ended::BrokenOff),
        status => {
            let text = answer.body_mut().read_to_string().unwrap_or_default();
            return Err(Problem::of_answer(status, &text).into_answered());
        }
    }
    let mut id = None;
    let mut is_progress = false;
    for line in BufReader::new(answer.into_body().into_reader()).lines() {
        let Ok(line) = line else { break };
        if let Some(sequence) = line.strip_prefix("id: ") {
            id = Some(sequence.to_owned());
        } else if let Some(kind) = line.strip_prefix("event: ") {
            is_progress = kind == "progress";
        } else if let Some(data) = line.strip_prefix("data: ") {
            if is_progress {
                remark(data)?;
            } else {
                print(client, names, data)?;
            }
        } else if line.is_empty() && id.is_some() {
            *last = id.take();
            *tries = 0;
        }
    }
    Ok(Ended::BrokenOff)
}

/// Prints the progress of a job as a remark, since it is not an event.
fn remark(progress: &str) -> Result<(), Failure> {
    let progress: Progress = read(progress)?;
    let Progress {
        phase,
        done,
        total,
        unit,
    } = progress;
    output::note(format_args!("{phase}: {done} of {total} {unit}"));
    Ok(())
}

#[derive(Deserialize)]
struct Progress {
    phase: String,
    done: u64,
    total: u64,
    unit: String,
}

fn print(client: &Client, names: &Names<'_>, event: &str) -> Result<(), Failure> {
    if client.json {
        return output::line(event);
    }
    let mut event: Value = read(event)?;
    names.put_into(&mut event);
    let shown = ["/sequence", "/time", "/kind", "/actor", "/database", "/job"];
    let cells = shown.map(|pointer| cell(&event, pointer));
    output::line(cells.join("  ").trim_end())
}
