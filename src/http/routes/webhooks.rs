//! Webhooks: made, changed, tried, and what came of their messages.
use super::databases::ReadParameters;
use crate::clock::timestamp::Timestamp;
use crate::config::Secret;
use crate::domain::command::Command;
use crate::domain::ids::WebhookId;
use crate::domain::refusal::Refusal;
use crate::domain::state::State as ForgeState;
use crate::domain::token::Scope;
use crate::domain::webhook::{Webhook, WebhookPlan};
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::{NoFields, NoParameters, PathParts, StrictQuery};
use crate::http::middleware::auth::Caller;
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use crate::http::response::job_answers::mark_replayed;
use crate::http::response::lists::{List, PageParameters, page_answer, page_request, state_page};
use crate::http::response::reply;
use crate::http::response::reply::Marked;
use crate::jobs::webhooks::Delivery;
use crate::projections::control_db::Page;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use url::{Host, Url};
use utoipa::ToSchema;

/// What a secret that is made here starts with, so that scanners recognise a leaked one.
const SECRET_PREFIX: &str = "whsec_";
/// Random bytes of a secret: as many as the hash has that it keys.
const SECRET_BYTES: usize = 32;
/// Characters of a secret that somebody chose: long enough not to be guessed, short enough for
/// every receiver's settings.
const CHOSEN_SECRET: std::ops::RangeInclusive<usize> = 16..=128;

/// Where events go, and which.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateWebhook)]
pub(super) struct WebhookBody {
    /// http or https; it stands in the log, so it must hold no secret.
    #[schema(example = "http://127.0.0.1:9000/hook")]
    url: String,
    /// Events of these kinds; of every kind when none is given.
    #[schema(schema_with = schemas::event_kinds, example = json!(["database_ready", "job_failed"]))]
    kinds: Option<Vec<String>>,
    /// Events about databases with these names or patterns; `["*"]`, the default, takes in those
    /// about none.
    #[schema(schema_with = schemas::optional_database_patterns, example = json!(["pr-*"]))]
    databases: Option<Vec<String>>,
    /// What messages are signed with, 16 to 128 printable characters; one is made when none is
    /// given.
    #[schema(pattern = "^[!-~]{16,128}$")]
    secret: Option<String>,
}

/// What becomes different; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeWebhook)]
pub(super) struct ChangeBody {
    url: Option<String>,
    #[schema(schema_with = schemas::event_kinds)]
    kinds: Option<Vec<String>>,
    #[schema(schema_with = schemas::optional_database_patterns)]
    databases: Option<Vec<String>>,
}

/// Somebody who is told of events.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookView {
    #[schema(value_type = String, format = Uuid)]
    id: String,
    url: String,
    kinds: Vec<String>,
    databases: Vec<String>,
    /// What messages are signed with; shown when it is made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    enabled: bool,
    /// Why it is told nothing.
    disabled_reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    sequence: u64,
}

/// One try to tell a receiver.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryView {
    /// Which event; null for a test.
    sequence: Option<u64>,
    kind: String,
    /// 1 for the first try since the last success.
    attempt: u32,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    duration_ms: u64,
    /// What the receiver answered, where it did.
    status: Option<u16>,
    /// Whether it took the message.
    delivered: bool,
    /// Why it did not.
    error: Option<String>,
}

impl From<&Webhook> for WebhookView {
    fn from(webhook: &Webhook) -> Self {
        let plan = webhook.plan.clone();
        Self {
            id: webhook.id.to_string(),
            url: plan.url,
            kinds: plan.kinds,
            databases: plan.databases,
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
    require_keeper(&caller)?;
    let request = page_request(asked.limit, asked.cursor)?;
    let present = gateway.present_at(asked.min_sequence).await?;
    let page = state_page(
        present.state.webhooks(),
        |it| it.id.to_string(),
        &request,
        asked.order.into(),
        present.head.sequence,
    );
    Ok(page_answer(page, |it| WebhookView::from(it.as_ref())))
}

/// Create a webhook
///
/// It is told of what happens from now on. The answer alone shows its secret.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", request_body = WebhookBody,
    responses((status = 201, body = WebhookView)))]
