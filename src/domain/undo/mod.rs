//! Undo: which command takes back what another one has done, or why none does.
//!
//! Any event stands for the command that caused it. Nothing is decided here: the command that
//! results goes through the same rules as any other.
mod reasons;

use self::reasons::{is_undoable, reason};
use super::event::recorded::RecordedEvent;
use crate::clock::timestamp::Timestamp;
use crate::domain::command::settings::settings_of;
use crate::domain::command::{Command, DatabaseChange};
use crate::domain::database::{Condition, Database};
use crate::domain::event::{DatabaseChanged, Event, EventKind, JobEnqueued, TokenIssued};
use crate::domain::ids::{JobId, ScheduleId, Sequence, TokenId};
use crate::domain::job::JobKind;
use crate::domain::schedule::Schedule;
use crate::domain::state::State;
use crate::domain::verb::{Aspect, Opposite};

/// What an undo rests on.
#[derive(Debug, Clone, Copy)]
pub struct Story<'a> {
    /// The events of the commit that is to be undone.
    pub commit: &'a [RecordedEvent],
    /// The whole stream of the database that the commit is about, else that of the forge.
    pub stream: &'a [RecordedEvent],
    /// What is true now.
    pub state: &'a State,
    /// The token whose rights a schedule gets that is put back; none for root's.
    pub rights: Option<TokenId>,
    /// The moment of the undo.
    pub now: Timestamp,
}

/// How something is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undo {
    /// The event of the command that is undone.
    pub cause: Sequence,
    /// What takes it back.
    pub command: Command,
}

/// Why nothing takes it back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotUndo {
    /// Nothing does, now or later.
    #[error("event {event} ({}) cannot be undone: {reason}", kind.as_str())]
    Never {
        /// The event of the command.
        event: Sequence,
        /// What it was.
        kind: EventKind,
        /// Why.
        reason: &'static str,
    },
    /// It was already undone.
    #[error("event {event} was already undone by event {by}")]
    Already {
        /// The event of the command.
        event: Sequence,
        /// The event that undid it.
        by: Sequence,
    },
    /// A later command has changed the same thing.
    #[error("event {event} can no longer be undone: event {by} changed the same object later")]
    Superseded {
        /// The event of the command.
        event: Sequence,
        /// The later one.
        by: Sequence,
    },
}

/// The command that takes back what the commit's command has done.
///
/// # Errors
/// When there is none.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what has no arm cannot be undone, and says why in an exhaustive match"
)]
pub fn undo(story: Story<'_>) -> Result<Undo, CannotUndo> {
    let cause = cause(story)?;
    let command = match &cause.event {
        Event::JobEnqueued(it) => undo_job(story, cause, it),
        Event::DatabaseChanged(it) => undo_change(story, cause, it),
        Event::TokenIssued(it) => undo_token(story, cause, it),
        Event::ScheduleCreated(it) => undo_schedule(story, cause, it.schedule),
        Event::ScheduleChanged(it) => undo_schedule(story, cause, it.schedule),
        Event::ScheduleDeleted(it) => undo_schedule(story, cause, it.schedule),
        other => Err(never(cause, reason(other.kind()))),
    }?;
    Ok(Undo {
        cause: cause.sequence,
        command,
    })
}

/// The event of the command behind a commit: one of its own, or the beginning of the job whose
/// steps it tells of.
fn cause(story: Story<'_>) -> Result<&RecordedEvent, CannotUndo> {
    let begins = |it: &&RecordedEvent| is_undoable(it.event.kind());
    if let Some(own) = story.commit.iter().find(begins) {
        return Ok(own);
    }
    let first = &story.commit[0];
    let job = story.commit.iter().find_map(|it| it.event.job());
    let enqueued = job.and_then(|job| enqueued(story.stream, job));
    match enqueued {
        // The runner names the job's first event as its cause; a cancel or release does not.
        Some(it) if first.commit.causation == Some(it.sequence) => Ok(it),
        _ => Err(never(first, reason(first.event.kind()))),
    }
}

