//! Webhooks: receivers are told of events, each in order, at least once.
//!
//! A webhook reads the log on from its own cursor, as a stream's reader does; the cursor lies in
//! a file and moves behind an event only once the receiver has taken it.
mod follower;
mod message;
mod sender;
mod store;

pub use store::Delivery;

use self::message::Message;
use self::sender::Headers;
use self::store::{Progress, Store};
use crate::clock::timestamp::Timestamp;
use crate::config::{Secret, Targets};
use crate::control::ControlPlane;
use crate::domain::ids::WebhookId;
use crate::domain::webhook::Webhook;
use crate::projections::control_db::ControlDb;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Messages on their way at once: each takes a thread for as long as its receiver thinks.
const SENT_AT_ONCE: usize = 32;

/// Bounds of webhooks.
#[derive(Debug, Clone, Copy)]
pub struct WebhookConfig {
    /// Where they may go.
    pub targets: Targets,
    /// How long one try may take in all.
    pub timeout: Duration,
    /// Failures in a row that disable one.
    pub max_failures: u32,
    /// The pause behind the first failure; each further one doubles it.
    pub first_pause: Duration,
    /// No pause is longer.
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

/// Tells receivers of events.
pub struct Webhooks {
    control: Arc<ControlPlane>,
    control_db: Arc<ControlDb>,
    config: WebhookConfig,
    store: Store,
    agent: ureq::Agent,
    room: Semaphore,
    /// How far each was told; read from its file at its first use.
    progress: Mutex<HashMap<WebhookId, Progress>>,
}

impl Webhooks {
    /// Keeps secrets and cursors in `folder`; removes those of webhooks that are no more.
    #[must_use]
    pub fn new(
        control: Arc<ControlPlane>,
        control_db: Arc<ControlDb>,
        folder: PathBuf,
        config: WebhookConfig,
    ) -> Self {
        let store = Store::at(folder);
        let present = control.present();
        for id in store.ids() {
            if present.state.webhook(id).is_none() {
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
        }
    }

    /// Tells every webhook that is not disabled, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut followers = JoinSet::new();
        let mut followed = HashMap::new();
        let mut changes = self.control.changes();
        loop {
            let present = changes.borrow_and_update().clone();
            for webhook in present.state.webhooks().filter(|it| it.disabled.is_none()) {
                if !followed.values().any(|it| *it == webhook.id) {
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

    /// Whether a host that is an address may be told.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        self.config.targets.allow(address)
    }

    /// Keeps the secret of a webhook, which may be about to be made.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_secret(&self, id: WebhookId, secret: &Secret) -> io::Result<()> {
        self.store.keep_secret(id, secret)
    }

    /// Removes what is kept of a webhook that is no more.
    pub fn forget(&self, id: WebhookId) {
        self.known_progress().remove(&id);
        self.store.forget(id);
    }

    /// The latest tries, oldest first.
    #[must_use]
    pub fn deliveries(&self, webhook: &Webhook) -> Vec<Delivery> {
        self.with_progress(webhook, |it| it.deliveries.iter().cloned().collect())
    }

    /// Tries a receiver once with a message of its own, beside the events.
    ///
    /// # Errors
    /// When the gateway itself cannot send.
    pub async fn test(self: &Arc<Self>, webhook: &Webhook) -> io::Result<Delivery> {
        let now = self.control.clock().now();
        let instance = self.control.present().state.instance;
        let id = self.control.ids().fresh().to_string();
        let message = Message::test(webhook.id, instance, &id, now)?;
        let delivery = self.send(webhook, &message, 1).await?;
        self.with_progress(webhook, |it| it.remember(delivery.clone()));
        Ok(delivery)
    }

    /// Sends a message once.
    async fn send(
        &self,
        webhook: &Webhook,
        message: &Message,
        attempt: u32,
    ) -> io::Result<Delivery> {
        let _room = self.room.acquire().await.map_err(io::Error::other)?;
        let at = self.control.clock().now();
        let secret = self.store.secret(webhook.id)?;
        let headers = Headers {
            delivery: message.delivery.clone(),
            signature: message.signature(&secret, at),
        };
        let (agent, url, body) = (
            self.agent.clone(),
            webhook.plan.url.clone(),
            message.body.clone(),
        );
        let sent =
            tokio::task::spawn_blocking(move || sender::send(&agent, &url, &headers, &body)).await;
        let outcome = sent.map_err(io::Error::other)?;
        Ok(delivery(message, attempt, at, outcome))
    }

    fn known_progress(&self) -> std::sync::MutexGuard<'_, HashMap<WebhookId, Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
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