pub(super) async fn create_webhook(
    State(gateway): State<Arc<Gateway>>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<WebhookBody>,
) -> Result<Response, Problem> {
    require_keeper(&mutation.caller)?;
    let body = &mutation.body;
    let plan = WebhookPlan {
        url: body.url.clone(),
        kinds: body.kinds.clone().unwrap_or_default(),
        databases: body.databases.clone().unwrap_or_else(|| vec!["*".into()]),
    };
    check_target(&gateway, &plan.url)?;
    let secret = body.secret.as_deref().map_or_else(fresh_secret, chosen)?;
    let webhook = WebhookId(gateway.control.ids().fresh());
    // Before the event: a webhook that is there can always sign.
    keep_secret(&gateway, webhook, &secret).await?;
    let command = Command::CreateWebhook { webhook, plan };
    let accepted = gateway.carry_out(&mutation, |_| Ok(command)).await;
    let events = accepted.as_ref().map_or(&[][..], |it| &it.events);
    let created = events.iter().find_map(Webhook::begun_by);
    // Refused, or made by an earlier request under another id.
    if created.as_ref().is_none_or(|it| it.id != webhook) {
        gateway.webhooks.forget(webhook);
    }
    let accepted = accepted?;
    let created =
        created.ok_or_else(|| Problem::internal("a webhook was created without an event"))?;
    let shown = (created.id == webhook).then(|| secret.reveal().to_owned());
    let view = WebhookView {
        secret: shown,
        ..WebhookView::from(&created)
    };
    let answer = reply::json(StatusCode::CREATED, &view)
        .with(header::LOCATION, &format!("/v1/webhooks/{}", created.id))
        .etag(created.sequence)
        .seen(accepted.sequence);
    Ok(mark_replayed(answer, &accepted))
}

/// Look at a webhook
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), ReadParameters),
    responses((status = 200, body = WebhookView)))]
pub(super) async fn get_webhook(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    StrictQuery(parameters): StrictQuery<ReadParameters>,
) -> Result<Response, Problem> {
    require_keeper(&caller)?;
    let present = gateway.present_at(parameters.min_sequence).await?;
    let webhook = find(&present.state, &id)?;
    let answer = reply::json(StatusCode::OK, &WebhookView::from(webhook.as_ref()));
    Ok(answer.etag(webhook.sequence).seen(present.head.sequence))
}

/// Change a webhook
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id")), request_body = ChangeBody,
    responses((status = 200, body = WebhookView)))]
pub(super) async fn change_webhook(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<ChangeBody>,
) -> Result<Response, Problem> {
    let command = |webhook: &Webhook| {
        let body = &mutation.body;
        let old = webhook.plan.clone();
        let plan = WebhookPlan {
            url: body.url.clone().unwrap_or(old.url),
            kinds: body.kinds.clone().unwrap_or(old.kinds),
            databases: body.databases.clone().unwrap_or(old.databases),
        };
        check_target(&gateway, &plan.url)?;
        let webhook = webhook.id;
        Ok(Command::ChangeWebhook { webhook, plan })
    };
    gateway.act_on_webhook(&mutation, &id, command).await
}

/// Let a webhook be told again
///
/// Of what came in between, too.
#[utoipa::path(post, path = "/v1/webhooks/{id}/enable", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id")),
    request_body = NoFields, responses((status = 200, body = WebhookView)))]
pub(super) async fn enable_webhook(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let command = |it: &Webhook| Ok(Command::EnableWebhook { webhook: it.id });
    gateway.act_on_webhook(&mutation, &id, command).await
}

/// Delete a webhook
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id")),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete_webhook(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    require_keeper(&mutation.caller)?;
    let command = |state: &ForgeState| {
        let webhook = find(state, &id)?.id;
        Ok(Command::DeleteWebhook { webhook })
    };
    let accepted = gateway.carry_out(&mutation, command).await?;
    if let Ok(webhook) = id.parse() {
        gateway.webhooks.forget(webhook);
    }
    let answer = StatusCode::NO_CONTENT.into_response();
    Ok(mark_replayed(answer, &accepted).seen(accepted.sequence))
}

