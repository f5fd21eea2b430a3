//! What a command would bring about, without bringing it about: `?dry_run=plan`, and what stored
//! plans show.
use crate::domain::command::Command;
use crate::domain::database::Database;
use crate::domain::event::Event;
use crate::domain::job::JobKind;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::http::response::reply::Marked;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

/// Asks what would happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DryRun {
    /// Answer with the plan.
    Plan,
}

/// What a command would bring about now. Ids in it are examples: the command itself makes others.
#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
pub(crate) struct PlanView {
    /// The end of the log when it was made.
    base_sequence: u64,
    #[serde(flatten)]
    outlook: Outlook,
}

/// What would happen.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Outlook {
    events: Vec<PlannedEvent>,
    effects: Vec<Effect>,
    warnings: Vec<String>,
}

/// An event that would be written at once; those of the job's steps come later.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlannedEvent {
    #[schema(example = "job_enqueued")]
    kind: &'static str,
    #[schema(example = "forge")]
    stream: String,
    #[schema(value_type = Object)]
    data: Data,
}

/// What would be done to workers and files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct Effect {
    /// `worker`, `file`, `job`, `settings`, `token` or `schedule`.
    on: &'static str,
    #[schema(example = "remove")]
    action: &'static str,
    what: String,
    /// How much of the disk it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

struct Data(Event);

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(serializer)
    }
}

impl Gateway {
    /// Answers with what the command would bring about.
    pub(crate) fn answer_with_plan<T>(
        &self,
        mutation: &Mutation<T>,
        command: &Command,
    ) -> Result<Response, Problem> {
        self.check_if_match(mutation, command)?;
        let present = self.control.present();
        let plan = PlanView {
            base_sequence: present.head.sequence.0,
            outlook: self.outlook(command)?,
        };
        Ok(reply::json(StatusCode::OK, &plan).seen(present.head.sequence))
    }

    /// What the command would bring about now.
    pub(crate) fn outlook(&self, command: &Command) -> Result<Outlook, Refusal> {
        let state = &self.control.present().state;
        let events = self.control.plan(command)?;
        let database = events.iter().find_map(Event::database);
        let database = database.and_then(|it| state.database(it));
        let bytes = database.and_then(|it| self.size_of(it));
        Ok(Outlook {
            effects: effects(&events, state, bytes),
            warnings: warnings(&events, state, database.map(AsRef::as_ref)),
            events: events.into_iter().map(PlannedEvent::from).collect(),
        })
    }
}

impl From<Event> for PlannedEvent {
    fn from(event: Event) -> Self {
        Self {
            kind: event.kind().as_str(),
            stream: event.stream().to_string(),
            data: Data(event),
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
        effects.extend(match &it.kind {
            JobKind::CreateDatabase => vec![file("create"), worker("start")],
            JobKind::StopDatabase => vec![worker("remove")],
            JobKind::StartDatabase => vec![worker("start")],
            JobKind::DeleteDatabase => vec![worker("remove"), file("move to the trash")],
            JobKind::PurgeDatabase => vec![worker("remove"), file("remove")],
            JobKind::UndeleteDatabase => vec![file("move out of the trash"), worker("start")],
            JobKind::RestartWorker | JobKind::RepairWorker { .. } => vec![worker("replace")],
        });
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

/// What somebody would want to know before they say yes.
fn warnings(events: &[Event], state: &State, database: Option<&Database>) -> Vec<String> {
    let mut warnings = Vec::new();
    for event in events {
        let Event::JobEnqueued(it) = event else {
            continue;
        };
        let (name, own_id) = (&it.database_name, it.database);
        match &it.kind {
            JobKind::PurgeDatabase => {
                warnings.push(format!("Nothing brings `{name}` back after a purge."));
            }
            JobKind::DeleteDatabase => warnings.push(format!(
                "The name `{name}` becomes free for others; `undelete` needs it back."
            )),
            JobKind::StopDatabase => {
                warnings.push(format!("SQL on `{name}` is refused until it is started."));
            }
            JobKind::CreateDatabase | JobKind::UndeleteDatabase => {
                let holder = state.find_database(name.as_str());
                let leaves = holder.filter(|it| it.id != own_id && it.is_leaving());
                if let Some(holder) = leaves.filter(|it| it.is_living()) {
                    let id = holder.id;
                    warnings.push(format!(
                        "Waits until database {id} is deleted, which has the name `{name}`, and \
                         fails if that stays."
                    ));
                }
            }
            JobKind::StartDatabase | JobKind::RestartWorker | JobKind::RepairWorker { .. } => {}
        }
    }
    let in_front = database.map_or(0, |it| it.queue.len());
    if in_front > 0 && !events.is_empty() {
        warnings.push(format!("Unfinished jobs in front of it: {in_front}."));
    }
    warnings
}
