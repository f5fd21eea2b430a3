//! The findings of the reconciler's last pass: differences between the forge and its log.
use super::reconciler::{Finding, ReconcilePlan, Waiting};
use crate::clock::timestamp::Timestamp;
use crate::domain::ids::DatabaseId;
use crate::locks::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// One pass of the reconciler.
#[derive(Debug, Clone, Default)]
pub struct ReconcilerPass {
    /// When it ran; none before the first pass.
    pub at: Option<Timestamp>,
    /// Why it could not inspect or change anything.
    pub trouble: Option<String>,
    pub plan: ReconcilePlan,
}

/// The last pass, and the operator's approval of the next one.
#[derive(Debug, Default)]
pub struct Drift {
    last: RwLock<Arc<ReconcilerPass>>,
    allowed_once: AtomicBool,
    look: Notify,
}

impl Drift {
    /// The last pass.
    #[must_use]
    pub fn last(&self) -> Arc<ReconcilerPass> {
        self.last.read().clone()
    }

    pub(super) fn note(&self, pass: ReconcilerPass) {
        *self.last.write() = Arc::new(pass);
    }

    /// Approves the next pass without the disruption limit, and requests it.
    pub fn allow_once(&self) {
        self.allowed_once.store(true, Ordering::SeqCst);
        self.look.notify_one();
    }

    pub(super) fn take_allowance(&self) -> bool {
        self.allowed_once.swap(false, Ordering::SeqCst)
    }

    /// Requests a pass.
    pub fn look_again(&self) {
        self.look.notify_one();
    }

    pub(super) async fn asked(&self) {
        self.look.notified().await;
    }
}

impl ReconcilerPass {
    /// Whether the disruption limit stopped something.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        !self.plan.halted.is_empty()
    }

    /// Whether the database's file was missing.
    #[must_use]
    pub fn misses_file_of(&self, id: DatabaseId) -> bool {
        let is_it =
            |it: &Finding| matches!(it, Finding::DataMissing { database, .. } if *database == id);
        self.plan.findings.iter().any(is_it)
    }

    /// All differences, with what is done about them and when.
    pub fn all(&self) -> impl Iterator<Item = (&Finding, Standing)> {
        let now = self
            .plan
            .findings
            .iter()
            .map(|finding| (finding, Standing::Now));
        let later = self
            .plan
            .waiting
            .iter()
            .map(|Waiting { finding, due_at }| (finding, Standing::Waits(*due_at)));
        let halted = self
            .plan
            .halted
            .iter()
            .map(|halted| (halted, Standing::Halted));
        now.chain(later).chain(halted)
    }
}

/// The status of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was handled or reported in this pass.
    Now,
    /// It waits until then, or for the next pass.
    Waits(Option<Timestamp>),
    /// The disruption limit stopped it.
    Halted,
}
