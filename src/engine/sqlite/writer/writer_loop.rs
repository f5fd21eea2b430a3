//! The writer loop: drains the queue of one database in groups.
use super::group_commit::run_group;
use super::lease::LeaseRequest;
use super::queue::{Running, WriteRequest};
use crate::clock::{Deadline, Stopwatch};
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::QueryError;
use crate::engine::sqlite::open::handle::Writer;
use crate::engine::sqlite::open::open_database::OpenDatabase;
use crate::engine::sqlite::threads::pool::{PoolSlot, ThreadPool};
use crate::engine::sqlite::{SqlError, SqliteConnection};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Runs the queued writes of one database.
#[derive(Debug, Clone)]
pub(crate) struct WriterLoop {
    pub(crate) open: Arc<OpenDatabase>,
    /// The loop still has the writer after the last request was answered, so it holds the access
    /// lock itself, and drops it last.
    pub(crate) _guard: SharedGuard,
    pub(crate) threads: Arc<ThreadPool>,
    /// Where it runs. A commit is short, and many wait for it, so it is as urgent as serving
    /// requests, unless its first write is known to be long.
    pub(crate) tokio: Handle,
    pub(crate) group_requests: usize,
    pub(crate) group_time: Duration,
    pub(crate) drain_time: Duration,
}

impl WriterLoop {
    pub(crate) fn start(self) {
        if let Some(slot) = self.threads.try_take(&self.open.breaker) {
            self.tokio.clone().spawn_blocking(move || self.run(&slot));
            return;
        }
        self.tokio.clone().spawn(async move {
            // No request in line waits longer than its own deadline, and there is one such wait
            // for each database: the line's, not the request's.
            loop {
                let deadline = Deadline::after(SLOT_PATIENCE);
                if let Some(slot) = self.threads.take(&self.open.breaker, deadline).await {
                    tokio::task::spawn_blocking(move || self.run(&slot));
                    return;
                }
            }
        });
    }

    fn run(self, slot: &Arc<PoolSlot>) {
        if self.run_until_empty(slot) {
            return;
        }
        self.start();
    }

    /// Drains the line. `false` when it gives its thread back before the line is empty.
    fn run_until_empty(&self, slot: &Arc<PoolSlot>) -> bool {
        let in_use = slot.occupy();
        in_use.begins();
        let _drainer = self.open.writes.loop_guard();
        let stopwatch = Stopwatch::start();
        let mut group = VecDeque::new();
        let mut place = self.open.writer();
        while self.open.writes.fill(&mut group, self.group_requests) {
            if !group.is_empty() {
                match self.open.ready_writer(&mut place) {
                    Ok(writer) => {
                        if self.open.wal_has_room(writer) {
                            self.run_group(slot, writer, &mut group);
                        } else {
                            turn_all_away(&mut group);
                        }
                    }
                    Err(error) => fail_all(&mut group, &error),
                }
            }
            if let Some(lease) = self.open.writes.next_lease() {
                match self.begin(&lease, &mut place) {
                    Ok(writer) => {
                        self.open.writes.put_back(group);
                        self.open.writes.mark_leased();
                        drop(place); // the writer comes back to it
                        self.clone().await_back(lease.grant(writer));
                        return true;
                    }
                    Err(error) => lease.fail(error),
                }
            }
            if stopwatch.elapsed() > self.drain_time {
                // Others wait for a thread, too.
                self.open.writes.put_back(group);
                return false;
            }
        }
        true
    }

    fn run_group(
        &self,
        slot: &Arc<PoolSlot>,
        writer: &mut SqliteConnection,
        group: &mut VecDeque<WriteRequest>,
    ) {
        let running = Running::new(writer.interrupt_handle(), slot);
        self.open.writes.set_running(Some(running));
        let open = &self.open;
        let end = run_group(
            writer,
            group,
            self.group_time,
            &open.classifier,
            &open.commits,
        );
        self.open.writes.set_running(None);
        if end.outcome_is_unknown {
            self.open.breaker.disk_failed();
        }
        self.open.keep_wal_short(writer);
    }

    /// Begins a transaction for a lease, and takes the writer out of its place.
    fn begin(&self, lease: &LeaseRequest, place: &mut Option<Writer>) -> Result<Writer, SqlError> {
        lease.begin(self.open.ready_writer(place)?)?;
        Ok(place
            .take()
            .expect("a writer that is ready is in its place"))
    }

    /// Waits until the writer is back from a transaction, puts it in its place, and goes on.
    fn await_back(self, back: oneshot::Receiver<Option<Writer>>) {
        self.tokio.clone().spawn(async move {
            if let Ok(Some(writer)) = back.await {
                *self.open.writer() = Some(writer);
            }
            if self.open.writes.writer_is_back() {
                self.start();
            }
        });
    }
}

fn fail_all(group: &mut VecDeque<WriteRequest>, error: &SqlError) {
    // No request in the queue can succeed: the file is missing, or cannot be opened.
    for request in group.drain(..) {
        request.fail(0, error.clone());
    }
}

fn turn_all_away(group: &mut VecDeque<WriteRequest>) {
    for request in group.drain(..) {
        request.turn_away(QueryError::Overloaded {
            what: "a long-running read that blocks the WAL checkpoint",
        });
    }
}

/// One wait for a slot; then the next begins.
const SLOT_PATIENCE: Duration = Duration::from_secs(5);
