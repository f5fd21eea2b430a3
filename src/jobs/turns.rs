//! The fair scheduler of jobs: chooses the jobs that run next. Pure.
//!
//! One actor's many jobs do not delay the others: the next job is one of the actor with the
//! fewest running jobs, and of those the one that has waited longest. A job that is
//! suspected of crashing the gateway runs alone, so that it does not affect other jobs.
use crate::domain::ids::{Actor, JobId, Sequence};
use crate::domain::job::{Job, JobKind};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Jobs that run concurrently. A job mostly waits for the container runtime, which is fastest
/// with four calls at a time; the rest overlaps with those.
pub(super) const RUNNING_JOBS: usize = 32;
/// Concurrent jobs of one kind, so that a slow kind leaves room for others.
const RUNNING_OF_A_KIND: usize = 28;
/// Concurrent jobs that keep a processor and the disk busy, so that SQL and others go on.
const RUNNING_LONG: usize = 4;
/// Those of one actor.
const RUNNING_LONG_OF_AN_ACTOR: usize = 3;
/// Concurrent jobs of one actor, so that there is room for the next one even if these hang.
const RUNNING_OF_AN_ACTOR: usize = 20;

/// What the scheduler knows of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) job: JobId,
    actor: Actor,
    kind: &'static str,
    enqueued: Sequence,
    is_long: bool,
    is_suspected: bool,
}

impl Candidate {
    pub(super) fn of(job: &Job, left_by_earlier_process: bool) -> Self {
        Self {
            job: job.id,
            actor: job.actor.clone(),
            kind: JobKind::as_str(&job.kind),
            enqueued: job.enqueued,
            is_long: job.kind.row().is_long,
            is_suspected: job.is_suspected(left_by_earlier_process),
        }
    }
}

