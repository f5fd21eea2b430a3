//! Commands on jobs: list, show, watch; waiting for a job to end.
use super::connection::client::{Client, Invocation};
use super::connection::pages;
use super::connection::pages::{Columns, at_least_one};
use super::connection::request::{Answer, Problem, Request, read};
use super::connection::streams;
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use crate::cli::terminal::table::{Table, cell};
use crate::clock::timestamp::parse_duration;
use crate::clock::{Deadline, Stopwatch};
use crate::domain::job::JobState;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// The longest wait of one request; after it the next one is sent.
const WAIT_PER_REQUEST: Duration = Duration::from_secs(20);
/// The same on a terminal, which shows every step.
const WATCHED_WAIT: Duration = Duration::from_secs(1);
/// Pause between two requests if the gateway answers at once, as it does while stopping.
const PAUSE: Duration = Duration::from_millis(250);

const COLUMNS: &Columns = &[
    ("JOB", "/id"),
    ("KIND", "/kind"),
    ("DATABASE", "/database"),
    ("STATE", "/state"),
    ("CREATED", "/created_at"),
    ("FINISHED", "/finished_at"),
    ("ACTOR", "/actor"),
];

/// `dbforge jobs`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct JobsArgs {
    #[command(subcommand)]
    command: Option<JobsCommand>,
    /// Show this job with its attempts
    #[arg(value_name = "ID", conflicts_with_all = ["state", "database", "kind"])]
    id: Option<String>,
    /// Only jobs in this state; separate several by commas
    #[arg(long, value_delimiter = ',', value_parser = state_words())]
    state: Vec<String>,
    /// Only jobs of this database (name or id)
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Only jobs of this kind, such as `create_database`
    #[arg(long)]
    kind: Option<String>,
    /// Show at most this many, the latest
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = at_least_one())]
    limit: u32,
}

#[derive(Debug, clap::Subcommand)]
enum JobsCommand {
    /// Print a job's events until it ends
    Watch(JobArgs),
    /// Cancel a job; what it has done is undone
    Cancel(JobArgs),
    /// Retry a job that is stuck or waits for its next attempt
    Retry(JobArgs),
}

/// One job.
#[derive(Debug, clap::Args)]
struct JobArgs {
    /// Id of the job
    id: String,
}

fn state_words() -> clap::builder::PossibleValuesParser {
    JobState::ALL.iter().map(|it| it.as_str()).into()
}

/// How long a command waits for the job it starts.
#[derive(Debug, clap::Args)]
pub(super) struct WaitArgs {
    /// How long to wait for the job
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    wait: Duration,
    /// Do not wait; print the queued job
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

/// The fields of a job that waiting needs.
#[derive(Debug, Deserialize)]
struct Job {
    id: String,
    state: JobState,
    problem: Option<Problem>,
    kind: String,
    progress: Option<Progress>,
}

/// How far a job is.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Progress {
    phase: Option<String>,
    done: u64,
    total: u64,
}

/// Lists jobs, or shows one.
pub(in crate::cli) fn jobs(args: &JobsArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    match &args.command {
        Some(JobsCommand::Watch(args)) => {
            return streams::follow(&client, || Request::get(&["jobs", &args.id, "events"]));
        }
        Some(JobsCommand::Cancel(args)) => return act(&client, &args.id, "cancel"),
        Some(JobsCommand::Retry(args)) => return act(&client, &args.id, "retry"),
        None => {}
    }
    if let Some(id) = &args.id {
        let answer = client.send(Request::get(&["jobs", id]))?;
        return print_in_full(&client, &answer);
    }
    let states = (!args.state.is_empty()).then(|| args.state.join(","));
    let mut latest = pages::fetch_some(&client, args.limit, || {
        Request::get(&["jobs"])
            .query("order", "desc")
            .query_if("state", states.as_ref())
            .query_if("database", args.database.as_ref())
            .query_if("kind", args.kind.as_ref())
    })?;
    latest.reverse();
    pages::print(&client, &latest, COLUMNS)
}

/// Cancels or retries a job, and shows it.
fn act(client: &Client, id: &str, action: &str) -> Result<(), Failure> {
    let answer = client.send(Request::post(&["jobs", id, action]))?;
    print_in_full(client, &answer)
}

/// Sends a command that starts a job, waits for the job and prints it.
pub(super) fn carry_out(client: &Client, wait: &WaitArgs, command: Request) -> Result<(), Failure> {
    see_through(client, wait, client.send(command)?)
}

