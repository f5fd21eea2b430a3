//! Reads what Docker lists.
use super::recipe::{Check, DATABASE_LABEL, GENERATION, GENERATION_LABEL, SPEC_LABEL, check_of};
use crate::domain::ids::DatabaseId;
use crate::runtime::{QUARANTINED, Worker, WorkerState};
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State};
use std::cmp::Reverse;

/// A container of ours.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) name: String,
    database: DatabaseId,
    spec: String,
    /// Seconds since the epoch.
    created: i64,
    pub(super) life: Life,
    pub(super) check: Check,
    /// What of the host is mounted in it.
    pub(super) mounted: Vec<String>,
}

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Running(Verdict),
    Paused,
    Created,
    Exited,
    /// Docker is removing it, or tried and could not.
    Dying,
}

/// What Docker's own check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    NotYet,
    Healthy,
    Unhealthy,
}

/// A listed container, where its labels name a database.
pub(super) fn read(listed: ContainerSummary) -> Option<Found> {
    let id = listed.id?;
    let labels = listed.labels.unwrap_or_default();
    let label = |key: &str| labels.get(key).map_or("", String::as_str);
    let Ok(database) = label(DATABASE_LABEL).parse() else {
        tracing::warn!(container.id = %id, "ignoring a container with this forge's label but no database label");
        return None;
    };
    Some(Found {
        database,
        check: check_of(&labels),
        mounted: (listed.mounts.unwrap_or_default().into_iter())
            .filter_map(|mount| mount.source)
            .collect(),
        spec: spec_made_from(label(GENERATION_LABEL), label(SPEC_LABEL)),
        created: listed.created.unwrap_or_default(),
        life: life(listed.state, listed.status.as_deref().unwrap_or_default()),
        name: listed
            .names
            .and_then(|names| names.into_iter().next())
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned(),
        id,
    })
}

/// A container made by an older recipe is of another spec, whatever its label says.
fn spec_made_from(generation: &str, spec: &str) -> String {
    if generation == GENERATION {
        spec.to_owned()
    } else {
        format!("{spec} by recipe {generation}")
    }
}

/// The list has the check's verdict in its text for people alone: `Up 2 minutes (healthy)`.
fn life(state: Option<State>, status: &str) -> Life {
    match state {
        Some(State::RUNNING | State::RESTARTING) if status.ends_with("(healthy)") => {
            Life::Running(Verdict::Healthy)
        }
        Some(State::RUNNING | State::RESTARTING) if status.ends_with("(unhealthy)") => {
            Life::Running(Verdict::Unhealthy)
        }
        Some(State::RUNNING | State::RESTARTING) => Life::Running(Verdict::NotYet),
        Some(State::PAUSED) => Life::Paused,
        Some(State::CREATED) => Life::Created,
        Some(State::REMOVING | State::DEAD | State::STOPPING) => Life::Dying,
        Some(State::EXITED | State::EMPTY) | None => Life::Exited,
    }
}

impl Found {
    /// As Docker tells it.
    pub(super) fn state(&self) -> WorkerState {
        match self.life {
            Life::Running(Verdict::NotYet) | Life::Created => WorkerState::Starting,
            Life::Running(Verdict::Healthy) => WorkerState::Healthy,
            Life::Running(Verdict::Unhealthy) | Life::Paused => WorkerState::Unhealthy,
            Life::Exited | Life::Dying => WorkerState::Exited,
        }
    }

    pub(super) fn runs(&self) -> bool {
        matches!(self.life, Life::Running(_))
    }

    /// Whether its program has to be asked to end: one that sleeps holds nothing.
    pub(super) fn holds_data(&self) -> bool {
        let is_alive = matches!(self.life, Life::Running(_) | Life::Paused);
        is_alive && matches!(self.check, Check::OfProgram(_))
    }

    /// Whether it runs or can be started as it is.
    ///
    /// Not one that is paused: woken, Docker calls it unhealthy until its next check, half a
    /// minute in which its state is unknown. A new one is ready sooner.
    fn can_serve(&self) -> bool {
        match self.life {
            Life::Running(_) | Life::Created | Life::Exited => !self.name.starts_with(QUARANTINED),
            Life::Paused | Life::Dying => false,
        }
    }

    /// `fit`: it passed our check, which counts until Docker has made its own.
    pub(super) fn into_worker(self, fit: bool) -> Worker {
        let state = match self.life {
            Life::Running(Verdict::NotYet) if fit => WorkerState::Healthy,
            _ => self.state(),
        };
        Worker {
            id: self.id,
            name: self.name,
            database: self.database,
            spec: self.spec,
            state,
        }
    }
}

/// The one to keep for `spec`, and the others.
pub(super) fn choose(mut found: Vec<Found>, spec: &str) -> (Option<Found>, Vec<Found>) {
    found.sort_by_key(rank);
    let kept = found
        .iter()
        .position(|it| it.spec == spec && it.can_serve())
        .map(|at| found.remove(at));
    (kept, found)
}

/// The one that speaks for its database, when there are several.
pub(super) fn best(found: Vec<Found>) -> Option<Found> {
    found.into_iter().min_by_key(rank)
}

/// What runs comes first, then what is newest.
fn rank(found: &Found) -> (bool, Reverse<i64>, String) {
    (!found.runs(), Reverse(found.created), found.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_read_from_the_text_for_people() {
        let running = |status| life(Some(State::RUNNING), status);
        assert_eq!(
            running("Up 2 minutes (healthy)"),
            Life::Running(Verdict::Healthy)
        );
        assert_eq!(
            running("Up 2 minutes (unhealthy)"),
            Life::Running(Verdict::Unhealthy)
        );
        assert_eq!(
            running("Up 1 second (health: starting)"),
            Life::Running(Verdict::NotYet)
        );
        assert_eq!(running("Up 1 second"), Life::Running(Verdict::NotYet));
        assert_eq!(
            life(Some(State::PAUSED), "Up 2 minutes (Paused)"),
            Life::Paused
        );
        assert_eq!(
            life(Some(State::EXITED), "Exited (137) 1 second ago"),
            Life::Exited
        );
        assert_eq!(life(Some(State::DEAD), "Dead"), Life::Dying);
    }
}
