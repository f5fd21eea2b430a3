//! Logs what the events tell: each end of a job, and each state that a database comes to. That its
//! time is over follows from the clock, without an event.
use super::ControlPlane;
use crate::clock::Milliseconds;
use crate::clock::timestamp::Timestamp;
use crate::domain::database::DatabaseState;
use crate::domain::event::recorded::RecordedEvent;
use crate::domain::event::{Event, EventKind};
use crate::domain::ids::{DatabaseId, Sequence};
use crate::domain::job::{Job, JobKind, JobState};
use crate::domain::state::State;
use crate::telemetry::{DurationHistogram, Durations};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Events that are read at a time.
const CHUNK: usize = 256;
/// How long it waits before it reads the log again after that failed.
const READ_PAUSE: Duration = Duration::from_secs(5);

/// The clock may be set: when a database expires is looked at this often at least.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// How a job may end.
const ENDS: [JobState; 4] = [
    JobState::Succeeded,
    JobState::Failed,
    JobState::Stuck,
    JobState::Cancelled,
];

/// What was told since the start, counted.
#[derive(Debug)]
pub struct Told {
    events: [AtomicU64; EventKind::ALL.len()],
    /// By kind, in the order of [`JobKind::WORDS`], and by end.
    jobs: [[AtomicU64; ENDS.len()]; JobKind::WORDS.len()],
    durations: [DurationHistogram; JobKind::WORDS.len()],
    /// Runs that started a job, and those that were refused.
    schedule_runs: [AtomicU64; 2],
}

impl Default for Told {
    fn default() -> Self {
        Self {
            events: std::array::from_fn(|_| AtomicU64::default()),
            jobs: Default::default(),
            durations: Default::default(),
            schedule_runs: Default::default(),
        }
    }
}

impl Told {
    /// Events of a kind.
    #[must_use]
    pub fn events(&self, kind: EventKind) -> u64 {
        let place = EventKind::ALL.iter().position(|it| *it == kind);
        place.map_or(0, |place| self.events[place].load(Ordering::Relaxed))
    }

    /// Jobs of a kind, by how they ended.
    pub fn job_ends(&self, kind: usize) -> impl Iterator<Item = (JobState, u64)> {
        let counts = self.jobs[kind].iter().map(|it| it.load(Ordering::Relaxed));
        ENDS.into_iter().zip(counts)
    }

    /// How long jobs of a kind took.
    #[must_use]
    pub fn job_durations(&self, kind: usize) -> Durations {
        self.durations[kind].read()
    }

    /// Runs of schedules that started a job, and those that were refused.
    #[must_use]
    pub fn schedule_runs(&self) -> [u64; 2] {
        [0, 1].map(|at: usize| self.schedule_runs[at].load(Ordering::Relaxed))
    }

