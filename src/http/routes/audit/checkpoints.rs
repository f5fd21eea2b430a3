//! Signed checkpoints: made, listed, and the key that they are checked with.
use crate::domain::token::Scope;
use crate::event_log::AppendError;
use crate::event_log::checkpoints::{Checkpoint, Checkpoints};
use crate::http::Gateway;
use crate::http::extract::parameters::PageParameters;
use crate::http::extract::{JsonBody, NoFields, NoParameters, StrictQuery};
use crate::http::openapi::words;
use crate::http::response::error::Problem;
use crate::http::response::lists::{List, page_answer, state_page};
use crate::http::response::reply;
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A signed head of the event log.
#[derive(ToSchema)]
#[schema(as = Checkpoint)]
#[expect(dead_code, reason = "describes what the log's own type writes")]
pub(crate) struct CheckpointView {
    /// Last event.
    sequence: u64,
    /// Hash of that event, which covers the whole history up to it.
    hash: String,
    /// When it was signed.
    #[schema(format = DateTime)]
    time: String,
    /// Id of the signing key.
    #[schema(example = "5f0c6d3b7a1e9d24")]
    key_id: String,
    /// Ed25519 signature in hex, over five lines, each terminated by a line feed:
    /// `dbforge checkpoint` and the four fields above.
    signature: String,
}

/// Public key that verifies checkpoints.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditKey {
    key_id: String,
    #[schema(value_type = words::KeyAlgorithm)]
    algorithm: &'static str,
    /// 32 bytes in hex.
    public_key: String,
}

/// Sign a checkpoint
///
/// Signs the current head of the event log. Stored elsewhere, it proves later that the log was
/// truncated or changed. Returns the last checkpoint if there are no new events.
#[utoipa::path(post, path = "/v1/audit/checkpoints", tag = "history",
    request_body = NoFields,
    responses((status = 201, body = CheckpointView)))]
pub(crate) async fn create_checkpoint(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    _: StrictQuery<NoParameters>,
    _: JsonBody<NoFields>,
) -> Result<Response, Problem> {
    caller.require(Scope::Audit)?;
    let current = gateway.service.control.current();
    if let Some(reason) = current.read_only.clone() {
        // What a damaged log ends with is not to be vouched for.
        return Err(AppendError::ReadOnly { reason }.into());
    }
    let head = current.head;
    let now = gateway.service.control.clock().now();
    let signed = gateway.with_checkpoints(move |it| it.add(head, now));
    Ok(reply::json(StatusCode::CREATED, &signed.await??))
}

/// List checkpoints
///
/// Oldest first, as in `.forge/audit/checkpoints.jsonl`.
#[utoipa::path(get, path = "/v1/audit/checkpoints", tag = "history", params(PageParameters),
    responses((status = 200, body = List<CheckpointView>)))]
pub(crate) async fn list_checkpoints(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(asked): StrictQuery<PageParameters>,
) -> Result<Response, Problem> {
    caller.require(Scope::Audit)?;
    let paging = asked.paging()?;
    let current = gateway.service.present_at(paging.min_sequence).await?;
    let as_of = current.head.sequence;
    let all = gateway.with_checkpoints(Checkpoints::all).await??;
    let numbered = (1_u64..).zip(all).collect::<Vec<_>>().into_iter();
    let place = |(line, _): &(u64, Checkpoint)| format!("{line:020}");
    let is_place = |text: &str| text.len() == 20 && text.bytes().all(|it| it.is_ascii_digit());
    let page = state_page(numbered, place, is_place, &paging.page, paging.order, as_of)?;
    Ok(page_answer(page, |(_, checkpoint)| checkpoint))
}

/// Get the audit key
///
/// The public key that verifies checkpoints. Keep a copy elsewhere.
#[utoipa::path(get, path = "/v1/audit/key", tag = "history",
    responses((status = 200, body = AuditKey)))]
pub(crate) async fn get_audit_key(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    caller.require(Scope::Audit)?;
    let key = gateway.with_checkpoints(Checkpoints::public_key).await??;
    let body = AuditKey {
        key_id: key.id(),
        algorithm: "ed25519",
        public_key: key.to_string(),
    };
    Ok(reply::json(StatusCode::OK, &body))
}

impl Gateway {
    /// Works on the checkpoints' files off the threads that answer requests.
    async fn with_checkpoints<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Checkpoints) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let checkpoints = self.service.checkpoints.clone();
        let worked = tokio::task::spawn_blocking(move || work(&checkpoints)).await;
        worked.map_err(Problem::internal)
    }
}