fn enqueued(stream: &[RecordedEvent], job: JobId) -> Option<&RecordedEvent> {
    let begins = |it: &&RecordedEvent| matches!(&it.event, Event::JobEnqueued(it) if it.job == job);
    stream.iter().find(begins)
}

/// A job that has not ended is cancelled; one that has is followed by its opposite.
fn undo_job(
    story: Story<'_>,
    cause: &RecordedEvent,
    it: &JobEnqueued,
) -> Result<Command, CannotUndo> {
    match ending(story.stream, it.job) {
        None => {
            let cancelled = story
                .stream
                .iter()
                .find(|later| is_cancelled_by(later, it.job));
            return match cancelled {
                Some(later) => Err(overtaken(cause, later)),
                None => Ok(Command::CancelJob { job: it.job }),
            };
        }
        Some(EventKind::JobSucceeded) => {}
        Some(_) => {
            let reason = "its job did not succeed and was rolled back";
            return Err(never(cause, reason));
        }
    }
    let opposite = it.kind.row().undone_by;
    let command = match opposite.map_err(|reason| never(cause, reason))? {
        Opposite::Verb(verb) => verb.on(it.database),
        Opposite::Exchange => exchange_back(story, cause, it)?,
    };
    let later = story.stream.iter().find(|later| {
        let Event::JobEnqueued(next) = &later.event else {
            return false;
        };
        later.sequence > cause.sequence
            && takes_over(&it.kind, &next.kind)
            && matches!(
                ending(story.stream, next.job),
                None | Some(EventKind::JobSucceeded)
            )
    });
    later.map_or(Ok(command), |later| Err(overtaken(cause, later)))
}

/// What was there before a load is in the trash, unless it was purged or taken out of it.
fn exchange_back(
    story: Story<'_>,
    cause: &RecordedEvent,
    it: &JobEnqueued,
) -> Result<Command, CannotUndo> {
    let with = it.kind.exchanges_with();
    let before = with.and_then(|with| story.state.database(with));
    match before.map(|it| (it.id, it.condition)) {
        Some((with, Condition::Trashed { .. })) => Ok(Command::ExchangeContents {
            database: it.database,
            with,
        }),
        Some(_) => Err(never(
            cause,
            "what was there before was restored from the trash, as a database of its own",
        )),
        None => Err(never(
            cause,
            "what was there before is no longer in the trash",
        )),
    }
}

/// Whether this event requests the cancellation of the job.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "no other event asks for that"
)]
fn is_cancelled_by(later: &RecordedEvent, job: JobId) -> bool {
    match &later.event {
        Event::JobCancelRequested(it) => it.job == job,
        Event::JobCompensating(it) => it.job == job && it.error.is_none(),
        _ => false,
    }
}

/// How a job has ended; none while it has not.
fn ending(stream: &[RecordedEvent], job: JobId) -> Option<EventKind> {
    let ends = [
        EventKind::JobSucceeded,
        EventKind::JobFailed,
        EventKind::JobCancelled,
    ];
    let mut kinds = stream
        .iter()
        .filter(|it| it.event.job() == Some(job))
        .map(|event| event.event.kind());
    kinds.find(|kind| ends.contains(kind))
}

/// Whether what `earlier` has brought about is no longer so after `later`.
fn takes_over(earlier: &JobKind, later: &JobKind) -> bool {
    match later.row().changes {
        Aspect::Place => true,
        Aspect::Service => earlier.row().changes == Aspect::Service,
        Aspect::Contents => earlier.row().changes == Aspect::Contents,
        Aspect::Nothing => false,
    }
}

