//! Webhooks: deliver events to receivers, in order, at least once.
//!
//! A webhook reads events through `control.db` from its own cursor on, as an event stream does. The
//! cursor is stored in a file and advances only when the receiver has accepted an event.
mod follower;
mod message;
mod sender;
mod store;

pub use store::{Delivery, OwnHeaders};

use self::message::Message;
use self::sender::Headers;
use self::store::{Progress, Store};
use crate::clock::timestamp::Timestamp;
use crate::config::{Secret, Targets};
use crate::control::ControlPlane;
use crate::domain::ids::{Sequence, WebhookId};
use crate::domain::webhook::Webhook;
use crate::locks::Mutex;
use crate::projections::control_db::{ControlDb, EventFilter, PageRequest};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Concurrent deliveries: each uses a thread until its receiver answers.
const SENT_AT_ONCE: usize = 32;

/// Settings of webhooks.
#[derive(Debug, Clone, Copy)]
pub struct WebhookConfig {
    /// The networks that they may reach.
    pub targets: Targets,
    /// Time limit of one attempt.
    pub timeout: Duration,
    /// Failures in a row that disable one.
    pub max_failures: u32,
    /// The pause after the first failure; each further one doubles it.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            targets: Targets::default(),
            timeout: Duration::from_secs(10),
            max_failures: 20,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(900),
        }
    }
}

/// Delivers events to receivers.
pub struct Webhooks {
    control: Arc<ControlPlane>,
    control_db: Arc<ControlDb>,
    config: WebhookConfig,
    store: Store,
    agent: ureq::Agent,
    room: Semaphore,
    /// The progress of each webhook; read from its file at first use.
    progress: Mutex<HashMap<WebhookId, Progress>>,
    /// Attempts by their place in [`OUTCOMES`].
    attempts: [AtomicU64; OUTCOMES.len()],
    /// Notified when a cursor was moved by hand.
    moved: Notify,
}

/// How an attempt ends: with a status from 200 to 299, with another one, without one.
const OUTCOMES: [&str; 3] = ["accepted", "refused", "failed"];

impl Webhooks {
    /// Stores secrets and cursors in `folder`; removes those of deleted webhooks.
    #[must_use]
    pub fn new(
        control: Arc<ControlPlane>,
        control_db: Arc<ControlDb>,
        folder: PathBuf,
        config: WebhookConfig,
    ) -> Self {
        let store = Store::at(folder);
        let current = control.current();
        for id in store.ids() {
            if current.state.webhook(id).is_none() {
                store.forget(id);
            }
        }
        Self {
            agent: sender::agent(config.targets, config.timeout),
            control,
            control_db,
            config,
            store,
            room: Semaphore::new(SENT_AT_ONCE),
            progress: Mutex::default(),
            attempts: Default::default(),
            moved: Notify::new(),
        }
    }

    /// Delivers to all enabled webhooks, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut followers = JoinSet::new();
        let mut followed = HashMap::new();
        let mut changes = self.control.changes();
        loop {
            let current = changes.borrow_and_update().clone();
            for webhook in current
                .state
                .webhooks()
                .filter(|webhook| webhook.disabled.is_none())
            {
                if !followed.values().any(|id| *id == webhook.id) {
                    let task = self.clone().follow(webhook.id, stop.clone());
                    followed.insert(followers.spawn(task).id(), webhook.id);
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                changed = changes.changed() => if changed.is_err() { break },
                Some(ended) = followers.join_next_with_id() => match ended {
                    Ok((task, ())) => drop(followed.remove(&task)),
                    Err(error) => {
                        tracing::error!(%error, "a webhook's delivery task failed");
                        followed.remove(&error.id());
                    }
                },
            }
        }
        while followers.join_next().await.is_some() {}
    }