    fn count_event(&self, event: &Event) {
        let kind = event.kind();
        if let Some(place) = EventKind::ALL.iter().position(|it| *it == kind) {
            self.events[place].fetch_add(1, Ordering::Relaxed);
        }
        if let Event::ScheduleFired(run) = event {
            let place = usize::from(run.refusal.is_some());
            self.schedule_runs[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count_end(&self, kind: &JobKind, end: JobState, took: Duration) {
        let kind = JobKind::WORDS.iter().position(|it| *it == kind.as_str());
        let end = ENDS.iter().position(|it| *it == end);
        if let (Some(kind), Some(end)) = (kind, end) {
            self.jobs[kind][end].fetch_add(1, Ordering::Relaxed);
            self.durations[kind].observe(took);
        }
    }
}

/// Follows the log and tells of it, from its end at the start on. It has a state of its own, one
/// event behind: finished jobs and purged databases are not in the published one.
pub struct Narrator {
    state: State,
    at: Sequence,
    told: Arc<Told>,
    /// When which database will expire, as far as that is still true by then.
    expiries: BTreeSet<(Timestamp, DatabaseId)>,
}

impl Narrator {
    /// One that has told of everything so far, and counts what it tells in `told`.
    #[must_use]
    pub fn new(control: &ControlPlane, told: Arc<Told>) -> Self {
        let (current, now) = (control.current(), control.clock().now());
        let databases = current.state.databases();
        let expiries = databases.filter_map(|database| Some((database.expires_at?, database.id)));
        Self {
            state: current.state.clone(),
            at: current.head.sequence,
            told,
            expiries: expiries.filter(|(at, _)| *at > now).collect(),
        }
    }

    /// Tells of each event until `stop`, and then of what is there by then.
    pub async fn run(mut self, control: Arc<ControlPlane>, stop: CancellationToken) {
        let mut changes = control.changes();
        loop {
            let current = changes.borrow_and_update().clone();
            let head = current.head.sequence;
            while self.at < head {
                let (log, after) = (control.log().clone(), self.at);
                let read = tokio::task::spawn_blocking(move || log.read_after(after, CHUNK));
                match read.await {
                    Ok(Ok(events)) if !events.is_empty() => {
                        events.iter().for_each(|event| self.follow(event));
                    }
                    Ok(Ok(_)) => break,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "cannot read events to log them; retrying");
                        tokio::select! {
                            () = stop.cancelled() => return,
                            () = tokio::time::sleep(READ_PAUSE) => {}
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "reading events to log them panicked");
                        return;
                    }
                }
            }
            if self.at == head {
                // The same state, which shares its memory.
                self.state = current.state.clone();
            }
            drop(current);
            let now = control.clock().now();
            self.tell_expired(now);
            if stop.is_cancelled() {
                return;
            }
            let rest = self.expiries.first();
            let rest = rest.map_or(LONGEST_REST, |(at, _)| at.since(now).min(LONGEST_REST));
            tokio::select! {
                () = stop.cancelled() => {}
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(rest), if !self.expiries.is_empty() => {}
            }
        }
    }

    fn follow(&mut self, recorded: &RecordedEvent) {
        let database = recorded.event.database();
        let before = database.and_then(|id| self.standing(id, recorded));
        if let Some((job, end)) = self.ended_job(&recorded.event) {
            let took = recorded
                .commit
                .time
                .since(job.started_at.unwrap_or(job.created_at));
            self.told.count_end(&job.kind, end, took);
            tell_end(job, end, took, recorded);
        }
        self.told.count_event(&recorded.event);
        self.state.evolve(recorded);
        self.at = recorded.sequence;
        if let Some(id) = database {
            let after = self.standing(id, recorded);
            let expires_at = self.state.database(id).and_then(|it| it.expires_at);
            let to_come = expires_at.filter(|at| *at > recorded.commit.wall_time());
            self.expiries.extend(to_come.map(|at| (at, id)));
            tell_state(id, before, after, Some(recorded));
        }
    }

    /// Tells of databases whose time is over by now.
    fn tell_expired(&mut self, now: Timestamp) {
        while let Some((at, id)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            self.expiries.remove(&(at, id));
            let database = self.state.database(id);
            if let Some(database) = database.filter(|it| it.expires_at == Some(at)) {
                let name = database.name.to_string();
                let before = Some((name.clone(), database.state()));
                let after = Some((name, database.state_at(now)));
                tell_state(id, before, after, None);
            }
        }
    }

    /// A database's name and state.
    fn standing(
        &self,
        id: DatabaseId,
        recorded: &RecordedEvent,
    ) -> Option<(String, DatabaseState)> {
        let database = self.state.database(id)?;
        let state = database.state_at(recorded.commit.wall_time());
        Some((database.name.to_string(), state))
    }

    fn ended_job(&self, event: &Event) -> Option<(&Job, JobState)> {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "only the ends of jobs are told; a new event is no end unless it is listed"
        )]
        let (id, end) = match event {
            Event::JobSucceeded(it) => (it.job, JobState::Succeeded),
            Event::JobFailed(it) => (it.job, JobState::Failed),
            Event::JobStuck(it) => (it.job, JobState::Stuck),
            Event::JobCancelled(it) => (it.job, JobState::Cancelled),
            _ => return None,
        };
        Some((self.state.job(id)?.as_ref(), end))
    }
}

fn tell_end(job: &Job, end: JobState, took: Duration, recorded: &RecordedEvent) {
    let (kind, name, word) = (&job.kind, &job.database_name, end.as_str());
    macro_rules! tell {
        ($level:ident) => {
            tracing::$level!(
                job.id = %job.id,
                job.kind = %kind,
                job.outcome = word,
                job.attempts = job.attempts.len(),
                error = error_of(&recorded.event),
                database.id = %job.database,
                database.name = %name,
                actor = %job.actor,
                request.id = %job.request,
                duration_ms = Milliseconds(took).number(),
                "job {kind} of database `{name}`: {word}"
            )
        };
    }
    match end {
        JobState::Failed => tell!(warn),
        JobState::Stuck => tell!(error),
        JobState::Queued
        | JobState::Running
        | JobState::RetryWait
        | JobState::Succeeded
        | JobState::Cancelled => tell!(info),
    }
}

fn error_of(event: &Event) -> Option<&str> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "other events have no error of a job's end"
    )]
    match event {
        Event::JobFailed(it) => Some(&it.error.detail),
        Event::JobStuck(it) => Some(&it.error.detail),
        _ => None,
    }
}

fn tell_state(
    id: DatabaseId,
    before: Option<(String, DatabaseState)>,
    after: Option<(String, DatabaseState)>,
    recorded: Option<&RecordedEvent>,
) {
    let was = before.as_ref().map(|(_, state)| *state);
    let is = after.as_ref().map(|(_, state)| *state);
    if was == is {
        return;
    }
    let Some((name, _)) = after.or(before) else {
        return;
    };
    let is = is.map_or("gone", DatabaseState::as_str);
    tracing::info!(
        database.id = %id,
        database.name = name,
        database.state = is,
        database.state_before = was.map(DatabaseState::as_str),
        event.sequence = recorded.map(|it| it.sequence.0),
        request.id = recorded.map(|it| tracing::field::display(it.commit.request)),
        "database `{name}` is {is}"
    );
}