/// The values before it, field by field, of those fields that it changed.
fn undo_change(
    story: Story<'_>,
    cause: &RecordedEvent,
    it: &DatabaseChanged,
) -> Result<Command, CannotUndo> {
    let mut told = story.stream.iter();
    let mut database = told
        .find_map(|first| {
            let Event::DatabaseRequested(it) = &first.event else {
                return None;
            };
            Some(Database::begun_by(it, first))
        })
        .ok_or_else(|| never(cause, "the log does not contain the database's creation"))?;
    let mut told = told.peekable();
    while let Some(earlier) = told.next_if(|it| it.sequence < cause.sequence) {
        database.evolve(earlier);
    }
    let before = settings_of(&database);
    let change = DatabaseChange::back(&before, it);
    let mut overtaker = None;
    for later in told {
        database.evolve(later);
        let is_another = change.differs_between(it, &settings_of(&database));
        if later.sequence == cause.sequence || !is_another {
            overtaker = None;
        } else {
            overtaker = overtaker.or(Some(later));
        }
    }
    if let Some(later) = overtaker {
        return Err(overtaken(cause, later));
    }
    let past = before.expires_at.is_some_and(|at| at <= story.now);
    if before.expires_at != it.expires_at && past {
        let reason = "its previous expiry time has passed";
        return Err(never(cause, reason));
    }
    Ok(Command::ChangeDatabase {
        database: it.database,
        change,
    })
}

fn undo_token(
    story: Story<'_>,
    cause: &RecordedEvent,
    it: &TokenIssued,
) -> Result<Command, CannotUndo> {
    let revoked = story.stream.iter().find(
        |later| matches!(&later.event, Event::TokenRevoked(revoked) if revoked.token == it.token),
    );
    match revoked {
        Some(later) => Err(overtaken(cause, later)),
        None => Ok(Command::RevokeToken { token: it.token }),
    }
}

/// What the schedule was before: not there, or another, or there.
fn undo_schedule(
    story: Story<'_>,
    cause: &RecordedEvent,
    id: ScheduleId,
) -> Result<Command, CannotUndo> {
    let mut before: Option<Schedule> = None;
    for told in story.stream.iter().filter(|it| schedule_of(it) == Some(id)) {
        if told.sequence > cause.sequence {
            return Err(overtaken(cause, told));
        }
        if told.sequence < cause.sequence {
            match &mut before {
                Some(schedule) => schedule.evolve(told),
                None => before = Schedule::begun_by(told),
            }
        }
    }
    let token = story.rights;
    Ok(match (before, cause.event.kind()) {
        (None, _) => Command::DeleteSchedule { schedule: id },
        (Some(before), EventKind::ScheduleDeleted) => Command::CreateSchedule {
            name: before.name,
            plan: Box::new(before.plan),
            token,
        },
        (Some(before), _) => Command::ChangeSchedule {
            schedule: id,
            plan: Box::new(before.plan),
            token,
        },
    })
}

/// The schedule that an event changes: a time that came changes none.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "other events do not change a schedule"
)]
fn schedule_of(recorded: &RecordedEvent) -> Option<ScheduleId> {
    match &recorded.event {
        Event::ScheduleCreated(it) => Some(it.schedule),
        Event::ScheduleChanged(it) => Some(it.schedule),
        Event::ScheduleDeleted(it) => Some(it.schedule),
        _ => None,
    }
}

fn overtaken(cause: &RecordedEvent, later: &RecordedEvent) -> CannotUndo {
    let (event, by) = (cause.sequence, later.sequence);
    if later.commit.causation == Some(event) {
        CannotUndo::Already { event, by }
    } else {
        CannotUndo::Superseded { event, by }
    }
}

