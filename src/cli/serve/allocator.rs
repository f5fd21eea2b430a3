//! Settings of the allocator, so that free memory goes back to the system.
#![expect(
    unsafe_code,
    reason = "the allocator's crate has no safe call for this; it says why it is sound"
)]
use std::convert::Infallible;
use std::time::Duration;

/// How often free memory is returned. The allocator returns what was free for a second, so a busy
/// gateway keeps what it is about to use again.
const PAUSE: Duration = Duration::from_secs(2);

/// With pages of 2 MiB an idle gateway would keep twice the memory that it uses.
pub(super) fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "the kernel keeps its huge pages");
    }
}

/// Returns the memory that starting needed: a log of 10,000 databases is read through buffers of
/// 60 MiB.
pub(super) fn give_back_all() {
    collect(true);
}

/// Returns free memory from time to time. By itself the allocator does so only during other
/// allocations, so an idle gateway would keep the memory of its last load.
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
