//! Writes: in line, then drained by one thread in groups.
use super::group_commit::run_group;
use super::lease::Loan;
use super::queue::{Running, WriteQueue, WriteRequest};
use crate::clock::{Deadline, Stopwatch};
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::Call;
use crate::engine::sql::{BatchError, QueryError};
use crate::engine::sql::{Statement, Ticket};
use crate::engine::sqlite::executor::SqliteExecutor;
use crate::engine::sqlite::open::open_database::{OpenDatabase, Writer};
use crate::engine::sqlite::readers::latency_class::Lane;
use crate::engine::sqlite::threads::pool::{Seat, Threads};
use crate::engine::sqlite::{Answer, Hold, SqlError, SqliteConnection, WAL_FILE};
use crate::shares::{Pass, waiting as waiting_for};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

impl SqliteExecutor {
    /// Runs statements on the writer, all or none.
    pub(crate) async fn write(
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
        let here = Handle::current();
        let lane = open.lanes.of(&statements[0].sql);
        let is_long = lane == Some(Lane::Slow);
        let is_first = open
            .writes
            .push(WriteRequest {
                alone: is_long,
                proven: lane == Some(Lane::Proven) && statements.len() == 1,
                statements,
                form: call.form,
                deadline: call.deadline,
                timeout: call.timeout,
                ticket: Arc::clone(&ticket),
                answer,
                pass: Pass::here(),
                home: here.clone(),
                _guard: guard.clone(),
            })
            .map_err(failed)?;
        if is_first {
            // Where the request is served, long work lets others go first.
            let tokio = if is_long { here } else { self.tokio.clone() };
            self.send_a_thread(guard, open, tokio);
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
        let in_time = async {
            let deadline = call.deadline.instant();
            if let Ok(answered) = tokio::time::timeout_at(deadline, &mut answered).await {
                return Ok(answered);
            }
            open.writes.look_for_late(grace);
            tokio::time::timeout_at(last, &mut answered).await
        };
        let result = match waiting_for(in_time).await {
            Ok(answered) => answered,
            Err(_) if waiting.ticket.abandon() => {
                waiting.is_over = true;
                if open.writes.look_for_late(grace) {
                    tokio::spawn(Arc::clone(&open.writes).watch_late(grace));
                }
                let is_locked = open.writes.forgets_who_left();
                return Err(failed(if is_locked {
                    QueryError::Locked
                } else {
                    QueryError::timeout(call.timeout)
                }));
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
    pub(crate) fn send_a_thread(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        tokio: Handle,
    ) {
        let drain = Drain {
            open: Arc::clone(open),
            _guard: guard.clone(),
            threads: Arc::clone(&self.threads),
            tokio,
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

/// How long cutting the WAL waits for readers; who cannot be waited for now is later.
const CHECKPOINT_PATIENCE: Duration = Duration::from_millis(10);

/// Drains the line of one database.
#[derive(Debug, Clone)]
pub(crate) struct Drain {
    open: Arc<OpenDatabase>,
    /// The thread has the writer in hand after the last request was answered: it holds the gate
    /// itself, and lets go of it last.
    _guard: SharedGuard,
    threads: Arc<Threads>,
    /// Where it runs. A commit is short, and many wait for it: whoever's write was first, it is as
    /// urgent as serving, unless that write is known to be long.
    tokio: Handle,
    group_requests: usize,
    group_time: Duration,
    drain_time: Duration,
    wal_bytes: u64,
}

impl Drain {
    fn start(self) {
        if let Some(seat) = self.threads.try_take(&self.open.bench) {
            self.tokio.clone().spawn_blocking(move || self.run(&seat));
            return;
        }
        self.tokio.clone().spawn(async move {
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
        let sitting = seat.sit();
        sitting.begins();
        let _drainer = self.open.writes.drainer();
        let stopwatch = Stopwatch::start();
        let mut group = VecDeque::new();
        let mut place = self.open.writer();
        while self.open.writes.fill(&mut group, self.group_requests) {
            if !group.is_empty() {
                match self.open.ready_writer(&mut place) {
                    Ok(writer) => {
                        if self.wal_has_room(writer) {
                            self.run_group(seat, writer, &mut group);
                        } else {
                            turn_all_away(&mut group);
                        }
                    }
                    Err(error) => fail_all(&mut group, &error),
                }
            }
            if let Some(loan) = self.open.writes.next_loan() {
                match self.begin(&loan, &mut place) {
                    Ok(writer) => {
                        self.open.writes.put_back(group);
                        self.open.writes.lends();
                        drop(place); // who gives it back at once needs it
                        loan.hand_over(writer, self.clone());
                        return true;
                    }
                    Err(error) => loan.fail(error),
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
        seat: &Arc<Seat>,
        writer: &mut SqliteConnection,
        group: &mut VecDeque<WriteRequest>,
    ) {
        let running = Running::new(writer.leash(), seat);
        self.open.writes.runs(Some(running));
        let open = &self.open;
        let end = run_group(writer, group, self.group_time, &open.lanes, &open.commits);
        self.open.writes.runs(None);
        if end.outcome_is_unknown {
            self.open.bench.the_disk_failed();
        }
        self.keep_wal_short(writer);
    }

    /// Begins a transaction for who wants the writer, and takes the writer out of its place.
    fn begin(&self, loan: &Loan, place: &mut Option<Writer>) -> Result<Writer, SqlError> {
        loan.begin(self.open.ready_writer(place)?)?;
        Ok(place
            .take()
            .expect("a writer that is ready is in its place"))
    }

    /// The writer is back from a transaction: it is put in its place, and the line goes on.
    pub(crate) fn go_on_with(self, writer: Writer) {
        if writer.handle.is_spoiled() {
            drop(writer);
        } else {
            *self.open.writer() = Some(writer);
        }
        // Without a runtime nobody waits in line any more.
        let has_runtime = Handle::try_current().is_ok();
        if self.open.writes.has_it_back() && has_runtime {
            self.start();
        }
    }

    /// Brings a WAL that has grown too large into the main file.
    pub(crate) fn keep_wal_short(&self, writer: &mut SqliteConnection) {
        if !writer.is_spoiled() && self.wal_is_longer_than(self.wal_bytes) {
            self.cut_wal(writer);
        }
    }

    /// Whether more may be written. A read keeps the WAL from being cut for as long as it runs,
    /// and writes over the same pages again and again do not touch the size limit.
    fn wal_has_room(&self, writer: &mut SqliteConnection) -> bool {
        let wals = if self.has_snapshots() {
            WALS_OF_SNAPSHOTS
        } else {
            1
        };
        let most = self.wal_bytes.saturating_mul(wals * MOST_WALS);
        if self.wal_is_longer_than(most) {
            self.cut_wal(writer);
        }
        !self.wal_is_longer_than(most)
    }

    /// Brings the WAL into the main file and cuts it. Readers that are still on it make it wait
    /// for the next time: they end by their deadlines. For a stream or a transaction's snapshot,
    /// which may stay for a minute, nobody waits.
    fn cut_wal(&self, writer: &mut SqliteConnection) {
        let has_snapshots = self.has_snapshots();
        let longest = self.wal_bytes.saturating_mul(WALS_OF_SNAPSHOTS);
        if has_snapshots && self.wal_is_longer_than(longest) {
            self.open.wal_is_long.store(true, Ordering::Release);
        }
        writer.hold(Hold {
            deadline: Deadline::after(CHECKPOINT_PATIENCE),
            ticket: None,
            slice: None,
            may_wait: true,
        });
        let _ = writer.command(if has_snapshots || self.open.streams.are_taken() {
            "PRAGMA wal_checkpoint(PASSIVE);"
        } else {
            "PRAGMA wal_checkpoint(TRUNCATE);"
        });
        writer.release();
    }

    fn has_snapshots(&self) -> bool {
        self.open.snapshots.load(Ordering::Acquire) > 0
    }

    fn wal_is_longer_than(&self, bytes: u64) -> bool {
        let wal = self.open.folder().join(WAL_FILE);
        wal.metadata().is_ok_and(|it| it.len() > bytes)
    }
}

/// A WAL that grew to so many times the length at which it should have been cut takes no more
/// writes.
const MOST_WALS: u64 = 2;
/// Behind a transaction's snapshot it may grow to so many times the length at which it is cut
/// otherwise; then such transactions end.
const WALS_OF_SNAPSHOTS: u64 = 8;

fn fail_all(group: &mut VecDeque<WriteRequest>, error: &SqlError) {
    // Nobody in line will fare better: the file is missing, or cannot be opened.
    for request in group.drain(..) {
        request.fail(0, error.clone());
    }
}

fn turn_all_away(group: &mut VecDeque<WriteRequest>) {
    for request in group.drain(..) {
        request.turn_away(QueryError::Overloaded {
            what: "a long read to end, which keeps the log of writes from being cut",
        });
    }
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
        self.writes.forgets_who_left();
        let (writes, grace) = (Arc::clone(&self.writes), self.grace);
        let deadline = self.deadline.instant();
        if let Ok(tokio) = Handle::try_current() {
            tokio.spawn(async move {
                tokio::time::sleep_until(deadline).await;
                writes.watch_late(grace).await;
            });
        }
    }
}
