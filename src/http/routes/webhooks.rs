//! Webhooks: made, changed, tried, and what came of their messages.
use crate::clock::timestamp::{Timestamp, parse_duration};
use crate::control::{Accepted, CurrentState};
use crate::domain::ids::Sequence;
use crate::domain::webhook::{Webhook, WebhookPlan};
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::parameters::{KeyHeader, PageParameters, ReadParameters};
use crate::http::extract::{NoFields, NoParameters, PathParts, StrictQuery};
use crate::http::openapi::{schemas, words};
use crate::http::response::error::Problem;
use crate::http::response::job_answers::mark_replayed;
use crate::http::response::lists::{List, is_uuid, page_answer, state_page};
use crate::http::response::reply::{self, Marked};
use crate::jobs::webhooks::{Delivery, OwnHeaders};
use crate::projections::control_db::Page;
use crate::service::caller::Caller;
use crate::service::commands::webhooks::find_webhook;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// How long a replaced secret may go on signing.
const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 86_400);

/// A new webhook.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateWebhook)]
pub(super) struct WebhookBody {
    /// http or https. Stored in the event log: it must not contain secrets.
    #[schema(example = "http://127.0.0.1:9000/hook")]
    url: String,
    /// Kinds of events to send; default all.
    #[schema(schema_with = schemas::event_kinds, example = json!(["database_ready", "job_failed"]))]
    kinds: Option<Vec<String>>,
    /// Names or patterns of databases whose events to send. Default `["*"]`, which includes events
    /// about no database.
    #[schema(schema_with = schemas::optional_database_patterns, example = json!(["pr-*"]))]
    databases: Option<Vec<String>>,
    /// Signing secret, 16 to 128 printable characters; generated if omitted.
    #[schema(pattern = "^[!-~]{16,128}$")]
    secret: Option<String>,
    /// Headers to send with each message, such as `Authorization`. Not stored in the event log, and
    /// not returned.
    #[serde(default)]
    #[schema(schema_with = schemas::own_headers)]
    headers: OwnHeaders,
}

/// Changes; omitted fields keep their value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeWebhook)]
pub(super) struct ChangeWebhookBody {
    url: Option<String>,
    #[schema(schema_with = schemas::event_kinds)]
    kinds: Option<Vec<String>>,
    #[schema(schema_with = schemas::optional_database_patterns)]
    databases: Option<Vec<String>>,
    /// Replaces all headers of the webhook.
    #[schema(schema_with = schemas::own_headers)]
    headers: Option<OwnHeaders>,
}

/// How a webhook resumes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EnableWebhook)]
pub(super) struct EnableBody {
    /// `true` leaves out the events since it was disabled.
    #[serde(default)]
    from_now: bool,
}

/// Events to leave out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SkipEvents)]
pub(super) struct SkipBody {
    /// The last one, by its sequence number.
    through: u64,
}

/// An event to send again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayEvent)]
pub(super) struct ReplayBody {
    /// Its sequence number.
    sequence: u64,
}

/// A new secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplaceWebhookSecret)]
pub(super) struct SecretBody {
    /// 16 to 128 printable characters; generated if omitted.
    #[schema(pattern = "^[!-~]{16,128}$")]
    secret: Option<String>,
    /// How long messages are signed with the old secret, too: `24h`, at most 30 days. Default `0s`.
    #[schema(pattern = "^([0-9]{1,6}s|[0-9]{1,4}m|[0-9]{1,2}h|[0-9]d)$")]
    overlap: Option<String>,
}

/// A receiver of events.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookView {
    #[schema(value_type = String, format = Uuid)]
    id: String,
    url: String,
    #[schema(value_type = Vec<words::EventKind>)]
    kinds: Vec<String>,
    databases: Vec<String>,
    /// Names of the headers that are sent with each message.
    headers: Vec<String>,
    /// All events up to this one were accepted, skipped, or do not match.
    delivered_through: u64,
    /// When the event that failed last is tried again.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    retry_at: Option<Timestamp>,
    /// Signing secret; returned only when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    enabled: bool,
    /// Why it is disabled.
    #[schema(required = true)]
    disabled_reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    sequence: u64,
}

/// One delivery attempt.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryView {
    /// Event sequence number; null for a test.
    #[schema(required = true)]
    sequence: Option<u64>,
    kind: String,
    /// Attempt number since the last success, from 1.
    attempt: u32,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    duration_ms: u64,
    /// HTTP status of the receiver, if it responded.
    #[schema(required = true)]
    status: Option<u16>,
    /// Whether the receiver accepted the message.
    delivered: bool,
    /// Why it failed.
    #[schema(required = true)]
    error: Option<String>,
}

