//! The writer's thread: all waiting commands become one group with one fsync (group commit).
use super::decision::{ControlConfig, context};
use super::repeats;
use super::submission::{Accepted, Submission, SubmitError, Waiting};
use crate::clock::{Clock, IdSource};
use crate::domain::event::NothingChanged;
use crate::domain::event::recorded::{
    CommitHeader, Head, KeyOwner, NO_HASH, NewCommit, RecordedEvent,
};
use crate::domain::ids::{CommitId, Sequence};
use crate::domain::state::State;
use crate::event_log::{AppendError, EventLog};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Most commands in a group, so that the first does not wait too long.
const GROUP_BOUND: usize = 256;

/// The current state, as far as it is on disk.
#[derive(Debug, Clone, Default)]
pub struct CurrentState {
    /// The state after all events.
    pub state: State,
    /// The last event.
    pub head: Head,
    /// Why no command is accepted, where that is so.
    pub read_only: Option<String>,
}

/// Called with each group of appended events. It must not block.
pub type Listener = Box<dyn Fn(Arc<[RecordedEvent]>) + Send>;

pub(super) struct Writer {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) config: ControlConfig,
    pub(super) publish: watch::Sender<Arc<CurrentState>>,
    pub(super) listener: Listener,
}

type Answer = Result<Accepted, SubmitError>;

/// Commands that are decided in order, each on the state after the earlier ones.
struct Group {
    state: State,
    head: Head,
    commits: Vec<NewCommit>,
    /// Idempotency keys of the group, with the index of their commit.
    keys: HashMap<(KeyOwner, String), usize>,
    answers: Vec<Decision>,
}

struct Decision {
    waiting: Waiting,
    decided: Decided,
}

/// Commands of a failed group that are decided again.
struct Again {
    commands: Vec<Waiting>,
    error: AppendError,
}

/// The decision about one command, before the group is on disk.
enum Decided {
    /// Final already: a refusal, nothing to do, or the result of an earlier request.
    Known(Answer),
    /// The events of one of the group's commits, once it is appended.
    Commit { place: usize, replayed: bool },
}