/// What came of its messages
///
/// The latest hundred tries, oldest first.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id")),
    responses((status = 200, body = List<DeliveryView>)))]
pub(super) async fn list_deliveries(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    require_keeper(&caller)?;
    let present = gateway.control.present();
    let page = Page {
        items: gateway.webhooks.deliveries(find(&present.state, &id)?),
        next_cursor: None,
        as_of: present.head.sequence,
    };
    Ok(page_answer(page, DeliveryView::from))
}

/// Try a webhook
///
/// Sends one message of the type `dbforge.test`, beside the events, and says what came of it.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id")),
    request_body = NoFields, responses((status = 200, body = DeliveryView)))]
pub(super) async fn test_webhook(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    require_keeper(&mutation.caller)?;
    let present = gateway.control.present();
    let sent = gateway.webhooks.test(find(&present.state, &id)?).await;
    let delivery = DeliveryView::from(sent.map_err(Problem::internal)?);
    Ok(reply::json(StatusCode::OK, &delivery))
}

impl Gateway {
    async fn act_on_webhook<T>(
        &self,
        mutation: &Mutation<T>,
        id: &str,
        command: impl FnOnce(&Webhook) -> Result<Command, Problem>,
    ) -> Result<Response, Problem> {
        require_keeper(&mutation.caller)?;
        let command = |state: &ForgeState| command(find(state, id)?);
        let accepted = self.carry_out(mutation, command).await?;
        let present = self.control.present();
        let webhook = find(&present.state, id)?;
        let answer = reply::json(StatusCode::OK, &WebhookView::from(webhook.as_ref()));
        let answer = answer.etag(webhook.sequence).seen(present.head.sequence);
        Ok(mark_replayed(answer, &accepted))
    }
}

/// Who makes webhooks can send the whole history elsewhere, for as long as they are there.
fn require_keeper(caller: &Caller) -> Result<(), Problem> {
    caller.require(Scope::Admin)?;
    caller.require_all()
}

fn find<'a>(state: &'a ForgeState, id: &str) -> Result<&'a Arc<Webhook>, Problem> {
    let found = id.parse().ok().and_then(|it| state.webhook(it));
    found.ok_or_else(|| Refusal::WebhookNotFound(id.to_owned()).into())
}

/// Refuses an address that could never be told; what a name stands for is looked at when it is.
fn check_target(gateway: &Gateway, url: &str) -> Result<(), Problem> {
    let host = Url::parse(url).ok().and_then(|it| match it.host()? {
        Host::Ipv4(it) => Some(IpAddr::V4(it)),
        Host::Ipv6(it) => Some(IpAddr::V6(it)),
        Host::Domain(_) => None,
    });
    match host.filter(|it| !gateway.webhooks.allows(*it)) {
        Some(address) => Err(
            Problem::invalid(format!("Webhooks may not go to {address}."))
                .hint("the setting DBFORGE_WEBHOOK_TARGETS names the networks they may go to"),
        ),
        None => Ok(()),
    }
}

async fn keep_secret(gateway: &Gateway, id: WebhookId, secret: &Secret) -> Result<(), Problem> {
    let (webhooks, secret) = (gateway.webhooks.clone(), secret.clone());
    let kept = tokio::task::spawn_blocking(move || webhooks.keep_secret(id, &secret)).await;
    kept.map_err(Problem::internal)?.map_err(Problem::internal)
}

fn chosen(secret: &str) -> Result<Secret, Problem> {
    if CHOSEN_SECRET.contains(&secret.len()) && secret.bytes().all(|it| it.is_ascii_graphic()) {
        return Ok(Secret::new(secret.to_owned()));
    }
    Err(Problem::invalid(format!(
        "`secret` has {} to {} printable ASCII characters and no spaces.",
        CHOSEN_SECRET.start(),
        CHOSEN_SECRET.end()
    )))
}

fn fresh_secret() -> Result<Secret, Problem> {
    let mut random = [0_u8; SECRET_BYTES];
    getrandom::fill(&mut random).map_err(Problem::internal)?;
    let secret = format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    Ok(Secret::new(secret))
}