    /// Whether a host that is an address may be a receiver.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        self.config.targets.allow(address)
    }

    /// Stores the secret of a webhook, which may not exist yet.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_secret(&self, id: WebhookId, secret: &Secret) -> io::Result<()> {
        self.store.keep_secret(id, secret)
    }

    /// Replaces the secret of a webhook; the one before signs, too, until `until`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn replace_secret(
        &self,
        id: WebhookId,
        secret: &Secret,
        until: Timestamp,
    ) -> io::Result<()> {
        self.store.replace_secret(id, secret, until)
    }

    /// Stores the headers that a receiver wants.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep_headers(&self, id: WebhookId, headers: &OwnHeaders) -> io::Result<()> {
        self.store.keep_headers(id, headers)
    }

    /// The names of the headers that a receiver wants; their values may be secrets.
    #[must_use]
    pub fn header_names(&self, id: WebhookId) -> Vec<String> {
        let headers = self.store.headers(id).unwrap_or_default();
        headers.into_keys().collect()
    }

    /// Leaves out the events up to this one, also one that is being tried.
    ///
    /// # Errors
    /// When the new place cannot be written.
    pub fn skip(&self, webhook: &Webhook, to: Sequence) -> io::Result<()> {
        let progress = self.with_progress(webhook, |progress| {
            progress.cursor = progress.cursor.max(to);
            progress.failures = 0;
            progress.clone()
        });
        self.store.keep_progress(webhook.id, &progress)?;
        self.moved.notify_waiters();
        Ok(())
    }

    /// Sends one event once more; none when there is no such event.
    ///
    /// # Errors
    /// When the gateway itself cannot read or send it.
    pub async fn resend(
        &self,
        webhook: &Webhook,
        sequence: Sequence,
    ) -> io::Result<Option<Delivery>> {
        let filter = EventFilter {
            after: Some(Sequence(sequence.0.saturating_sub(1))),
            ..EventFilter::default()
        };
        let one = PageRequest {
            limit: 1,
            cursor: None,
        };
        let page = self.control_db.list_events(filter, one).await;
        let page = page.map_err(io::Error::other)?;
        let Some(event) = page.items.first().filter(|it| it.sequence == sequence) else {
            return Ok(None);
        };
        let name = match event.database {
            Some(database) => self.control_db.past_name(database).await,
            None => Ok(None),
        };
        let name = name.map_err(io::Error::other)?;
        let instance = self.control.current().state.instance;
        let message = Message::of_event(webhook.id, instance, event, name.as_deref())?;
        let (delivery, _) = self.send(webhook, &message, 1).await?;
        self.with_progress(webhook, |progress| progress.remember(delivery.clone()));
        Ok(Some(delivery))
    }

    /// Removes the files of a deleted webhook.
    pub fn forget(&self, id: WebhookId) {
        self.known_progress().remove(&id);
        self.store.forget(id);
    }

    /// How often an attempt ended in which way, since the start.
    #[must_use]
    pub fn deliveries_by_outcome(&self) -> [(&'static str, u64); OUTCOMES.len()] {
        std::array::from_fn(|at| (OUTCOMES[at], self.attempts[at].load(Ordering::Relaxed)))
    }

    /// The last event that a receiver has accepted, or that was not for it; and when an event that
    /// failed is tried again.
    #[must_use]
    pub fn place(&self, webhook: &Webhook) -> (Sequence, Option<Timestamp>) {
        self.with_progress(webhook, |progress| (progress.cursor, progress.retry_at))
    }

    /// The latest attempts, oldest first.
    #[must_use]
    pub fn deliveries(&self, webhook: &Webhook) -> Vec<Delivery> {
        self.with_progress(webhook, |progress| {
            progress.deliveries.iter().cloned().collect()
        })
    }

    /// Sends a test message once.
    ///
    /// # Errors
    /// When the gateway itself cannot send.
    pub async fn test(self: &Arc<Self>, webhook: &Webhook) -> io::Result<Delivery> {
        let now = self.control.clock().now();
        let instance = self.control.current().state.instance;
        let id = self.control.ids().fresh().to_string();
        let message = Message::test(webhook.id, instance, &id, now)?;
        let (delivery, _) = self.send(webhook, &message, 1).await?;
        self.with_progress(webhook, |progress| progress.remember(delivery.clone()));
        Ok(delivery)
    }

    /// Sends a message once; also how long the receiver wants to be left alone.
    async fn send(
        &self,
        webhook: &Webhook,
        message: &Message,
        attempt: u32,
    ) -> io::Result<(Delivery, Option<Duration>)> {
        let _room = self.room.acquire().await.map_err(io::Error::other)?;
        let at = self.control.clock().now();
        let secrets = self.store.secrets(webhook.id, at)?;
        let headers = Headers {
            delivery: message.delivery.clone(),
            signature: message.signature(&secrets, at),
            own: self.store.headers(webhook.id)?,
        };
        let (agent, url, body) = (
            self.agent.clone(),
            webhook.plan.url.clone(),
            message.body.clone(),
        );
        let sent =
            tokio::task::spawn_blocking(move || sender::send(&agent, &url, &headers, &body, at))
                .await;
        let outcome = sent.map_err(io::Error::other)?;
        let place = match outcome.status {
            Some(200..=299) => 0,
            Some(_) => 1,
            None => 2,
        };
        self.attempts[place].fetch_add(1, Ordering::Relaxed);
        let retry_after = outcome.retry_after;
        Ok((delivery(message, attempt, at, outcome), retry_after))
    }

    fn known_progress(&self) -> std::sync::MutexGuard<'_, HashMap<WebhookId, Progress>> {
        self.progress.lock()
    }

    fn with_progress<T>(&self, webhook: &Webhook, look: impl FnOnce(&mut Progress) -> T) -> T {
        let mut known = self.known_progress();
        let progress = known.entry(webhook.id).or_insert_with(|| {
            let kept = self.store.progress(webhook.id).unwrap_or_default();
            Progress {
                cursor: kept.cursor.max(webhook.since),
                ..kept
            }
        });
        look(progress)
    }
}

fn delivery(message: &Message, attempt: u32, at: Timestamp, outcome: sender::Outcome) -> Delivery {
    Delivery {
        sequence: message.sequence,
        kind: message.kind.clone(),
        attempt,
        at,
        duration_ms: u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
        status: outcome.status,
        error: outcome.error,
    }
}