impl WebhookView {
    fn of(webhook: &Webhook, gateway: &Gateway) -> Self {
        let hooks = &gateway.service.webhooks;
        let plan = webhook.plan.clone();
        let (delivered_through, retry_at) = hooks.place(webhook);
        Self {
            id: webhook.id.to_string(),
            url: plan.url,
            kinds: plan.kinds,
            databases: plan.databases,
            headers: hooks.header_names(webhook.id),
            delivered_through: delivered_through.0,
            retry_at,
            secret: None,
            enabled: webhook.disabled.is_none(),
            disabled_reason: webhook.disabled.clone(),
            created_at: webhook.created_at,
            sequence: webhook.sequence.0,
        }
    }
}

impl From<Delivery> for DeliveryView {
    fn from(it: Delivery) -> Self {
        Self {
            sequence: it.sequence.map(|it| it.0),
            kind: it.kind,
            attempt: it.attempt,
            at: it.at,
            duration_ms: it.duration_ms,
            status: it.status,
            delivered: it.error.is_none(),
            error: it.error,
        }
    }
}

/// List webhooks
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks", params(PageParameters),
    responses((status = 200, body = List<WebhookView>)))]
pub(super) async fn list_webhooks(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(asked): StrictQuery<PageParameters>,
) -> Result<Response, Problem> {
    caller.require_admin()?;
    let paging = asked.paging()?;
    let current = gateway.service.present_at(paging.min_sequence).await?;
    let page = state_page(
        current.state.webhooks(),
        |it| it.id.to_string(),
        is_uuid,
        &paging.page,
        paging.order,
        current.head.sequence,
    )?;
    Ok(page_answer(page, |it| WebhookView::of(it, &gateway)))
}

/// Create a webhook
///
/// Sends events from now on. The secret is returned only in this response.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks",
    params(KeyHeader), request_body = WebhookBody,
    responses((status = 201, body = WebhookView)))]
pub(super) async fn create_webhook(
    State(gateway): State<Arc<Gateway>>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<WebhookBody>,
) -> Result<Response, Problem> {
    let Mutation { request, body } = mutation;
    let plan = WebhookPlan {
        url: body.url,
        kinds: body.kinds.unwrap_or_default(),
        databases: body.databases.unwrap_or_else(|| vec!["*".into()]),
    };
    let secret = body.secret.as_deref();
    let created = gateway
        .service
        .create_webhook(&request, plan, secret, &body.headers);
    let created = created.await?;
    let webhook = &created.webhook;
    let view = WebhookView {
        secret: created.secret,
        ..WebhookView::of(webhook, &gateway)
    };
    let answer = reply::json(StatusCode::CREATED, &view)
        .with(header::LOCATION, &format!("/v1/webhooks/{}", webhook.id))
        .etag(webhook.sequence)
        .seen(created.accepted.sequence);
    Ok(mark_replayed(answer, &created.accepted))
}

/// Get a webhook
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), ReadParameters),
    responses((status = 200, body = WebhookView)))]
pub(super) async fn get_webhook(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    StrictQuery(parameters): StrictQuery<ReadParameters>,
) -> Result<Response, Problem> {
    caller.require_admin()?;
    let current = gateway.service.present_at(parameters.min_sequence());
    let current = current.await?;
    let webhook = find_webhook(&current.state, &id)?;
    Ok(show(webhook, &current, &gateway))
}

/// Change a webhook
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), KeyHeader), request_body = ChangeWebhookBody,
    responses((status = 200, body = WebhookView)))]
pub(super) async fn change_webhook(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<ChangeWebhookBody>,
) -> Result<Response, Problem> {
    let Mutation { request, body } = mutation;
    let change = |old: WebhookPlan| WebhookPlan {
        url: body.url.clone().unwrap_or(old.url),
        kinds: body.kinds.clone().unwrap_or(old.kinds),
        databases: body.databases.clone().unwrap_or(old.databases),
    };
    let changed = gateway
        .service
        .change_webhook(&request, &id, change, body.headers.clone());
    Ok(changed_answer(changed.await?, &gateway))
}

/// Enable a webhook
///
/// Also sends the events since it was disabled, unless `from_now` is set.
#[utoipa::path(post, path = "/v1/webhooks/{id}/enable", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), KeyHeader),
    request_body = EnableBody, responses((status = 200, body = WebhookView)))]
pub(super) async fn enable_webhook(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<EnableBody>,
) -> Result<Response, Problem> {
    let Mutation { request, body } = mutation;
    let enabled = gateway.service.enable_webhook(&request, &id, body.from_now);
    Ok(changed_answer(enabled.await?, &gateway))
}

