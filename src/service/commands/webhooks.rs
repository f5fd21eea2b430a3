//! Webhooks: created, changed, tested, deleted.
use super::{CommandError, CommandRequest};
use crate::config::Secret;
use crate::control::{Accepted, CurrentState};
use crate::domain::command::Command;
use crate::domain::command::refusal::Refusal;
use crate::domain::ids::WebhookId;
use crate::domain::state::State;
use crate::domain::webhook::{Webhook, WebhookPlan};
use crate::jobs::webhooks::Delivery;
use crate::service::Service;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::net::IpAddr;
use std::sync::Arc;
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
    ) -> Result<CreatedWebhook, CommandError> {
        request.caller.require_admin()?;
        self.check_target(&plan.url)?;
        let secret = secret.map_or_else(fresh_secret, chosen)?;
        let webhook = WebhookId(self.control.ids().fresh());
        // Before the event: a webhook that is there can always sign.
        self.keep_secret(webhook, &secret).await?;
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
    ) -> Result<(Arc<Webhook>, Accepted, Arc<CurrentState>), CommandError> {
        let command = |webhook: &Webhook| {
            let plan = change(webhook.plan.clone());
            self.check_target(&plan.url)?;
            let webhook = webhook.id;
            Ok(Command::ChangeWebhook { webhook, plan })
        };
        self.act_on_webhook(request, id, command).await
    }

    /// Lets a webhook that was disabled go on, with what came in between.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn enable_webhook(
        &self,
        request: &CommandRequest,
        id: &str,
    ) -> Result<(Arc<Webhook>, Accepted, Arc<CurrentState>), CommandError> {
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