/// The same for a job that is already queued.
pub(super) fn see_through(
    client: &Client,
    wait: &WaitArgs,
    mut answer: Answer,
) -> Result<(), Failure> {
    if !wait.no_wait {
        answer = follow(client, answer, Deadline::after(wait.wait))?;
    }
    print(client, &answer)?;
    match answer.read()? {
        Job {
            state: JobState::Failed | JobState::Stuck | JobState::Cancelled,
            problem,
            id,
            ..
        } => Err(match problem {
            Some(problem) => problem.into_failure(Exit::Refused),
            None => Failure::new(Exit::Refused, format_args!("job {id} was cancelled")),
        }),
        _ => Ok(()),
    }
}

impl Job {
    /// What a waiting command says about it.
    fn said(&self) -> String {
        let Self { kind, state, .. } = self;
        let state = state.as_str();
        match &self.progress {
            Some(Progress {
                phase: Some(phase),
                done,
                total,
            }) => {
                format!("{kind}: {state}, {done} of {total} steps done, now {phase}")
            }
            _ => format!("{kind}: {state}"),
        }
    }
}

/// Polls the job until it ends.
fn follow(client: &Client, mut answer: Answer, deadline: Deadline) -> Result<Answer, Failure> {
    let mut told = None;
    loop {
        let job: Job = answer.read()?;
        // A stuck job waits for an operator.
        if job.state.is_final() || job.state == JobState::Stuck {
            return Ok(answer);
        }
        let left = deadline.remaining();
        if left.is_zero() {
            let id = job.id;
            let message = format!("job {id} is still running; stopped waiting");
            return Err(Failure::new(Exit::Unavailable, message)
                .hint(format!("follow it with `dbforge jobs watch {id}`")));
        }
        let is_watched = output::is_watched();
        if is_watched && told != Some(job.said()) {
            output::note(job.said());
            told = Some(job.said());
        }
        let longest = if is_watched {
            WATCHED_WAIT
        } else {
            WAIT_PER_REQUEST
        };
        let patience = left.min(longest);
        let asked = Stopwatch::start();
        answer = client.send(
            Request::get(&["jobs", &job.id])
                .query("wait", patience.as_secs().max(1))
                .patience(patience),
        )?;
        let job: Job = answer.read()?;
        if !job.state.is_final() && asked.elapsed() < PAUSE {
            std::thread::sleep(PAUSE.min(deadline.remaining()));
        }
    }
}

fn print(client: &Client, job: &Answer) -> Result<(), Failure> {
    if client.json {
        return output::line(&job.text);
    }
    let value: Value = job.read()?;
    let mut table = Table::headed(COLUMNS.iter().map(|(heading, _)| *heading));
    table.row(COLUMNS.iter().map(|(_, pointer)| cell(&value, pointer)));
    output::text(table)
}

fn print_in_full(client: &Client, job: &Answer) -> Result<(), Failure> {
    if client.json {
        return output::line(&job.text);
    }
    output::text(in_full(&read(&job.text)?))
}

/// A job with its progress, attempts and problem.
fn in_full(job: &Value) -> Table {
    let mut table = Table::default();
    for (label, pointer) in [
        ("job", "/id"),
        ("kind", "/kind"),
        ("database", "/database"),
        ("state", "/state"),
        ("queue position", "/queue_position"),
        ("phase", "/progress/phase"),
        ("steps done", "/progress/done"),
        ("steps", "/progress/total"),
        ("actor", "/actor"),
        ("request", "/request_id"),
        ("created", "/created_at"),
        ("started", "/started_at"),
        ("finished", "/finished_at"),
        ("problem", "/problem/detail"),
        ("hint", "/problem/hint"),
    ] {
        if job.pointer(pointer).is_some_and(|value| !value.is_null()) {
            table.row([label, &cell(job, pointer)]);
        }
    }
    let attempts = job.get("attempts").and_then(Value::as_array);
    for attempt in attempts.into_iter().flatten() {
        let label = format!("attempt {}", cell(attempt, "/number"));
        let times = format!(
            "{} to {}",
            cell(attempt, "/started_at"),
            cell(attempt, "/ended_at")
        );
        let trouble = attempt.pointer("/error/detail").and_then(Value::as_str);
        let line = match trouble {
            Some(trouble) => format!("{times}: {trouble}"),
            None => times,
        };
        table.row([label, line]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_failed_job_shows_its_attempts_and_its_trouble() {
        let job = json!({
            "id": "j1", "kind": "create_database", "database": "shop", "state": "failed",
            "queue_position": null,
            "attempts": [
                {"number": 1, "started_at": "t1", "ended_at": "t2", "error": {"detail": "no engine"}},
                {"number": 2, "started_at": "t3", "ended_at": null},
            ],
            "problem": {"detail": "the engine is away", "hint": "start it"},
        });
        assert_eq!(
            in_full(&job).to_string(),
            "\
job        j1
kind       create_database
database   shop
state      failed
problem    the engine is away
hint       start it
attempt 1  t1 to t2: no engine
attempt 2  t3 to -
"
        );
    }
}
