//! The connections to all databases: how many are open, and room made for one more.
use crate::engine::sqlite::SqlError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Closes idle connections until at most the given number is open. Returns whether it closed any.
pub(crate) type CloseIdle = Box<dyn Fn(usize) -> bool + Send + Sync>;

/// Counts the connections that are open.
pub(crate) struct Connections {
    open: AtomicUsize,
    most: usize,
    close_idle: CloseIdle,
}

/// A connection is counted while this lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Connections>);

impl Connections {
    /// At most `most` are open as long as `close_idle` finds idle ones.
    pub(crate) fn new(most: usize, close_idle: CloseIdle) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            most,
            close_idle,
        })
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Opens one. Idle ones are closed first where there are as many as there may be, and where
    /// the process has no file descriptor left; then it is tried again. Blocks.
    ///
    /// # Errors
    /// What `open` says; [`SqlError::NoFiles`] when nothing idle is left to be closed.
    pub(crate) fn open<T>(
        self: &Arc<Self>,
        mut open: impl FnMut() -> Result<T, SqlError>,
    ) -> Result<(T, Counted), SqlError> {
        if self.count() >= self.most {
            (self.close_idle)(self.most.saturating_sub(1));
        }
        loop {
            match open() {
                Ok(opened) => {
                    self.open.fetch_add(1, Ordering::Relaxed);
                    return Ok((opened, Counted(Arc::clone(self))));
                }
                // Half of them each time: others may take what was let go.
                Err(SqlError::NoFiles) if (self.close_idle)(self.count() / 2) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("open", &self.open)
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn idle_connections_are_closed_before_a_want_of_descriptors_is_told() {
        let idle: Arc<Mutex<Vec<Counted>>> = Arc::default();
        let closing = Arc::clone(&idle);
        let connections = Connections::new(
            8,
            Box::new(move |most| {
                let mut idle = closing.lock().unwrap();
                let before = idle.len();
                idle.truncate(most);
                idle.len() < before
            }),
        );
        for _ in 0..10 {
            let ((), counted) = connections.open(|| Ok(())).unwrap();
            idle.lock().unwrap().push(counted);
            assert!(connections.count() <= 8, "as many as there may be");
        }
        let mut tries = 0;
        let opened = connections.open(|| {
            tries += 1;
            let has_room = connections.count() <= 2;
            has_room.then_some(()).ok_or(SqlError::NoFiles)
        });
        assert!(opened.is_ok() && tries > 1, "{tries} tries");
        drop(opened);
        idle.lock().unwrap().clear();
        let failed = connections.open(|| Err::<(), _>(SqlError::NoFiles));
        assert_eq!(failed.unwrap_err(), SqlError::NoFiles);
        assert_eq!(connections.count(), 0);
    }
}
