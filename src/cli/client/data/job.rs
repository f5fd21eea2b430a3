//! A job that a file was sent for: followed with a bar, and left or cancelled with Ctrl-C.
use super::interrupt::Interrupts;
use super::progress_bar::Bar;
use crate::cli::client::connection::client::Client;
use crate::cli::client::connection::request::{Answer, Problem, Request};
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use crate::cli::terminal::table::{Table, cell};
use crate::domain::job::JobState;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// The longest wait of one request for a change.
const WAIT: Duration = Duration::from_secs(1);
/// Pause between two requests that are answered at once.
const PAUSE: Duration = Duration::from_millis(200);

/// What becomes of the job that a command starts.
#[derive(Debug, clap::Args)]
pub(super) struct JobArgs {
    /// Do not wait for the job; print it
    #[arg(long, conflicts_with = "cancel_on_interrupt")]
    detach: bool,
    /// Let the first Ctrl-C cancel the job, which undoes what it has done. Without it, the first
    /// Ctrl-C says how to go on, and the second leaves the job running
    #[arg(long)]
    cancel_on_interrupt: bool,
}

#[derive(Debug, Deserialize)]
struct Job {
    id: String,
    state: JobState,
    problem: Option<Problem>,
    progress: Option<Progress>,
}

#[derive(Debug, Deserialize)]
struct Progress {
    phase: Option<String>,
    done: u64,
    total: u64,
    unit: Option<String>,
    rows: Option<u64>,
}

/// Follows a job to its end, and prints it.
pub(super) fn see_through(
    client: &Client,
    args: &JobArgs,
    interrupts: &Interrupts,
    answer: Answer,
) -> Result<(), Failure> {
    let answer = match args.detach {
        true => answer,
        false => follow(client, args, interrupts, answer)?,
    };
    print(client, &answer)?;
    let job: Job = answer.read()?;
    match (job.state, job.problem) {
        (JobState::Failed | JobState::Stuck | JobState::Cancelled, Some(problem)) => {
            Err(problem.into_failure(Exit::Refused))
        }
        (JobState::Failed | JobState::Stuck | JobState::Cancelled, None) => Err(Failure::new(
            Exit::Refused,
            format_args!("job {} was cancelled", job.id),
        )),
        _ => Ok(()),
    }
}

fn follow(
    client: &Client,
    args: &JobArgs,
    interrupts: &Interrupts,
    mut answer: Answer,
) -> Result<Answer, Failure> {
    let bar = Bar::bytes("working", None);
    // One that came while the file was sent counts as well.
    let mut heard = 0;
    let mut asked_for_cancel = false;
    let mut pressed = 0;
    loop {
        let job: Job = answer.read()?;
        if job.state.is_final() || job.state == JobState::Stuck {
            return Ok(answer);
        }
        show(&bar, &job);
        if interrupts.count() > heard {
            heard = interrupts.count();
            pressed += 1;
            if args.cancel_on_interrupt && !asked_for_cancel {
                asked_for_cancel = true;
                bar.note("cancelling; Ctrl-C again stops waiting");
                client.send(Request::post(&["jobs", &job.id, "cancel"]))?;
            } else if pressed > 1 {
                drop(bar);
                let message = format!("job {} is still running; stopped waiting", job.id);
                return Err(Failure::new(Exit::Interrupted, message).hint(format!(
                    "follow it with `dbforge jobs watch {0}`, cancel it with `dbforge jobs cancel {0}`",
                    job.id
                )));
            } else {
                bar.note(format_args!(
                    "the job goes on; Ctrl-C again stops waiting for it, `dbforge jobs cancel {}` \
                     cancels it",
                    job.id
                ));
            }
        }
        answer = client.send(
            Request::get(&["jobs", &job.id])
                .query("wait", WAIT.as_secs())
                .patience(WAIT),
        )?;
        std::thread::sleep(PAUSE);
    }
}

fn show(bar: &Bar, job: &Job) {
    let Some(progress) = &job.progress else {
        bar.message(job.state.as_str().to_owned());
        return;
    };
    if progress.unit.as_deref() == Some("bytes") {
        bar.set(progress.done, progress.total);
    }
    let phase = progress.phase.clone().unwrap_or_default();
    bar.message(match progress.rows {
        Some(rows) => format!("{phase}, {rows} rows"),
        None => phase,
    });
}

/// The job, and what it tells of its result.
fn print(client: &Client, answer: &Answer) -> Result<(), Failure> {
    if client.json {
        return output::line(&answer.text);
    }
    let job: Value = answer.read()?;
    let mut table = Table::default();
    for (label, pointer) in [
        ("job", "/id"),
        ("kind", "/kind"),
        ("database", "/database"),
        ("state", "/state"),
        ("finished", "/finished_at"),
    ] {
        if job.pointer(pointer).is_some_and(|value| !value.is_null()) {
            table.row([label.to_owned(), cell(&job, pointer)]);
        }
    }
    let result = job.get("result").and_then(Value::as_object);
    for (name, value) in result.into_iter().flatten() {
        match value {
            Value::Array(items) => {
                for item in items {
                    table.row([name.replace('_', " "), line_of(item)]);
                }
            }
            Value::Null => {}
            value => table.row([name.replace('_', " "), cell(value, "")]),
        }
    }
    output::text(table)
}

/// One of several things that a result tells, such as an error with its line.
fn line_of(item: &Value) -> String {
    match item.as_object() {
        Some(fields) => {
            let told = fields.iter().filter(|(_, value)| !value.is_null());
            let told = told.map(|(name, value)| format!("{name} {}", cell(value, "")));
            told.collect::<Vec<_>>().join(", ")
        }
        None => cell(item, ""),
    }
}