/// Pause a webhook
///
/// Sends nothing until it is enabled.
#[utoipa::path(post, path = "/v1/webhooks/{id}/pause", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), KeyHeader),
    request_body = NoFields, responses((status = 200, body = WebhookView)))]
pub(super) async fn pause_webhook(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let paused = gateway.service.pause_webhook(&mutation.request, &id);
    Ok(changed_answer(paused.await?, &gateway))
}

/// Skip events
///
/// Leaves out all events through this one, also one that is being tried.
#[utoipa::path(post, path = "/v1/webhooks/{id}/skip", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id")),
    request_body = SkipBody, responses((status = 200, body = WebhookView)))]
pub(super) async fn skip_events(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<SkipBody>,
) -> Result<Response, Problem> {
    let Mutation { request, body } = mutation;
    let skipped = gateway
        .service
        .skip_events(&request, &id, Sequence(body.through));
    let (webhook, current) = skipped.await?;
    Ok(show(&webhook, &current, &gateway))
}

/// Send an event again
///
/// Sends one event once, whatever was delivered, and returns the result.
#[utoipa::path(post, path = "/v1/webhooks/{id}/replay", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id")),
    request_body = ReplayBody, responses((status = 200, body = DeliveryView)))]
pub(super) async fn replay_event(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<ReplayBody>,
) -> Result<Response, Problem> {
    let Mutation { request, body } = mutation;
    let sent = gateway
        .service
        .resend_event(&request, &id, Sequence(body.sequence));
    Ok(reply::json(
        StatusCode::OK,
        &DeliveryView::from(sent.await?),
    ))
}

/// Replace the signing secret
///
/// The new secret is returned only in this response.
#[utoipa::path(post, path = "/v1/webhooks/{id}/secret", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id")),
    request_body = SecretBody, responses((status = 200, body = WebhookView)))]
pub(super) async fn replace_secret(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<SecretBody>,
) -> Result<Response, Problem> {
    let Mutation { request, body } = mutation;
    let overlap = body.overlap.as_deref().map(parse_duration).transpose();
    let overlap = overlap.map_err(|error| Problem::invalid(format!("`overlap`: {error}.")))?;
    let (secret, overlap) = (body.secret.as_deref(), overlap.unwrap_or_default());
    if overlap > LONGEST_OVERLAP {
        return Err(Problem::invalid("`overlap` must be at most 30 days."));
    }
    let replaced = gateway
        .service
        .replace_webhook_secret(&request, &id, secret, overlap);
    let (webhook, secret) = replaced.await?;
    let view = WebhookView {
        secret: Some(secret),
        ..WebhookView::of(&webhook, &gateway)
    };
    Ok(reply::json(StatusCode::OK, &view).etag(webhook.sequence))
}

/// Delete a webhook
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), KeyHeader),
    responses((status = 204, description = "Deleted")))]
pub(super) async fn delete_webhook(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let deleted = gateway.service.delete_webhook(&mutation.request, &id);
    let accepted = deleted.await?;
    let answer = StatusCode::NO_CONTENT.into_response();
    Ok(mark_replayed(answer, &accepted).seen(accepted.sequence))
}

/// List deliveries
///
/// The last 100 attempts, oldest first.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id")),
    responses((status = 200, body = List<DeliveryView>)))]
pub(super) async fn list_deliveries(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    caller.require_admin()?;
    let current = gateway.service.control.current();
    let webhook = find_webhook(&current.state, &id)?;
    let page = Page {
        items: gateway.service.webhooks.deliveries(webhook),
        next_cursor: None,
        as_of: current.head.sequence,
    };
    Ok(page_answer(page, DeliveryView::from))
}

/// Send a test message
///
/// Sends one message of type `dbforge.test` and returns the result.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id")),
    request_body = NoFields, responses((status = 200, body = DeliveryView)))]
pub(super) async fn test_webhook(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let sent = gateway.service.test_webhook(&mutation.request, &id);
    Ok(reply::json(
        StatusCode::OK,
        &DeliveryView::from(sent.await?),
    ))
}

fn changed_answer(
    (webhook, accepted, current): (Arc<Webhook>, Accepted, Arc<CurrentState>),
    gateway: &Gateway,
) -> Response {
    mark_replayed(show(&webhook, &current, gateway), &accepted)
}

fn show(webhook: &Webhook, current: &CurrentState, gateway: &Gateway) -> Response {
    reply::json(StatusCode::OK, &WebhookView::of(webhook, gateway))
        .etag(webhook.sequence)
        .seen(current.head.sequence)
}
