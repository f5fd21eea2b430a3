//! Writes: in line, then drained by one thread in groups.
use super::open_database::OpenDatabase;
use super::query::{BatchError, QueryError};
use super::threads::{Seat, Threads};
use super::write_group::run_group;
use super::write_queue::{Running, WriteQueue, WriteRequest};
use super::{Call, DataPlane, SharedGuard};
use crate::clock::{Deadline, Stopwatch};
use crate::engine::sqlite::{Answer, Hold, SqliteConnection, Statement, Ticket, WAL_FILE};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

impl DataPlane {
    /// Runs statements on the writer, all or none.
    pub(super) async fn write(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
        statements: Vec<Statement>,
    ) -> Result<Vec<Answer>, BatchError> {
        let failed = |error| BatchError {
            statement: 0,
            error,
        };
        let ticket = Arc::new(Ticket::default());
        let (answer, mut answered) = oneshot::channel();
        let is_first = open
            .writes
            .push(WriteRequest {
                alone: open.lanes.is_slow(&statements[0].sql),
                statements,
                form: call.form,
                deadline: call.deadline,
                timeout: call.timeout,
                ticket: Arc::clone(&ticket),
                answer,
                _guard: guard.clone(),
            })
            .map_err(failed)?;
        if is_first {
            self.send_a_thread(guard, open);
        }

        let grace = self.config.stuck_grace;
        let mut waiting = Waiting {
            ticket,
            writes: Arc::clone(&open.writes),
            deadline: call.deadline,
            grace,
            is_over: false,
        };
        let last = call.deadline.extended(grace).instant();
        let result = match tokio::time::timeout_at(last, &mut answered).await {
            Ok(answered) => answered,
            Err(_) if waiting.ticket.abandon() => {
                waiting.is_over = true;
                open.writes.write_off_if_stuck(grace);
                return Err(failed(QueryError::timeout(call.timeout)));
            }
            // It is being made lasting at this moment: the answer is near, and it is the truth.
            Err(_) => match tokio::time::timeout(COMMIT_PATIENCE, &mut answered).await {
                Ok(answered) => answered,
                Err(_) => return Err(failed(QueryError::OutcomeUnknown)),
            },
        };
        waiting.is_over = true;
        result.unwrap_or_else(|_| {
            Err(failed(QueryError::Broken {
                reason: "the thread of this database's writes ended; nothing was kept".to_owned(),
            }))
        })
    }

    /// Sends a thread that drains the database's line.
    fn send_a_thread(&self, guard: &SharedGuard, open: &Arc<OpenDatabase>) {
        let drain = Drain {
            open: Arc::clone(open),
            _guard: guard.clone(),
            threads: Arc::clone(&self.threads),
            group_requests: self.config.group_requests,
            group_time: self.config.group_time,
            drain_time: self.config.drain_time,
            wal_bytes: self.config.wal_bytes,
        };
        drain.start();
    }
}

/// A commit that takes longer than this past its deadline has a disk that does not answer.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);

/// Whoever was just answered is likely to come again: waiting this long for as many as went saves
/// syncs, which take several times longer, and thread changes.
const GATHER_TIME: Duration = Duration::from_micros(50);

/// How long cutting the WAL waits for readers; who cannot be waited for now is later.
const CHECKPOINT_PATIENCE: Duration = Duration::from_millis(10);

/// Drains the line of one database.
struct Drain {
    open: Arc<OpenDatabase>,
    /// The thread has the writer in hand after the last request was answered: it holds the gate
    /// itself, and lets go of it last.
    _guard: SharedGuard,
    threads: Arc<Threads>,
    group_requests: usize,
    group_time: Duration,
    drain_time: Duration,
    wal_bytes: u64,
}

impl Drain {
    fn start(self) {
        if let Some(seat) = self.threads.try_take(&self.open.bench) {
            tokio::task::spawn_blocking(move || self.run(&seat));
            return;
        }
        tokio::spawn(async move {
            // No request in line waits longer than its own deadline, and there is one such wait
            // for each database: the line's, not the request's.
            loop {
                let deadline = Deadline::after(SEAT_PATIENCE);
                if let Some(seat) = self.threads.take(&self.open.bench, deadline).await {
                    tokio::task::spawn_blocking(move || self.run(&seat));
                    return;
                }
            }
        });
    }

