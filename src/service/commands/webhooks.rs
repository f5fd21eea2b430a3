//! Webhooks: created, changed, tested, deleted.
use super::{CommandError, CommandRequest};
use crate::config::Secret;
use crate::control::{Accepted, CurrentState};
use crate::domain::command::Command;
use crate::domain::command::refusal::Refusal;
use crate::domain::ids::{Sequence, WebhookId};
use crate::domain::state::State;
use crate::domain::webhook::{Webhook, WebhookPlan};
use crate::jobs::webhooks::{Delivery, OwnHeaders};
use crate::service::Service;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// What a generated secret starts with, so that scanners recognise a leaked one.
const SECRET_PREFIX: &str = "whsec_";
/// Random bytes of a secret: as many as the hash has that it keys.
const SECRET_BYTES: usize = 32;
/// Characters of a secret that the caller chose: long enough not to be guessed, short enough for
/// every receiver's settings.
const CHOSEN_SECRET: std::ops::RangeInclusive<usize> = 16..=128;

/// A webhook that was created.
#[derive(Debug)]
pub struct CreatedWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// What its messages are signed with; none where an earlier request with the same key was
    /// given it.
    pub secret: Option<String>,
    /// What happened.
    pub accepted: Accepted,
}

impl Service {
    /// Creates a webhook, which is told of what happens from then on.
    ///
    /// # Errors
    /// When the caller may not, its address or secret is not allowed, or it is refused.
    pub async fn create_webhook(
        &self,
        request: &CommandRequest,
        plan: WebhookPlan,
        secret: Option<&str>,
        headers: &OwnHeaders,
    ) -> Result<CreatedWebhook, CommandError> {
        request.caller.require_admin()?;
        self.check_target(&plan.url)?;
        check_headers(headers)?;
        let secret = secret.map_or_else(fresh_secret, chosen)?;
        let webhook = WebhookId(self.control.ids().fresh());
        // Before the event: a webhook that is there can always sign.
        self.keep_secret(webhook, &secret).await?;
        if !headers.is_empty() {
            self.keep_headers(webhook, headers.clone()).await?;
        }
        let command = Command::CreateWebhook { webhook, plan };
        let accepted = self.carry_out(request, |_| Ok(command)).await;
        let events = accepted.as_ref().map_or(&[][..], |it| &it.events);
        let created = events.iter().find_map(Webhook::begun_by);
        // Refused, or made by an earlier request under another id.
        if created.as_ref().is_none_or(|created| created.id != webhook) {
            self.webhooks.forget(webhook);
        }
        let accepted = accepted?;
        let created = created
            .ok_or_else(|| CommandError::internal("a webhook was created without an event"))?;
        Ok(CreatedWebhook {
            secret: (created.id == webhook).then(|| secret.reveal().to_owned()),
            webhook: created,
            accepted,
        })
    }

    /// Changes a webhook. `change` is given what it does now.
    ///
    /// # Errors
    /// When the caller may not, there is none, or its new address is not allowed.
    pub async fn change_webhook(
        &self,
        request: &CommandRequest,
        id: &str,
        change: impl Fn(WebhookPlan) -> WebhookPlan,
        headers: Option<OwnHeaders>,
    ) -> Result<(Arc<Webhook>, Accepted, Arc<CurrentState>), CommandError> {
        if let Some(headers) = &headers {
            check_headers(headers)?;
        }
        let command = |webhook: &Webhook| {
            let plan = change(webhook.plan.clone());
            self.check_target(&plan.url)?;
            let webhook = webhook.id;
            Ok(Command::ChangeWebhook { webhook, plan })
        };
        let changed = self.act_on_webhook(request, id, command).await?;
        if let Some(headers) = headers {
            self.keep_headers(changed.0.id, headers).await?;
        }
        Ok(changed)
    }

