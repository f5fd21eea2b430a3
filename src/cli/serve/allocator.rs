//! What the allocator of a gateway is told, so that memory that nobody uses goes back.
#![expect(
    unsafe_code,
    reason = "the allocator's crate has no safe call for this; it says why it is sound"
)]
use std::convert::Infallible;
use std::time::Duration;

/// How often free memory is handed back: what was free for a second, by the allocator's own
/// measure, so that a busy gateway keeps what it is about to use again.
const PAUSE: Duration = Duration::from_secs(2);

/// The allocator asks for pages of 2 MiB, of which an idle gateway would keep twice the memory
/// that it uses (measured: 57 and 28 MiB).
pub(super) fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "the kernel keeps its huge pages");
    }
}

/// Hands back at once what starting took and nobody needs any more: a log of 10,000 databases
/// is read through buffers of 60 MiB.
pub(super) fn give_back_all() {
    collect(true);
}

/// Hands back, now and then, what has become free. The allocator would do so only while others
/// ask it for memory, so that a gateway at rest would keep what its last load took.
pub(super) async fn give_back() -> Infallible {
    loop {
        tokio::time::sleep(PAUSE).await;
        collect(false);
    }
}

fn collect(at_once: bool) {
    // SAFETY: it may be called at any time from any thread, and touches only what is free.
    unsafe { libmimalloc_sys::mi_collect(at_once) }
}
