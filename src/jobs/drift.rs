//! What the reconciler last saw: how the forge differs from what its log says.
use super::reconciler::{Finding, Plan, Waiting};
use crate::clock::timestamp::Timestamp;
use crate::domain::ids::DatabaseId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Notify;

/// One pass of the reconciler.
#[derive(Debug, Clone, Default)]
pub struct Pass {
    /// When it looked; none before the first time.
    pub at: Option<Timestamp>,
    /// Why it saw nothing, or may do nothing.
    pub trouble: Option<String>,
    /// What it asked for.
    pub plan: Plan,
}

/// The last pass, and a person's word to the next one.
#[derive(Debug, Default)]
pub struct Drift {
    last: RwLock<Arc<Pass>>,
    allowed_once: AtomicBool,
    look: Notify,
}

impl Drift {
    /// The last pass.
    #[must_use]
    pub fn last(&self) -> Arc<Pass> {
        self.last
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn note(&self, pass: Pass) {
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pass);
    }

    /// Lets the next pass act however much there is to do, and asks for it.
    pub fn allow_once(&self) {
        self.allowed_once.store(true, Ordering::SeqCst);
        self.look.notify_one();
    }

    pub(super) fn take_allowance(&self) -> bool {
        self.allowed_once.swap(false, Ordering::SeqCst)
    }

    /// Asks for a pass soon.
    pub fn look_again(&self) {
        self.look.notify_one();
    }

    pub(super) async fn asked(&self) {
        self.look.notified().await;
    }
}

impl Pass {
    /// Whether the fuse held something back.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        !self.plan.halted.is_empty()
    }

    /// Whether the database's file was not in its place.
    #[must_use]
    pub fn misses_file_of(&self, id: DatabaseId) -> bool {
        let is_it =
            |it: &Finding| matches!(it, Finding::DataMissing { database, .. } if *database == id);
        self.plan.findings.iter().any(is_it)
    }

    /// Everything that differs, with what is done about it and when.
    pub fn all(&self) -> impl Iterator<Item = (&Finding, Standing)> {
        let now = self.plan.findings.iter().map(|it| (it, Standing::Now));
        let later = self
            .plan
            .waiting
            .iter()
            .map(|Waiting { finding, due_at }| (finding, Standing::Waits(*due_at)));
        let halted = self.plan.halted.iter().map(|it| (it, Standing::Halted));
        now.chain(later).chain(halted)
    }
}

/// How a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is done or told in this pass.
    Now,
    /// It waits until then, or for the next look.
    Waits(Option<Timestamp>),
    /// The fuse holds it back.
    Halted,
}