impl Writer {
    pub(super) fn run(self, mut waiting: mpsc::Receiver<Waiting>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut all = vec![first];
            while all.len() < GROUP_BOUND
                && let Ok(next) = waiting.try_recv()
            {
                all.push(next);
            }
            self.catch_up();
            let admitted = self.admit(all);
            let group = self.decide_all(admitted);
            if let Some(again) = self.keep_and_answer(group) {
                match again.error {
                    // Commands that free space continue, from the reserve.
                    AppendError::DiskFull => self.log.open_reserve(),
                    _ => self.catch_up(),
                }
                let group = self.decide_all(again.commands);
                if let Some(Again { commands, error }) = self.keep_and_answer(group) {
                    for Waiting { answer, .. } in commands {
                        let _ = answer.send(Err(error.clone().into()));
                    }
                }
            }
        }
    }

    /// Refuses commands that need space while only the reserve is left.
    fn admit(&self, all: Vec<Waiting>) -> Vec<Waiting> {
        if self.log.keep_reserve() {
            return all;
        }
        let (admitted, turned_away): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|waiting| waiting.submission.command.makes_room());
        for Waiting { answer, .. } in turned_away {
            let _ = answer.send(Err(AppendError::DiskFull.into()));
        }
        admitted
    }

    fn decide_all(&self, all: Vec<Waiting>) -> Group {
        let current = self.publish.borrow().clone();
        let mut group = Group {
            state: current.state.clone(),
            head: current.head,
            commits: Vec::new(),
            keys: HashMap::new(),
            answers: Vec::with_capacity(all.len()),
        };
        for waiting in all {
            let decided = self
                .decide(&mut group, waiting.submission.clone())
                .unwrap_or_else(|error| Decided::Known(Err(error)));
            group.answers.push(Decision { waiting, decided });
        }
        group
    }

    fn decide(&self, group: &mut Group, submission: Submission) -> Result<Decided, SubmitError> {
        if let Some(earlier) = self.find_earlier(group, &submission)? {
            return Ok(earlier);
        }
        if let Some(expected) = submission.if_match
            && let Some(id) = submission.command.database()
            && let Some(database) = group.state.database(id)
            && database.sequence != expected
        {
            return Err(SubmitError::Changed {
                expected,
                actual: database.sequence,
            });
        }
        let context = context(self.clock.as_ref(), self.ids.as_ref(), self.config);
        let mut events = group.state.decide(&submission.command, &context)?;
        if events.is_empty() && submission.idempotency.is_some() {
            // Otherwise a retry would be executed on a state that has changed since.
            let database = group.state.subject(&submission.command);
            events.push(NothingChanged { database }.into());
        }
        if events.is_empty() {
            return Ok(Decided::Known(Ok(Accepted {
                events: Vec::new(),
                sequence: self.log.head().sequence,
                replayed: false,
            })));
        }
        let header = CommitHeader {
            // Times in the log never go back, even if the clock does.
            time: context.now.max(group.head.time),
            clock: Some(context.now).filter(|time| *time < group.head.time),
            id: CommitId(self.ids.fresh()),
            actor: submission.actor,
            token: submission.token,
            request: submission.request,
            correlation: submission.correlation,
            causation: submission.causation,
            idempotency: submission.idempotency,
        };
        Ok(group.add(NewCommit { header, events }))
    }

    /// The result of an earlier request with the same idempotency key, if there was one.
    fn find_earlier(
        &self,
        group: &Group,
        submission: &Submission,
    ) -> Result<Option<Decided>, SubmitError> {
        let Some(wanted) = &submission.idempotency else {
            return Ok(None);
        };
        let (actor, token) = (&submission.actor, submission.token);
        let owner = token.map_or_else(|| KeyOwner::Actor(actor.clone()), KeyOwner::Token);
        if let Some(place) = group.keys.get(&(owner, wanted.key.clone())).copied() {
            repeats::check_same(&group.commits[place].header, wanted)?;
            let replayed = true;
            return Ok(Some(Decided::Commit { place, replayed }));
        }
        let log = self.log.as_ref();
        let Some(events) = repeats::earlier(log, &group.state, actor, token, wanted)? else {
            return Ok(None);
        };
        Ok(Some(Decided::Known(Ok(Accepted {
            events,
            sequence: self.log.head().sequence,
            replayed: true,
        }))))
    }

    /// One append, one fsync; then the state is published and every command answered, except those
    /// that have to be decided again.
    fn keep_and_answer(&self, group: Group) -> Option<Again> {
        let expected_end = self.publish.borrow().head.sequence;
        let commit_sizes: Vec<usize> = group
            .commits
            .iter()
            .map(|commit| commit.events.len())
            .collect();
        let ids: Vec<CommitId> = group
            .commits
            .iter()
            .map(|commit| commit.header.id)
            .collect();
        let mut kept = if group.commits.is_empty() {
            Ok(Vec::new())
        } else {
            self.log.append(expected_end, group.commits)
        };
        if let Err(AppendError::Unknown { .. }) = &kept
            && let Some(events) = self.find_kept(expected_end, &ids, commit_sizes.iter().sum())
        {
            kept = Ok(events);
        }
        if let Err(error) = &kept {
            tracing::error!(%error, "failed to append a group of commands");
        }
        self.publish_after(group.state, kept.is_ok());
        let by_commit = kept.map(|events| {
            let events: Arc<[RecordedEvent]> = events.into();
            (self.listener)(events.clone());
            split(&events, &commit_sizes)
        });
        let sequence = self.log.head().sequence;
        let mut again = Vec::new();
        for Decision { waiting, decided } in group.answers {
            if let Err(error) = &by_commit
                && waiting.submission.is_decided_again_after(error)
            {
                again.push(waiting);
                continue;
            }
            let result = match (decided, &by_commit) {
                // A refusal may depend on events of the group that were not appended.
                (Decided::Known(Err(_)), Err(error)) => Err(error.clone().into()),
                (Decided::Known(known), _) => known,
                (Decided::Commit { .. }, Err(error)) => Err(error.clone().into()),
                (Decided::Commit { place, replayed }, Ok(commits)) => Ok(Accepted {
                    events: commits[place].clone(),
                    sequence,
                    replayed,
                }),
            };
            // A caller that has gone can find the outcome in the log.
            let _ = waiting.answer.send(result);
        }
        let error = by_commit.err()?;
        (!again.is_empty()).then_some(Again {
            commands: again,
            error,
        })
    }

    /// The events of a group whose append had an unknown outcome, if the log has them.
    fn find_kept(
        &self,
        expected_end: Sequence,
        commits: &[CommitId],
        events: usize,
    ) -> Option<Vec<RecordedEvent>> {
        let kept = self.log.read_after(expected_end, events).ok()?;
        let is_whole = kept.len() == events;
        (is_whole && kept.iter().all(|event| commits.contains(&event.commit.id))).then_some(kept)
    }

    /// Applies events that arrived late: a group whose append had an unknown outcome.
    fn catch_up(&self) {
        let before = self.publish.borrow().clone();
        let behind = self.log.head().sequence.0 - before.head.sequence.0;
        let Ok(behind @ 1..) = usize::try_from(behind) else {
            return;
        };
        match self.log.read_after(before.head.sequence, behind) {
            Ok(events) => {
                let mut state = before.state.clone();
                for event in &events {
                    state.evolve(event);
                }
                self.publish_after(state, true);
                (self.listener)(events.into());
            }
            Err(error) => {
                tracing::error!(%error, "failed to read events that another append left in the log")
            }
        }
    }

    /// Publishes the group's state if its events are appended, else only that the log may have
    /// become read-only.
    fn publish_after(&self, decided: State, kept: bool) {
        let before = self.publish.borrow().clone();
        let read_only = self.log.read_only();
        // Late events are applied before the next command (`catch_up`).
        let (state, head) = match kept {
            true => (decided, self.log.head()),
            false => (before.state.clone(), before.head),
        };
        if head == before.head && read_only == before.read_only {
            return;
        }
        self.publish.send_replace(Arc::new(CurrentState {
            state,
            head,
            read_only,
        }));
    }
}