    /// Disables a webhook until it is enabled again.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn pause_webhook(
        &self,
        request: &CommandRequest,
        id: &str,
    ) -> Result<(Arc<Webhook>, Accepted, Arc<CurrentState>), CommandError> {
        let reason = format!("paused by {}", request.caller.actor());
        let command = |it: &Webhook| {
            let webhook = it.id;
            Ok(Command::DisableWebhook { webhook, reason })
        };
        self.act_on_webhook(request, id, command).await
    }

    /// Leaves out the events up to this one.
    ///
    /// # Errors
    /// When the caller may not, there is no such webhook, or the log does not reach that far.
    pub async fn skip_events(
        &self,
        request: &CommandRequest,
        id: &str,
        through: Sequence,
    ) -> Result<(Arc<Webhook>, Arc<CurrentState>), CommandError> {
        request.caller.require_admin()?;
        let current = self.control.current();
        let webhook = find_webhook(&current.state, id)?.clone();
        if through > current.head.sequence {
            return Err(CommandError::EventNotFound(through.to_string()));
        }
        self.move_cursor(&webhook, through).await?;
        let actor = request.caller.actor();
        tracing::info!(webhook.id = %webhook.id, %actor, "events through {through} were skipped for webhook {}", webhook.id);
        Ok((webhook, current))
    }

    /// Sends one event again, whatever the webhook's place, and says what came of it.
    ///
    /// # Errors
    /// When the caller may not, or there is no such webhook or event.
    pub async fn resend_event(
        &self,
        request: &CommandRequest,
        id: &str,
        sequence: Sequence,
    ) -> Result<Delivery, CommandError> {
        request.caller.require_admin()?;
        let current = self.control.current();
        let webhook = find_webhook(&current.state, id)?;
        let sent = self.webhooks.resend(webhook, sequence).await;
        let sent = sent.map_err(CommandError::internal)?;
        sent.ok_or(CommandError::EventNotFound(sequence.to_string()))
    }

    /// Gives a webhook a new secret, which is returned. The one before signs, too, for `overlap`.
    ///
    /// # Errors
    /// When the caller may not, there is none, or the secret is not allowed.
    pub async fn replace_webhook_secret(
        &self,
        request: &CommandRequest,
        id: &str,
        secret: Option<&str>,
        overlap: Duration,
    ) -> Result<(Arc<Webhook>, String), CommandError> {
        request.caller.require_admin()?;
        let webhook = find_webhook(&self.control.current().state, id)?.clone();
        let secret = secret.map_or_else(fresh_secret, chosen)?;
        let until = self.control.clock().now().after(overlap);
        let (webhooks, id, fresh) = (self.webhooks.clone(), webhook.id, secret.clone());
        let kept =
            tokio::task::spawn_blocking(move || webhooks.replace_secret(id, &fresh, until)).await;
        kept.map_err(CommandError::internal)?
            .map_err(CommandError::internal)?;
        let actor = request.caller.actor();
        tracing::info!(webhook.id = %webhook.id, %actor, "the secret of webhook {} was replaced", webhook.id);
        Ok((webhook, secret.reveal().to_owned()))
    }

    async fn move_cursor(&self, webhook: &Webhook, to: Sequence) -> Result<(), CommandError> {
        let (webhooks, webhook) = (self.webhooks.clone(), webhook.clone());
        let moved = tokio::task::spawn_blocking(move || webhooks.skip(&webhook, to)).await;
        moved
            .map_err(CommandError::internal)?
            .map_err(CommandError::internal)
    }

    async fn keep_headers(&self, id: WebhookId, headers: OwnHeaders) -> Result<(), CommandError> {
        let webhooks = self.webhooks.clone();
        let kept = tokio::task::spawn_blocking(move || webhooks.keep_headers(id, &headers)).await;
        kept.map_err(CommandError::internal)?
            .map_err(CommandError::internal)
    }

    /// Lets a webhook that was disabled go on: with what came in between, or `from_now` on.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn enable_webhook(
        &self,
        request: &CommandRequest,
        id: &str,
        from_now: bool,
    ) -> Result<(Arc<Webhook>, Accepted, Arc<CurrentState>), CommandError> {
        request.caller.require_admin()?;
        let current = self.control.current();
        let webhook = find_webhook(&current.state, id)?;
        // Before it is enabled: afterwards it would be told of what it is to leave out.
        if from_now && webhook.disabled.is_some() {
            self.move_cursor(webhook, current.head.sequence).await?;
        }
        let command = |it: &Webhook| Ok(Command::EnableWebhook { webhook: it.id });
        self.act_on_webhook(request, id, command).await
    }

    /// Deletes a webhook with its secret.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn delete_webhook(
        &self,
        request: &CommandRequest,
        id: &str,
    ) -> Result<Accepted, CommandError> {
        request.caller.require_admin()?;
        let command = |state: &State| {
            let webhook = find_webhook(state, id)?.id;
            Ok(Command::DeleteWebhook { webhook })
        };
        let accepted = self.carry_out(request, command).await?;
        if let Ok(webhook) = id.parse() {
            self.webhooks.forget(webhook);
        }
        Ok(accepted)
    }

    /// Sends a test message, and says what came of it.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn test_webhook(
        &self,
        request: &CommandRequest,
        id: &str,
    ) -> Result<Delivery, CommandError> {
        request.caller.require_admin()?;
        let current = self.control.current();
        let sent = self.webhooks.test(find_webhook(&current.state, id)?).await;
        sent.map_err(CommandError::internal)
    }

    async fn act_on_webhook(
        &self,
        request: &CommandRequest,
        id: &str,
        command: impl FnOnce(&Webhook) -> Result<Command, CommandError>,
    ) -> Result<(Arc<Webhook>, Accepted, Arc<CurrentState>), CommandError> {
        request.caller.require_admin()?;
        let command = |state: &State| command(find_webhook(state, id)?);
        let accepted = self.carry_out(request, command).await?;
        let current = self.control.current();
        let webhook = find_webhook(&current.state, id)?.clone();
        Ok((webhook, accepted, current))
    }

    /// Refuses an address that could never be reached; what a name resolves to is looked at when a
    /// message is sent.
    fn check_target(&self, url: &str) -> Result<(), CommandError> {
        let host = Url::parse(url).ok().and_then(|it| match it.host()? {
            Host::Ipv4(it) => Some(IpAddr::V4(it)),
            Host::Ipv6(it) => Some(IpAddr::V6(it)),
            Host::Domain(_) => None,
        });
        match host.filter(|it| !self.webhooks.allows(*it)) {
            Some(address) => Err(CommandError::WebhookTarget(address)),
            None => Ok(()),
        }
    }

    async fn keep_secret(&self, id: WebhookId, secret: &Secret) -> Result<(), CommandError> {
        let (webhooks, secret) = (self.webhooks.clone(), secret.clone());
        let kept = tokio::task::spawn_blocking(move || webhooks.keep_secret(id, &secret)).await;
        kept.map_err(CommandError::internal)?
            .map_err(CommandError::internal)
    }
}