    fn run(self, seat: &Arc<Seat>) {
        if self.drains_all(seat) {
            return;
        }
        self.start();
    }

    /// Drains the line. `false` when it gives its thread back before the line is empty.
    fn drains_all(&self, seat: &Arc<Seat>) -> bool {
        let _sitting = seat.sit();
        let _drainer = self.open.writes.drainer();
        let stopwatch = Stopwatch::start();
        let mut group = VecDeque::new();
        let mut place = self.open.writer();
        while self.open.writes.fill(&mut group, self.group_requests) {
            let size = group.len();
            match self.open.ready_writer(&mut place) {
                Ok(writer) => {
                    if self.wal_has_room(writer) {
                        self.run_group(seat, writer, &mut group);
                    } else {
                        turn_all_away(&mut group);
                    }
                }
                Err(error) => {
                    // Nobody in line will fare better: the file is missing, or cannot be opened.
                    for request in group.drain(..) {
                        request.fail(0, error.clone());
                    }
                }
            }
            if stopwatch.elapsed() > self.drain_time {
                // Others wait for a thread, too.
                self.open.writes.put_back(group);
                return false;
            }
            self.open
                .writes
                .gather(size - group.len().min(size), GATHER_TIME);
        }
        true
    }

    fn run_group(
        &self,
        seat: &Arc<Seat>,
        writer: &mut SqliteConnection,
        group: &mut VecDeque<WriteRequest>,
    ) {
        self.open.writes.runs(Some(Running {
            leash: Arc::clone(writer.leash()),
            seat: Arc::clone(seat),
        }));
        let end = run_group(writer, group, self.group_time, &self.open.lanes);
        self.open.writes.runs(None);
        if end.outcome_is_unknown {
            self.open.bench.the_disk_failed();
        }
        if !writer.is_spoiled() && self.wal_is_longer_than(self.wal_bytes) {
            cut_wal(writer);
        }
    }

    /// Whether more may be written. A read keeps the WAL from being cut for as long as it runs,
    /// and writes over the same pages again and again do not touch the size limit.
    fn wal_has_room(&self, writer: &mut SqliteConnection) -> bool {
        let most = self.wal_bytes * MOST_WALS;
        if self.wal_is_longer_than(most) {
            cut_wal(writer);
        }
        !self.wal_is_longer_than(most)
    }

    fn wal_is_longer_than(&self, bytes: u64) -> bool {
        let wal = self.open.folder().join(WAL_FILE);
        wal.metadata().is_ok_and(|it| it.len() > bytes)
    }
}

fn turn_all_away(group: &mut VecDeque<WriteRequest>) {
    for request in group.drain(..) {
        request.turn_away(QueryError::Overloaded {
            what: "a long read to end, which keeps the log of writes from being cut",
        });
    }
}

/// A WAL that grew to so many times the length at which it is cut takes no more writes.
const MOST_WALS: u64 = 2;

/// Brings the WAL into the main file and cuts it. Readers that are still on it make it wait for
/// the next time: they end by their deadlines.
fn cut_wal(writer: &mut SqliteConnection) {
    writer.hold(Hold {
        deadline: Deadline::after(CHECKPOINT_PATIENCE),
        ticket: None,
        slice: None,
        may_wait: true,
    });
    let _ = writer.command("PRAGMA wal_checkpoint(TRUNCATE)");
    writer.release();
}

/// One wait for a seat; then the next begins.
const SEAT_PATIENCE: Duration = Duration::from_secs(5);

/// Who waits for a write. When it goes away, the write is cut or not begun.
struct Waiting {
    ticket: Arc<Ticket>,
    writes: Arc<WriteQueue>,
    deadline: Deadline,
    grace: Duration,
    is_over: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.ticket.abandon();
        let (writes, grace) = (Arc::clone(&self.writes), self.grace);
        let last = self.deadline.extended(grace).instant();
        if let Ok(tokio) = tokio::runtime::Handle::try_current() {
            tokio.spawn(async move {
                tokio::time::sleep_until(last).await;
                writes.write_off_if_stuck(grace);
            });
        }
    }
}
