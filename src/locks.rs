//! Locks that a panic does not close.
//!
//! The standard library's locks refuse all callers once a thread has panicked while it held one. What
//! is guarded in this program is whole between two statements, so that the next thread goes on.
//! (`parking_lot` has such locks; sled brings an older version of it, and two of one crate are more
//! than these lines.)
use std::sync::{MutexGuard, PoisonError, RwLockReadGuard, RwLockWriteGuard};

/// As [`std::sync::Mutex`].
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// A free one.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// Waits until it is free. What a panic has left is handed on.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As [`std::sync::RwLock`].
#[derive(Debug, Default)]
pub struct RwLock<T>(std::sync::RwLock<T>);

impl<T> RwLock<T> {
    /// A free one.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self(std::sync::RwLock::new(value))
    }

    /// Waits until nothing writes. What a panic has left is handed on.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing reads or writes. What a panic has left is handed on.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_lock_whose_holder_panicked_is_taken_by_the_next() {
        let (mutex, rwlock) = (Arc::new(Mutex::new(1)), Arc::new(RwLock::new(1)));
        let (held, written) = (Arc::clone(&mutex), Arc::clone(&rwlock));
        let panicked = std::thread::spawn(move || {
            let (_held, _written) = (held.lock(), written.write());
            std::panic::resume_unwind(Box::new("ends here"));
        });
        panicked.join().unwrap_err();
        *rwlock.write() += *mutex.lock();
        assert_eq!(*rwlock.read(), 2);
    }
}