/// The webhook of an id.
///
/// # Errors
/// When there is none.
pub fn find_webhook<'a>(state: &'a State, id: &str) -> Result<&'a Arc<Webhook>, Refusal> {
    let found = id.parse().ok().and_then(|it| state.webhook(it));
    found.ok_or_else(|| Refusal::WebhookNotFound(id.to_owned()))
}

/// Most headers of a webhook, and most bytes of a name and of a value.
const MOST_HEADERS: usize = 16;
const MOST_NAME_BYTES: usize = 64;
const MOST_VALUE_BYTES: usize = 2048;
/// Headers that the message has already, or that say how it is sent.
const TAKEN_HEADERS: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

fn check_headers(headers: &OwnHeaders) -> Result<(), CommandError> {
    let invalid = |what: String| Err(CommandError::InvalidSecret(what));
    if headers.len() > MOST_HEADERS {
        return invalid(format!("`headers` must be at most {MOST_HEADERS}."));
    }
    for (name, value) in headers {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let lower = name.to_ascii_lowercase();
        let is_taken = TAKEN_HEADERS.contains(&lower.as_str()) || lower.starts_with("dbforge-");
        let has_length = (1..=MOST_NAME_BYTES).contains(&name.len());
        if !has_length || !name.bytes().all(is_name) || is_taken {
            return invalid(format!("`headers` must not set `{}`.", name.escape_debug()));
        }
        let is_text = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        if value.len() > MOST_VALUE_BYTES || !value.bytes().all(is_text) {
            return invalid(format!(
                "the header `{name}` must be printable ASCII of at most {MOST_VALUE_BYTES} bytes."
            ));
        }
    }
    Ok(())
}

fn chosen(secret: &str) -> Result<Secret, CommandError> {
    if CHOSEN_SECRET.contains(&secret.len()) && secret.bytes().all(|it| it.is_ascii_graphic()) {
        return Ok(Secret::new(secret.to_owned()));
    }
    Err(CommandError::InvalidSecret(format!(
        "`secret` must be {} to {} printable ASCII characters, without spaces.",
        CHOSEN_SECRET.start(),
        CHOSEN_SECRET.end()
    )))
}

fn fresh_secret() -> Result<Secret, CommandError> {
    let mut random = [0_u8; SECRET_BYTES];
    getrandom::fill(&mut random).map_err(CommandError::internal)?;
    let secret = format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    Ok(Secret::new(secret))
}