impl Submission {
    /// Whether it is decided again after its group failed: a full disk has a reserve for commands
    /// that free space, and after a conflict the log has a new end.
    fn is_decided_again_after(&self, error: &AppendError) -> bool {
        match error {
            AppendError::DiskFull => self.command.makes_room(),
            AppendError::Conflict { .. } => true,
            AppendError::Unknown { .. }
            | AppendError::ReadOnly { .. }
            | AppendError::NoFiles
            | AppendError::TooLarge { .. } => false,
        }
    }
}

impl Group {
    /// Adds a commit and applies its events with their future sequences. The log computes their
    /// hashes; the state does not use them.
    fn add(&mut self, commit: NewCommit) -> Decided {
        let header = Arc::new(commit.header.clone());
        for event in &commit.events {
            self.head.sequence = self.head.sequence.next();
            self.head.time = header.time;
            self.state.evolve(&RecordedEvent {
                sequence: self.head.sequence,
                commit: header.clone(),
                event: event.clone(),
                schema_version: 0,
                data_before_upcast: None,
                previous_hash: NO_HASH,
                hash: NO_HASH,
            });
        }
        let place = self.commits.len();
        if let Some(idempotency) = &commit.header.idempotency {
            let key = (commit.header.key_owner(), idempotency.key.clone());
            self.keys.insert(key, place);
        }
        self.commits.push(commit);
        let replayed = false;
        Decided::Commit { place, replayed }
    }
}

/// Splits a group's events into its commits.
fn split(mut events: &[RecordedEvent], sizes: &[usize]) -> Vec<Vec<RecordedEvent>> {
    sizes
        .iter()
        .map(|size| {
            let (commit, rest) = events.split_at(*size);
            events = rest;
            commit.to_vec()
        })
        .collect()
}
