//! What a decision depends on besides the state: time, ids, limits.
use crate::clock::{Clock, IdSource};
use crate::domain::command::DecisionContext;
use std::time::Duration;

/// Limits that decisions respect.
#[derive(Debug, Clone, Copy)]
pub struct ControlConfig {
    /// How long the trash keeps a database.
    pub trash_retention: Duration,
    /// Most jobs that may be unfinished at once.
    pub queue_bound: usize,
}

/// The time and ids for a decision made now.
pub(super) fn context(
    clock: &dyn Clock,
    ids: &dyn IdSource,
    config: ControlConfig,
) -> DecisionContext {
    DecisionContext {
        now: clock.now(),
        fresh: [ids.fresh(), ids.fresh()],
        jitter_permille: ids.jitter_permille(),
        trash_retention: config.trash_retention,
        queue_bound: config.queue_bound,
    }
}
