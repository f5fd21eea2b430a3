//! What a command would bring about, without bringing it about.
use crate::domain::database::Database;
use crate::domain::event::Event;
use crate::domain::ids::Sequence;
use crate::domain::job::JobKind;
use crate::domain::state::State;
use crate::domain::verb::Part;

/// What a command would bring about now. Ids in it are examples: the command itself makes others.
#[derive(Debug)]
pub struct Preview {
    /// The end of the log when it was made.
    pub base: Sequence,
    /// What would happen.
    pub consequences: Consequences,
}

/// What would happen.
#[derive(Debug, Default)]
pub struct Consequences {
    /// Events that would be written at once; those of the job's steps come later.
    pub events: Vec<Event>,
    /// What would be done to workers and files.
    pub effects: Vec<Effect>,
    /// What the caller should know before it goes ahead.
    pub warnings: Vec<String>,
}

/// Something that would be done to a worker, to files, or to a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// `worker`, `file`, `job`, `settings`, `token` or `schedule`.
    pub on: &'static str,
    /// What is done: `remove`.
    pub action: &'static str,
    /// To which one.
    pub what: String,
    /// How many bytes of the disk it is about.
    pub bytes: Option<u64>,
}

impl Consequences {
    /// What these events would bring about; `bytes` is the size of their database.
    pub(super) fn of(events: Vec<Event>, state: &State, bytes: Option<u64>) -> Self {
        let database = events.iter().find_map(Event::database);
        let database = database.and_then(|it| state.database(it));
        Self {
            effects: effects(&events, state, bytes),
            warnings: warnings(&events, state, database.map(AsRef::as_ref)),
            events,
        }
    }
}

/// What the events would do beside being written; of jobs, in the order of their steps.
fn effects(events: &[Event], state: &State, bytes: Option<u64>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for event in events {
        let Event::JobEnqueued(it) = event else {
            effects.extend(effect_without_job(event, state));
            continue;
        };
        let known = state.database(it.database).map(|it| it.worker_name());
        let worker = known.unwrap_or_else(|| format!("of {}", it.database_name));
        let worker = |action| Effect {
            on: "worker",
            action,
            what: worker.clone(),
            bytes: None,
        };
        let file = |action| Effect {
            on: "file",
            action,
            what: format!("the files of {}", it.database_name),
            bytes,
        };
        let parts = it.kind.row().effects.iter();
        effects.extend(parts.map(|(part, action)| match part {
            Part::Worker => worker(*action),
            Part::Files => file(*action),
        }));
    }
    effects
}

fn effect_without_job(event: &Event, state: &State) -> Option<Effect> {
    let (on, action, what) = match event {
        Event::DatabaseChanged(it) => {
            let name = state.database(it.database).map(|it| it.name.to_string());
            ("settings", "change", name.unwrap_or_default())
        }
        Event::TokenIssued(it) => ("token", "make", it.name.clone()),
        Event::TokenRevoked(it) => {
            let name = state.token(it.token).map(|it| it.name.clone());
            ("token", "revoke", name.unwrap_or_default())
        }
        Event::JobCancelRequested(it) => ("job", "cancel and undo", it.job.to_string()),
        Event::JobCompensating(it) => ("job", "cancel and undo", it.job.to_string()),
        Event::JobCancelled(it) => ("job", "cancel", it.job.to_string()),
        Event::JobReleased(it) => ("job", "try again", it.job.to_string()),
        Event::ScheduleCreated(it) => ("schedule", "make", it.name.clone()),
        Event::ScheduleChanged(it) => ("schedule", "change", it.schedule.to_string()),
        Event::ScheduleDeleted(it) => ("schedule", "delete", it.schedule.to_string()),
        _ => return None,
    };
    Some(Effect {
        on,
        action,
        what,
        bytes: None,
    })
}

/// Warnings for the user.
fn warnings(events: &[Event], state: &State, database: Option<&Database>) -> Vec<String> {
    let mut warnings = Vec::new();
    for event in events {
        let Event::JobEnqueued(it) = event else {
            continue;
        };
        let (name, own_id) = (&it.database_name, it.database);
        warnings.extend(it.kind.row().warning.map(|warning| warning(name)));
        let takes_name = it.kind.creates() || it.kind == JobKind::UndeleteDatabase;
        let holder = state.find_database(name.as_str()).filter(|_| takes_name);
        let leaves = holder.filter(|holder| holder.id != own_id && holder.is_leaving());
        if let Some(holder) = leaves.filter(|it| it.is_living()) {
            let id = holder.id;
            warnings.push(format!(
                "Waits for the deletion of database {id}, which has the name `{name}`; \
                 fails if that is cancelled."
            ));
        }
    }
    let in_front = database.map_or(0, |database| database.queue.len());
    if in_front > 0 && !events.is_empty() {
        warnings.push(format!("Jobs ahead of it: {in_front}."));
    }
    warnings
}
