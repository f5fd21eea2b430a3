//! What the follower is told by the writer, the readers and the one who closes it.
use crate::domain::event::recorded::RecordedEvent;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// Publications that wait: some hundred milliseconds of the writer's fastest work.
pub(super) const INBOX: usize = 256;

/// What the follower is told.
pub(super) enum Message {
    /// These were appended.
    Published(Arc<[RecordedEvent]>),
    /// A reader found the file damaged.
    Damaged {
        /// Which file it was.
        generation: u64,
        /// What was found.
        reason: String,
    },
    /// Look at the wishes.
    Wake,
}

/// What others want of the follower, besides messages.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// The last sequence that was published.
    pub(super) published: AtomicU64,
    /// Whether it is to end.
    pub(super) close: AtomicBool,
}
