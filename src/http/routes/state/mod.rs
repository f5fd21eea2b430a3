//! Everything that is true at one moment: now, or earlier.

pub(crate) mod diff;

use crate::domain::ids::Sequence;
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
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// How the state is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Json,
    Text,
}

/// The content type of text.
pub(crate) const PLAIN: &str = "text/plain; charset=utf-8";

/// How the state is wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StateParameters {
    /// `text`: the output of `dbforge replay`. Default: by `Accept`.
    #[param(inline)]
    format: Option<Format>,
    /// Sequence number or time; default now.
    #[param(schema_with = schemas::moment)]
    at: Option<String>,
    /// Wait until the event log has reached this sequence number, then answer.
    min_sequence: Option<SequenceNumber>,
}

/// The state: databases, unfinished jobs, active tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = State)]
pub(crate) struct StateView {
    /// Last event included.
    as_of: u64,
    /// Databases, including the trash, oldest first.
    databases: Vec<DatabaseView>,
    /// Unfinished jobs, oldest first.
    jobs: Vec<JobView>,
    /// Active tokens, oldest first.
    tokens: Vec<TokenView>,
}

/// Get the current or a past state
///
/// Past states are rebuilt from the event log, as by `dbforge replay --at`. They have no sizes and no
/// worker states, which are not in the log.
#[utoipa::path(get, path = "/v1/state", tag = "history", params(StateParameters),
    responses((status = 200, content((StateView = "application/json"), (String = "text/plain")))))]
pub(crate) async fn get_state(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    StrictQuery(parameters): StrictQuery<StateParameters>,
) -> Result<Response, Problem> {
    caller.require_audit()?;
    let service = &gateway.service;
    let min_sequence = parameters.min_sequence.map(Sequence::from);
    let current = service.present_at(min_sequence).await?;
    let past = match &parameters.at {
        Some(at) => Some(service.past(&current, [moment("at", at)?]).await?),
        None => None,
    };
    let state = past.as_ref().map_or(&current.state, |[it]| it);
    let format = parameters.format.unwrap_or_else(|| accepted(&headers));
    if format == Format::Text {
        let text = reply::counted(state.to_string().into_bytes())?;
        let text = ([(header::CONTENT_TYPE, PLAIN)], text).into_response();
        return Ok(text.seen(current.head.sequence));
    }
    let view = StateView {
        as_of: state.sequence.0,
        databases: state
            .databases()
            .map(|it| match past {
                Some(_) => gateway.recorded_view(it),
                None => gateway.view(it),
            })
            .collect(),
        jobs: state.jobs().map(|job| JobView::of(job, state)).collect(),
        tokens: state
            .tokens()
            .map(|token| TokenView::from(token.as_ref()))
            .collect(),
    };
    Ok(reply::json(StatusCode::OK, &view).seen(current.head.sequence))
}

/// Text where it is asked for by name and JSON is not.
pub(crate) fn accepted(headers: &HeaderMap) -> Format {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    match accept.unwrap_or_default() {
        it if it.contains("text/plain") && !it.contains("json") => Format::Text,
        _ => Format::Json,
    }
}
