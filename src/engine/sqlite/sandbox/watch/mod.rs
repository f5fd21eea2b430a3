//! Looks at a statement's execution limits from inside of one step of SQLite's machine.
//!
//! SQLite polls its progress handler between the steps of a program. One step may read a whole
//! table (`count(*)`), a long value or a full-text index, and nothing polls meanwhile. All of these
//! ask the page cache for pages, read files, or take memory for a long value, and all of it passes
//! here: a statement whose time is over ends in the middle of its step, with an error that SQLite
//! undoes like any other of the kind.
mod page_cache;

use super::execution_limits::{Interrupt, InterruptHandle};
use crate::clock::Stopwatch;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

pub(crate) use self::page_cache::install;

thread_local! {
    /// The limits of the statement that runs on this thread, while it has not been told to end.
    static WATCHED: RefCell<Option<Arc<InterruptHandle>>> = const { RefCell::new(None) };
    /// Pages that may be asked for before the limits are looked at.
    static PAGES_LEFT: Cell<u32> = const { Cell::new(u32::MAX) };
    /// The largest number of a page that was asked for since the statement began.
    static LARGEST_PAGE: Cell<u32> = const { Cell::new(0) };
    /// Why the statement was told to end.
    static TOLD: Cell<Option<Interrupt>> = const { Cell::new(None) };
}

/// Pages that a statement asks for between two looks at its limits: some 10 µs.
const PAGES_BETWEEN_LOOKS: u32 = 64;

/// While it lives, steps of this thread's statement end when its limits say so.
#[derive(Debug)]
pub(crate) struct Watch(());

impl Watch {
    pub(crate) fn under(limits: &Arc<InterruptHandle>) -> Self {
        WATCHED.set(Some(Arc::clone(limits)));
        PAGES_LEFT.set(PAGES_BETWEEN_LOOKS);
        LARGEST_PAGE.set(0);
        TOLD.set(None);
        Self(())
    }

    /// Why a step was told to end, if one was. Whatever came of it then does not count.
    pub(crate) fn told(&self) -> Option<Interrupt> {
        TOLD.get()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.set(None);
        PAGES_LEFT.set(u32::MAX);
    }
}

/// A file is being read.
#[derive(Debug)]
pub(crate) struct Reading {
    since: Option<Stopwatch>,
}

impl Reading {
    /// `None` where the file is not read because the statement has to end.
    pub(crate) fn begin() -> Option<Self> {
        if ends() {
            return None;
        }
        let counts = with_limits(InterruptHandle::counts_waits).unwrap_or(false);
        Some(Self {
            since: counts.then(Stopwatch::start),
        })
    }

    pub(crate) fn end(self) {
        if let Some(since) = self.since {
            with_limits(|limits| limits.has_waited(since.elapsed()));
        }
    }
}

/// A page is asked for, and made where it is not there yet.
fn note_page(number: u32) {
    if number > LARGEST_PAGE.get() {
        LARGEST_PAGE.set(number);
    }
}

/// The largest number of a page that the last statement on this thread asked for: one more than the
/// file may have, where its size limit was in the way.
pub(crate) fn largest_page() -> u32 {
    LARGEST_PAGE.get()
}

/// Whether the page cache gives no page because the statement has to end.
fn ends_before_page() -> bool {
    let left = PAGES_LEFT.get() - 1;
    PAGES_LEFT.set(left);
    if left > 0 {
        return false;
    }
    PAGES_LEFT.set(PAGES_BETWEEN_LOOKS);
    ends()
}

/// Whether the statement on this thread has to end. It is told once: what undoing it needs is read,
/// and found in the cache.
pub(crate) fn ends() -> bool {
    let cut = with_limits(InterruptHandle::poll).flatten();
    if cut.is_some() {
        WATCHED.set(None);
        TOLD.set(cut);
    }
    cut.is_some()
}

/// Asks the limits of this thread's statement. A thread that ends has none any more.
fn with_limits<T>(ask: impl FnOnce(&InterruptHandle) -> T) -> Option<T> {
    let ask =
        |watched: &RefCell<Option<Arc<InterruptHandle>>>| watched.borrow().as_deref().map(ask);
    WATCHED.try_with(ask).ok().flatten()
}
