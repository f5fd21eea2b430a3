//! What a command would bring about, as the API shows it.
use crate::domain::event::Event;
use crate::http::openapi::event_data::EventData as EventFields;
use crate::http::openapi::words;
use crate::http::response::reply;
use crate::http::response::reply::Marked;
use crate::service::commands::preview::{Consequences, Effect, Preview};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// The content type of a dry run's answer: generated clients give the answer of the command itself
/// its own type.
pub(crate) const PLAN: &str = "application/vnd.dbforge.plan+json";

/// What a command would do now. Ids are placeholders: the real command generates new ones.
#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
pub(crate) struct PlanView {
    /// Last event when the plan was made.
    base_sequence: u64,
    #[serde(flatten)]
    outlook: OutlookView,
}

/// What would happen.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = Outlook)]
pub(crate) struct OutlookView {
    events: Vec<PlannedEvent>,
    effects: Vec<EffectView>,
    warnings: Vec<String>,
}

/// An event that would be written immediately; events of job steps follow later.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlannedEvent {
    #[schema(value_type = words::EventKind, example = "job_enqueued")]
    kind: &'static str,
    #[schema(example = "forge")]
    stream: String,
    #[schema(value_type = EventFields)]
    data: EventData,
}

/// What would be done to workers and files.
#[derive(Serialize, ToSchema)]
#[schema(as = Effect)]
struct EffectView {
    #[schema(value_type = words::EffectTarget)]
    on: &'static str,
    #[schema(example = "remove")]
    action: &'static str,
    what: String,
    /// Disk space affected, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

struct EventData(Event);

impl Serialize for EventData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(serializer)
    }
}

impl PlanView {
    /// 200 with the plan.
    pub(crate) fn answer(preview: Preview) -> Response {
        let view = Self {
            base_sequence: preview.base.0,
            outlook: preview.consequences.into(),
        };
        reply::json(StatusCode::OK, &view)
            .with(header::CONTENT_TYPE, PLAN)
            .seen(preview.base)
    }
}

impl From<Consequences> for OutlookView {
    fn from(it: Consequences) -> Self {
        Self {
            events: it.events.into_iter().map(PlannedEvent::from).collect(),
            effects: it.effects.into_iter().map(EffectView::from).collect(),
            warnings: it.warnings,
        }
    }
}

impl From<Event> for PlannedEvent {
    fn from(event: Event) -> Self {
        Self {
            kind: event.kind().as_str(),
            stream: event.stream().to_string(),
            data: EventData(event),
        }
    }
}

impl From<Effect> for EffectView {
    fn from(effect: Effect) -> Self {
        let Effect {
            on,
            action,
            what,
            bytes,
        } = effect;
        Self {
            on,
            action,
            what,
            bytes,
        }
    }
}