fn never(cause: &RecordedEvent, reason: &'static str) -> CannotUndo {
    CannotUndo::Never {
        event: cause.sequence,
        kind: cause.event.kind(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::recorded::{CommitHeader, NO_HASH};
    use crate::domain::event::{JobCancelled, JobSucceeded};
    use crate::domain::ids::{Actor, CommitId, DatabaseId, RequestId};
    use crate::domain::name::DatabaseName;
    use crate::domain::verb::Verb;
    use std::sync::Arc;
    use uuid::Uuid;

    const DATABASE: DatabaseId = DatabaseId(Uuid::from_u128(1));

    /// One job after another, each ended as it says; the first event of each is its enqueuing.
    fn stream(jobs: &[(JobKind, EventKind)]) -> Vec<RecordedEvent> {
        let mut told = Vec::new();
        for (place, (kind, end)) in jobs.iter().enumerate() {
            let job = JobId(Uuid::from_u128(place as u128));
            let database = DATABASE;
            let enqueued = JobEnqueued {
                job,
                database,
                database_name: DatabaseName::parse("shop").unwrap(),
                kind: kind.clone(),
            };
            told.push(enqueued.into());
            if *end == EventKind::JobSucceeded {
                told.push(JobSucceeded { job, database }.into());
            } else if *end == EventKind::JobCancelled {
                told.push(JobCancelled { job, database }.into());
            }
        }
        let recorded = |(place, event): (usize, Event)| RecordedEvent {
            sequence: Sequence(place as u64 + 1),
            commit: Arc::new(CommitHeader {
                time: Timestamp::from_millis(0),
                clock: None,
                id: CommitId(Uuid::nil()),
                actor: Actor::named("root"),
                token: None,
                request: RequestId(Uuid::nil()),
                correlation: RequestId(Uuid::nil()),
                causation: None,
                idempotency: None,
            }),
            event,
            schema_version: 1,
            data_before_upcast: None,
            previous_hash: NO_HASH,
            hash: NO_HASH,
        };
        told.into_iter().enumerate().map(recorded).collect()
    }

    /// What the undo of the first job comes to.
    fn undo_first(jobs: &[(JobKind, EventKind)]) -> Result<Command, CannotUndo> {
        let stream = stream(jobs);
        undo(Story {
            commit: &stream[..1],
            stream: &stream,
            state: &State::default(),
            rights: None,
            now: Timestamp::from_millis(0),
        })
        .map(|it| it.command)
    }

    #[test]
    fn each_job_is_followed_by_its_opposite_or_by_a_no() {
        use EventKind::JobSucceeded as Ended;
        use JobKind::*;
        let database = DATABASE;
        for (kind, opposite) in [
            (CreateDatabase, Verb::Delete.on(database)),
            (UndeleteDatabase, Verb::Delete.on(database)),
            (DeleteDatabase, Verb::Undelete.on(database)),
            (StopDatabase, Verb::Start.on(database)),
            (StartDatabase, Verb::Stop.on(database)),
        ] {
            assert_eq!(undo_first(&[(kind, Ended)]), Ok(opposite));
        }
        for kind in [PurgeDatabase, RestartWorker] {
            let no = undo_first(&[(kind, Ended)]);
            assert!(matches!(no, Err(CannotUndo::Never { .. })), "{no:?}");
        }
    }

    #[test]
    fn only_a_later_job_on_the_same_thing_that_was_not_cancelled_stands_in_the_way() {
        use EventKind::{JobCancelled, JobEnqueued as Waits, JobSucceeded as Ended};
        use JobKind::*;
        for (earlier, later, end, in_the_way) in [
            (StopDatabase, StartDatabase, Ended, true),
            (StopDatabase, StartDatabase, Waits, true),
            (StopDatabase, StartDatabase, JobCancelled, false),
            (StopDatabase, RestartWorker, Ended, false),
            (CreateDatabase, StopDatabase, Ended, false),
            (CreateDatabase, DeleteDatabase, Ended, true),
            (DeleteDatabase, PurgeDatabase, Waits, true),
            (DeleteDatabase, PurgeDatabase, JobCancelled, false),
        ] {
            let said = undo_first(&[(earlier.clone(), Ended), (later.clone(), end)]);
            let superseded = matches!(said, Err(CannotUndo::Superseded { by, .. }) if by.0 == 3);
            assert_eq!(superseded, in_the_way, "{earlier:?} {later:?} {end:?}");
        }
    }

    #[test]
    fn a_job_that_waits_is_cancelled_and_one_that_was_is_done_with() {
        let job = JobId(Uuid::from_u128(0));
        let waits = [(JobKind::PurgeDatabase, EventKind::JobEnqueued)];
        assert_eq!(undo_first(&waits), Ok(Command::CancelJob { job }));
        let cancelled = [(JobKind::StopDatabase, EventKind::JobCancelled)];
        let no = undo_first(&cancelled);
        assert!(matches!(no, Err(CannotUndo::Never { .. })), "{no:?}");
    }
}
