//! Webhooks: receivers of events.
use super::event::Event;
use super::event::recorded::RecordedEvent;
use super::ids::{Sequence, WebhookId};
use super::token::pattern_matches;
use crate::clock::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// Where events go, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookPlan {
    /// Where they are posted to.
    pub url: String,
    /// Events of these kinds; of every kind where none is named.
    pub kinds: Vec<String>,
    /// Events about databases with these names or patterns; `*` takes in those about none.
    pub databases: Vec<String>,
}

impl WebhookPlan {
    /// Whether an event of this kind about a database of this name is for it.
    #[must_use]
    pub fn wants(&self, kind: &str, database: Option<&str>) -> bool {
        let of_kind = self.kinds.is_empty() || self.kinds.iter().any(|it| it == kind);
        let about = |pattern: &String| match database {
            Some(name) => pattern_matches(pattern, name),
            None => pattern == "*",
        };
        of_kind && self.databases.iter().any(about)
    }
}

/// A webhook as its events tell it. The log never holds its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its permanent id.
    pub id: WebhookId,
    /// Where events go, and which.
    pub plan: WebhookPlan,
    /// Why it is disabled: it failed too often, or was disabled by request.
    pub disabled: Option<String>,
    /// The event that made it: it is told of what came later.
    pub since: Sequence,
    pub created_at: Timestamp,
    /// The last event that changed it.
    pub sequence: Sequence,
}

impl Webhook {
    /// The webhook that an event begins, where it begins one.
    #[must_use]
    pub fn begun_by(recorded: &RecordedEvent) -> Option<Self> {
        let Event::WebhookCreated(it) = &recorded.event else {
            return None;
        };
        Some(Self {
            id: it.webhook,
            plan: it.plan.clone(),
            disabled: None,
            since: recorded.sequence,
            created_at: recorded.commit.time,
            sequence: recorded.sequence,
        })
    }

    /// Follows one of its own events.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "other events do not change a webhook"
    )]
    pub fn evolve(&mut self, recorded: &RecordedEvent) {
        self.sequence = recorded.sequence;
        match &recorded.event {
            Event::WebhookChanged(it) => self.plan = it.plan.clone(),
            Event::WebhookDisabled(it) => self.disabled = Some(it.reason.clone()),
            Event::WebhookEnabled(_) => self.disabled = None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_wants_what_its_plan_names() {
        let plan = |kinds: &[&str], databases: &[&str]| WebhookPlan {
            url: "http://localhost/".into(),
            kinds: kinds.iter().map(ToString::to_string).collect(),
            databases: databases.iter().map(ToString::to_string).collect(),
        };
        assert!(plan(&[], &["*"]).wants("token_issued", None));
        assert!(!plan(&[], &["pr-*"]).wants("token_issued", None));
        assert!(plan(&["job_failed"], &["pr-*"]).wants("job_failed", Some("pr-1")));
        assert!(!plan(&["job_failed"], &["pr-*"]).wants("job_failed", Some("shop")));
        assert!(!plan(&["job_failed"], &["*"]).wants("job_started", Some("shop")));
    }
}