/// The jobs to run next, in addition to those that are running.
pub(super) fn next(waiting: Vec<Candidate>, moving: &[Candidate]) -> Vec<JobId> {
    if moving.iter().any(|it| it.is_suspected) {
        return Vec::new();
    }
    let (suspected, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|it| it.is_suspected);
    if let Some(first) = suspected.iter().min_by_key(|it| it.enqueued) {
        // It waits until no other job runs, and no other job starts before it.
        let is_alone = moving.is_empty();
        return is_alone.then_some(first.job).into_iter().collect();
    }
    let mut kinds: HashMap<&str, usize> = HashMap::new();
    let mut running: BTreeMap<Actor, usize> = BTreeMap::new();
    let mut long: BTreeMap<Actor, usize> = BTreeMap::new();
    for candidate in moving {
        *kinds.entry(candidate.kind).or_default() += 1;
        *running.entry(candidate.actor.clone()).or_default() += 1;
        if candidate.is_long {
            *long.entry(candidate.actor.clone()).or_default() += 1;
        }
    }
    let mut queues: HashMap<Actor, BTreeSet<(Sequence, JobId, &str, bool)>> = HashMap::new();
    for candidate in others {
        let queue = queues.entry(candidate.actor).or_default();
        queue.insert((
            candidate.enqueued,
            candidate.job,
            candidate.kind,
            candidate.is_long,
        ));
    }
    let mut turns = Vec::new();
    while moving.len() + turns.len() < RUNNING_JOBS {
        let has_room = |kind: &str| {
            kinds
                .get(kind)
                .is_none_or(|count| *count < RUNNING_OF_A_KIND)
        };
        let firsts = queues.iter().filter_map(|(actor, queue)| {
            let count = running.get(actor).copied().unwrap_or(0);
            if count >= RUNNING_OF_AN_ACTOR {
                return None;
            }
            let own_long = long.get(actor).copied().unwrap_or(0);
            let may_be_long =
                long.values().sum::<usize>() < RUNNING_LONG && own_long < RUNNING_LONG_OF_AN_ACTOR;
            let fits = |kind: &str, is_long: bool| has_room(kind) && (may_be_long || !is_long);
            let (enqueued, job, kind, is_long) = queue
                .iter()
                .find(|(_, _, kind, is_long)| fits(kind, *is_long))?;
            Some((count, *enqueued, *job, *kind, *is_long, actor.clone()))
        });
        let Some((_, enqueued, job, kind, is_long, actor)) = firsts.min() else {
            break;
        };
        if let Some(queue) = queues.get_mut(&actor) {
            queue.remove(&(enqueued, job, kind, is_long));
        }
        if is_long {
            *long.entry(actor.clone()).or_default() += 1;
        }
        *kinds.entry(kind).or_default() += 1;
        *running.entry(actor).or_default() += 1;
        turns.push(job);
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn job(n: u64, actor: &str, kind: &'static str) -> Candidate {
        Candidate {
            job: JobId(Uuid::from_u128(n.into())),
            actor: Actor::named(actor),
            kind,
            enqueued: Sequence(n),
            is_long: false,
            is_suspected: false,
        }
    }

    fn numbers(turns: &[JobId]) -> Vec<u128> {
        turns.iter().map(|job| job.0.as_u128()).collect()
    }

    #[test]
    fn an_actor_with_one_job_does_not_wait_behind_another_with_hundreds() {
        let mut waiting: Vec<_> = (0..300).map(|n| job(n, "busy", "a")).collect();
        waiting.push(job(900, "modest", "a"));
        let moving: Vec<_> = (1000..1010).map(|n| job(n, "busy", "b")).collect();
        let turns = next(waiting.clone(), &moving);
        assert_eq!(numbers(&turns)[..3], [900, 0, 1]);
        assert_eq!(turns.len(), 11, "ten more of the busy one");
        let moving: Vec<_> = (1000..1020).map(|n| job(n, "busy", "b")).collect();
        assert_eq!(numbers(&next(waiting, &moving)), [900], "it has its share");
    }

    #[test]
    fn jobs_of_one_actor_keep_their_order() {
        let waiting = vec![job(3, "a", "x"), job(1, "a", "x"), job(2, "a", "x")];
        assert_eq!(numbers(&next(waiting, &[])), [1, 2, 3]);
    }

    #[test]
    fn one_kind_leaves_room_for_others() {
        let actor = |n: u64| if n.is_multiple_of(2) { "a" } else { "b" };
        let mut waiting: Vec<_> = (0..100).map(|n| job(n, actor(n), "slow")).collect();
        waiting.extend((200..210).map(|n| job(n, actor(n), "quick")));
        let turns = next(waiting, &[]);
        let slow = numbers(&turns)
            .iter()
            .filter(|number| **number < 100)
            .count();
        assert_eq!((turns.len(), slow), (RUNNING_JOBS, RUNNING_OF_A_KIND));
    }

    #[test]
    fn long_jobs_leave_room_for_short_ones_and_for_others_long_ones() {
        let long = |n, actor| Candidate {
            is_long: true,
            ..job(n, actor, "load")
        };
        let mut waiting: Vec<_> = (0..10).map(|n| long(n, "a")).collect();
        waiting.extend([long(20, "b"), long(21, "b"), job(30, "a", "x")]);
        assert_eq!(numbers(&next(waiting, &[])), [0, 20, 1, 21, 30]);
    }

    #[test]
    fn a_suspected_job_runs_alone() {
        let suspect = Candidate {
            is_suspected: true,
            ..job(5, "a", "x")
        };
        let others = || vec![job(1, "a", "x"), suspect.clone(), job(9, "b", "x")];
        assert_eq!(
            next(others(), &[job(7, "b", "x")]),
            [],
            "it waits for the rest"
        );
        assert_eq!(numbers(&next(others(), &[])), [5]);
        assert_eq!(
            next(others(), std::slice::from_ref(&suspect)),
            [],
            "the rest waits for it"
        );
    }
}
