//! Delivers events to one webhook: in order from its cursor, each until it is accepted.
use super::message::Message;
use super::store::Progress;
use super::{WebhookConfig, Webhooks};
use crate::clock::Deadline;
use crate::control::{CurrentState, Submission};
use crate::domain::command::Command;
use crate::domain::ids::{Actor, DatabaseId, Sequence, WebhookId};
use crate::domain::webhook::Webhook;
use crate::projections::control_db::{Behind, EventFilter, ListError, PageRequest, ShownEvent};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Events read at a time.
const CHUNK: usize = 100;
/// How long a read waits for the read model to catch up.
const READ_MODEL_WAIT: Duration = Duration::from_secs(5);
/// The pause after a failed read, for example while the read model is being rebuilt.
const READ_PAUSE: Duration = Duration::from_secs(1);
/// The shortest time between two saves of a cursor. Events accepted since the last save are sent
/// again after a crash.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// The longest pause that a receiver may ask for: longer ones would look like a webhook that died.
const LONGEST_WANTED_PAUSE: Duration = Duration::from_secs(24 * 3600);
/// The status of a receiver that will never want anything again.
const GONE: u16 = 410;
/// Size of the cache of database names.
const REMEMBERED: usize = 10_000;

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Behind(#[from] Behind),
    #[error(transparent)]
    Unread(#[from] ListError),
    #[error("cannot encode an event as JSON: {0}")]
    Unshown(#[from] serde_json::Error),
}

/// The delivery task of one webhook.
struct Follower {
    hooks: Arc<Webhooks>,
    id: WebhookId,
    stop: CancellationToken,
    changes: watch::Receiver<Arc<CurrentState>>,
    names: HashMap<DatabaseId, Option<String>>,
    save_at: Deadline,
    is_saved: bool,
}

impl Webhooks {
    /// Delivers events until `stop`, or until the webhook is disabled or deleted.
    pub(super) async fn follow(self: Arc<Self>, id: WebhookId, stop: CancellationToken) {
        let changes = self.control.changes();
        let mut follower = Follower {
            hooks: self,
            id,
            stop,
            changes,
            names: HashMap::new(),
            save_at: Deadline::after(SAVE_EVERY),
            is_saved: true,
        };
        follower.run().await;
        follower.save().await;
    }
}

impl Follower {
    async fn run(&mut self) {
        while let Some(webhook) = self.webhook() {
            let head = self.changes.borrow_and_update().head.sequence;
            let cursor = self.hooks.with_progress(&webhook, |it| it.cursor);
            if cursor < head {
                if let Err(error) = self.tell(&webhook, cursor, head).await {
                    tracing::warn!(webhook.id = %self.id, %error, "webhook {} cannot read events; retrying", self.id);
                    self.pause(READ_PAUSE, Sequence(u64::MAX)).await;
                }
                continue;
            }
            self.save().await;
            tokio::select! {
                () = self.stop.cancelled() => return,
                changed = self.changes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// The webhook's current settings; none when it is disabled or deleted.
    fn webhook(&self) -> Option<Arc<Webhook>> {
        if self.stop.is_cancelled() {
            return None;
        }
        let current = self.hooks.control.current();
        let webhook = current.state.webhook(self.id)?;
        webhook.disabled.is_none().then(|| webhook.clone())
    }

    /// Delivers the next events, in order.
    async fn tell(
        &mut self,
        webhook: &Webhook,
        cursor: Sequence,
        head: Sequence,
    ) -> Result<(), LookError> {
        let hooks = self.hooks.clone();
        let in_time = Deadline::after(READ_MODEL_WAIT);
        hooks.control_db.wait_for(head, in_time).await?;
        let filter = EventFilter {
            after: Some(cursor),
            ..EventFilter::default()
        };
        let chunk = PageRequest {
            limit: CHUNK,
            cursor: None,
        };
        let page = hooks.control_db.list_events(filter, chunk).await?;
        for event in &page.items {
            let name = self.name_of(event).await?;
            if !self.deliver(event, name.as_deref()).await? {
                return Ok(());
            }
            self.advance(webhook, event.sequence).await;
        }
        Ok(())
    }

    /// Sends an event until it is accepted; `false` when the webhook was disabled or deleted.
    async fn deliver(&mut self, event: &ShownEvent, name: Option<&str>) -> Result<bool, LookError> {
        let hooks = self.hooks.clone();
        // Read before every attempt, because it may have changed.
        while let Some(webhook) = self.webhook() {
            let is_skipped =
                hooks.with_progress(&webhook, |progress| progress.cursor >= event.sequence);
            if is_skipped || !webhook.plan.wants(event.kind, name) {
                return Ok(true);
            }
            let instance = hooks.control.current().state.instance;
            let message = Message::of_event(self.id, instance, event, name)?;
            let attempt =
                hooks.with_progress(&webhook, |progress| progress.failures.saturating_add(1));
            let sent = tokio::select! {
                () = self.stop.cancelled() => return Ok(false),
                sent = hooks.send(&webhook, &message, attempt) => sent,
            };
            self.is_saved = false;
            let (error, status, retry_after) = match sent {
                Ok((delivery, retry_after)) => {
                    let (error, status) = (delivery.error.clone(), delivery.status);
                    hooks.with_progress(&webhook, |progress| progress.remember(delivery));
                    (error, status, retry_after)
                }
                Err(error) => (Some(format!("cannot sign or send it: {error}")), None, None),
            };
            let Some(error) = error else {
                hooks.with_progress(&webhook, |progress| progress.failures = 0);
                return Ok(true);
            };
            hooks.with_progress(&webhook, |progress| progress.failures = attempt);
            let reason = match status {
                Some(GONE) => Some("the receiver answered 410 Gone".to_owned()),
                _ if attempt >= hooks.config.max_failures => {
                    Some(format!("{attempt} failures in a row; last error: {error}"))
                }
                _ => None,
            };
            if let Some(reason) = reason
                && self.disable(&webhook, reason).await
            {
                return Ok(false);
            }
            self.save().await;
            let jitter = hooks.control.ids().jitter_permille();
            let wanted = retry_after.unwrap_or_default().min(LONGEST_WANTED_PAUSE);
            let pause = back_off(hooks.config, attempt, jitter).max(wanted);
            let retry_at = hooks.control.clock().now().after(pause);
            hooks.with_progress(&webhook, |progress| progress.retry_at = Some(retry_at));
            self.pause(pause, event.sequence).await;
            hooks.with_progress(&webhook, |progress| progress.retry_at = None);
        }
        Ok(false)
    }

    /// Waits; ends early when the webhook is changed, `event` is skipped or the gateway stops.
    async fn pause(&mut self, pause: Duration, event: Sequence) {
        let deadline = Deadline::after(pause);
        let hooks = self.hooks.clone();
        let sequence = self.webhook().map(|it| it.sequence);
        while let Some(webhook) = self.webhook()
            && Some(webhook.sequence) == sequence
        {
            let moved = hooks.moved.notified();
            if hooks.with_progress(&webhook, |progress| progress.cursor >= event) {
                return;
            }
            tokio::select! {
                () = moved => {}
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep_until(deadline.instant()) => return,
                changed = self.changes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Disables the webhook; returns whether that succeeded.
    async fn disable(&self, webhook: &Webhook, reason: String) -> bool {
        let control = &self.hooks.control;
        let command = Command::DisableWebhook {
            webhook: self.id,
            reason,
        };
        let request = control.fresh_request();
        let submission = Submission::new(command, Actor::named("webhooks"), request);
        match control.submit(submission).await {
            Ok(_) => {
                self.hooks
                    .with_progress(webhook, |progress| progress.failures = 0);
                true
            }
            Err(error) => {
                tracing::warn!(webhook.id = %self.id, %error, "failed to disable webhook {}", self.id);
                false
            }
        }
    }

    async fn advance(&mut self, webhook: &Webhook, to: Sequence) {
        self.hooks.with_progress(webhook, |progress| {
            progress.cursor = progress.cursor.max(to)
        });
        self.is_saved = false;
        if self.save_at.has_passed() {
            self.save().await;
        }
    }

    /// Saves the cursor; leaves no file for a deleted webhook.
    async fn save(&mut self) {
        let hooks = self.hooks.clone();
        let Some(webhook) = hooks.control.current().state.webhook(self.id).cloned() else {
            return;
        };
        if self.is_saved {
            return;
        }
        self.save_at = Deadline::after(SAVE_EVERY);
        let write = move || {
            let progress: Progress = hooks.with_progress(&webhook, |it| it.clone());
            let kept = hooks.store.keep_progress(webhook.id, &progress);
            // The webhook was deleted during the save, after its files were removed.
            if hooks.control.current().state.webhook(webhook.id).is_none() {
                hooks.forget(webhook.id);
            }
            kept
        };
        match tokio::task::spawn_blocking(write).await {
            Ok(Ok(())) => self.is_saved = true,
            Ok(Err(error)) => {
                tracing::warn!(webhook.id = %self.id, %error, "failed to save the position of webhook {}", self.id);
            }
            Err(error) => tracing::error!(%error, "saving a webhook's position panicked"),
        }
    }

    async fn name_of(&mut self, event: &ShownEvent) -> Result<Option<String>, ListError> {
        let Some(database) = event.database else {
            return Ok(None);
        };
        if let Some(name) = self.names.get(&database) {
            return Ok(name.clone());
        }
        let name = self.hooks.control_db.past_name(database).await?;
        if self.names.len() >= REMEMBERED {
            self.names.clear();
        }
        self.names.insert(database, name.clone());
        Ok(name)
    }
}

/// Doubles with every failure up to a limit, with jitter, so that receivers that failed together
/// are not retried together.
fn back_off(config: WebhookConfig, failures: u32, jitter_permille: u16) -> Duration {
    let doublings = failures.saturating_sub(1).min(30);
    let full = config.first_pause.saturating_mul(1 << doublings);
    let full = full.min(config.longest_pause);
    full / 2 + full.mul_f64(f64::from(jitter_permille) / 2000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let config = WebhookConfig::default();
        let seconds = |failures| back_off(config, failures, 1000).as_secs();
        assert_eq!([seconds(1), seconds(2), seconds(5)], [1, 2, 16]);
        assert_eq!([seconds(11), seconds(u32::MAX)], [900, 900]);
        assert_eq!(back_off(config, 1, 0), Duration::from_millis(500));
    }
}
