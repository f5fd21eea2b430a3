//! What differs between two moments of the history.
use super::{Format, PLAIN, accepted};
use crate::domain::ids::Sequence;
use crate::domain::state::State as ForgeState;
use crate::http::Gateway;
use crate::http::extract::StrictQuery;
use crate::http::extract::fields::{SequenceNumber, moment};
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use crate::http::response::reply::{self, Marked};
use crate::http::response::views::database::DatabaseView;
use crate::http::response::views::job::JobView;
use crate::http::response::views::token::TokenView;
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use similar::TextDiff;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which moments are compared, and how it is told.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffParameters {
    /// Earlier point: a sequence number or a time.
    #[param(schema_with = schemas::moment, required = true)]
    from: String,
    /// Later point: a sequence number or a time; default now.
    #[param(schema_with = schemas::moment)]
    to: Option<String>,
    /// `text`: a unified diff. Default: by `Accept`.
    #[param(inline)]
    format: Option<Format>,
    /// Wait until the event log has reached this sequence number, then answer.
    min_sequence: Option<SequenceNumber>,
}

/// Differences between two states.
#[derive(Serialize, ToSchema)]
pub(crate) struct StateDiff {
    /// Last event of the earlier state.
    from: u64,
    /// Last event of the later state.
    to: u64,
    #[schema(value_type = DifferencesOf<DatabaseView>)]
    databases: Differences,
    /// Unfinished jobs; jobs that ended in between are in `removed`.
    #[schema(value_type = DifferencesOf<JobView>)]
    jobs: Differences,
    /// Active tokens; tokens revoked in between are in `removed`.
    #[schema(value_type = DifferencesOf<TokenView>)]
    tokens: Differences,
}

/// Differences between two lists.
#[derive(Default, Serialize)]
struct Differences {
    added: Vec<Value>,
    removed: Vec<Value>,
    changed: Vec<Change>,
}

/// Differences between two lists.
#[derive(ToSchema)]
#[schema(as = Differences)]
#[expect(dead_code, reason = "describes what `Differences` writes")]
struct DifferencesOf<T> {
    /// Entries only in the later state.
    added: Vec<T>,
    /// Entries only in the earlier state.
    removed: Vec<T>,
    changed: Vec<Change>,
}

/// An entry that differs.
#[derive(Serialize, ToSchema)]
#[schema(as = StateChange)]
struct Change {
    id: String,
    /// Name of the database or token, or kind of job.
    name: String,
    /// Fields that differ, with old and new value; null where absent.
    #[schema(value_type = BTreeMap<String, FieldChange>,
        example = json!({"state": {"from": "ready", "to": "trashed"}}))]
    fields: Map<String, Value>,
}

/// Old and new value of a field.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `fields` writes")]
struct FieldChange {
    from: Value,
    to: Value,
}

/// Compare two states
///
/// Both are rebuilt from the event log, as in `GET /v1/state?at=`.
#[utoipa::path(get, path = "/v1/state/diff", tag = "history", params(DiffParameters),
    responses((status = 200, content((StateDiff = "application/json"), (String = "text/plain")))))]
pub(crate) async fn get_state_diff(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    StrictQuery(parameters): StrictQuery<DiffParameters>,
) -> Result<Response, Problem> {
    caller.require_audit()?;
    let min_sequence = parameters.min_sequence.map(Sequence::from);
    let current = gateway.service.present_at(min_sequence).await?;
    let head = current.head.sequence;
    let to = parameters.to.unwrap_or_else(|| head.to_string());
    let moments = [moment("from", &parameters.from)?, moment("to", &to)?];
    let [from, to] = gateway.service.past(&current, moments).await?;
    if parameters.format.unwrap_or_else(|| accepted(&headers)) == Format::Text {
        let (earlier, later) = (from.to_string(), to.to_string());
        let differences = TextDiff::from_lines(&earlier, &later);
        let mut unified = differences.unified_diff();
        let names = [from.sequence, to.sequence].map(|sequence| format!("event {sequence}"));
        let text = unified.header(&names[0], &names[1]).to_string();
        let text = reply::counted(text.into_bytes())?;
        let text = ([(header::CONTENT_TYPE, PLAIN)], text).into_response();
        return Ok(text.seen(head));
    }
    let diff = StateDiff {
        from: from.sequence.0,
        to: to.sequence.0,
        databases: between(gateway.databases_of(&from), gateway.databases_of(&to)),
        jobs: between(jobs_of(&from), jobs_of(&to)),
        tokens: between(tokens_of(&from), tokens_of(&to)),
    };
    Ok(reply::json(StatusCode::OK, &diff).seen(head))
}

/// Entries by their ids, as the API shows them.
type Entries = BTreeMap<String, Value>;

impl Gateway {
    fn databases_of(&self, state: &ForgeState) -> Entries {
        entries(
            state
                .databases()
                .map(|database| self.recorded_view(database)),
        )
    }
}

fn jobs_of(state: &ForgeState) -> Entries {
    entries(state.jobs().map(|job| JobView::of(job, state)))
}

fn tokens_of(state: &ForgeState) -> Entries {
    entries(state.tokens().map(|token| TokenView::from(token.as_ref())))
}

fn entries(views: impl Iterator<Item = impl Serialize>) -> Entries {
    let shown = views.map(|it| json!(it));
    shown.map(|it| (text_of(&it, "id"), it)).collect()
}

fn text_of(entry: &Value, field: &str) -> String {
    entry[field].as_str().unwrap_or_default().to_owned()
}

fn between(mut from: Entries, to: Entries) -> Differences {
    let mut differences = Differences::default();
    for (id, later) in to {
        match from.remove(&id) {
            None => differences.added.push(later),
            Some(earlier) if earlier == later => {}
            Some(earlier) => differences.changed.push(Change {
                id,
                name: match &later["name"] {
                    Value::Null => text_of(&later, "kind"),
                    _ => text_of(&later, "name"),
                },
                fields: fields(&earlier, &later),
            }),
        }
    }
    differences.removed = from.into_values().collect();
    differences
}

fn fields(earlier: &Value, later: &Value) -> Map<String, Value> {
    let names = [earlier, later]
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(Map::keys);
    names
        .filter(|name| earlier[name.as_str()] != later[name.as_str()])
        .map(|it| {
            let change = json!({"from": earlier[it.as_str()], "to": later[it.as_str()]});
            (it.clone(), change)
        })
        .collect()
}
