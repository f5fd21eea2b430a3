//! Counts statements, and logs the slow ones.
//!
//! Each connection has counters of its own, which it alone adds to: no lock, no atomic operation that
//! processors have to agree on. They are summed up when they are asked for.
use super::redacted::redacted;
use crate::clock::Milliseconds;
use crate::domain::ids::DatabaseId;
use crate::locks::Mutex;
use crate::telemetry::{DurationHistogram, Durations, add_alone};
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// It leaves the database as it is.
    Read,
    /// It may change it.
    Write,
}

impl StatementKind {
    /// Both, with the word that metrics show.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Read, "read"), (Self::Write, "write")];
}

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementOutcome {
    /// Well.
    Ok,
    /// It deserves an error: its text, its values, a rule of the schema, a limit.
    Error,
    /// Its time was over.
    Timeout,
    /// Its client went away.
    Cancelled,
    /// The file, the disk or the gateway failed it.
    Failure,
}

impl StatementOutcome {
    /// Every one, with the word that metrics show, in their order.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Ok, "ok"),
        (Self::Error, "error"),
        (Self::Timeout, "timeout"),
        (Self::Cancelled, "cancelled"),
        (Self::Failure, "failure"),
    ];

    fn word(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// A statement that has ended.
#[derive(Debug, Clone, Copy)]
pub struct EndedStatement<'s> {
    /// Its text.
    pub sql: &'s str,
    /// What it does, as far as it is known.
    pub kind: StatementKind,
    /// How it ended.
    pub outcome: StatementOutcome,
    /// How long it ran, without the time in which its client did not read.
    pub elapsed: Duration,
    /// Rows that it answered.
    pub rows: u64,
    /// Rows that it changed.
    pub changed: u64,
}

/// Finds a database's name.
pub type NameOf = Box<dyn Fn(DatabaseId) -> Option<String> + Send + Sync>;

const KINDS: usize = StatementKind::ALL.len();
const OUTCOMES: usize = StatementOutcome::ALL.len();

/// Counts of all databases.
#[derive(Default)]
pub struct SqlStatistics {
    /// WAL checkpoints that were done, and those that readers put off.
    checkpoints: [AtomicU64; 2],
    /// A statement that takes at least so long is logged.
    slow: Option<Duration>,
    names: OnceLock<NameOf>,
    counted: Mutex<Counted>,
}

impl fmt::Debug for SqlStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStatistics").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Counted {
    /// Of the connections that are open.
    open: Vec<(DatabaseId, Arc<ConnectionCounts>)>,
    /// Of those that were closed.
    closed: StatementCounts,
    /// The same by database.
    closed_by_database: HashMap<DatabaseId, (StatementsByKind, Duration)>,
}

/// Statements by kind, in the order of [`StatementKind::ALL`].
type StatementsByKind = [u64; KINDS];

/// What one connection counts.
#[derive(Debug, Default)]
struct ConnectionCounts {
    outcomes: [[AtomicU64; OUTCOMES]; KINDS],
    durations: [DurationHistogram; KINDS],
    waits: DurationHistogram,
    rows: AtomicU64,
    changed: AtomicU64,
}

/// What statements have done, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatementCounts {
    outcomes: [[u64; OUTCOMES]; KINDS],
    durations: [Durations; KINDS],
    waits: Durations,
    rows: u64,
    changed: u64,
}

/// What one database's statements have done, since the start or since it was last closed by a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseUse {
    /// Which one.
    pub database: DatabaseId,
    /// Statements by kind, in the order of [`StatementKind::ALL`].
    pub statements: StatementsByKind,
    /// How long they ran in all.
    pub busy: Duration,
}

/// Where one connection counts, from one thread at a time: it cannot be shared.
#[derive(Debug)]
pub struct StatementCounter {
    database: DatabaseId,
    counters: Arc<ConnectionCounts>,
    all: Arc<SqlStatistics>,
    not_shared: PhantomData<Cell<()>>,
}

impl SqlStatistics {
    /// Nothing is counted yet. Statements that take at least `slow` will be logged.
    #[must_use]
    pub fn new(slow: Option<Duration>) -> Arc<Self> {
        Arc::new(Self {
            slow,
            ..Self::default()
        })
    }

    /// Says how databases are called in the log; once.
    pub fn name_by(&self, names: NameOf) {
        // The second of two has the same names.
        let _ = self.names.set(names);
    }

    /// A counter for a connection to this database.
    #[must_use]
    pub fn counter(self: &Arc<Self>, database: DatabaseId) -> StatementCounter {
        let counters = Arc::<ConnectionCounts>::default();
        let mut counted = self.counted.lock();
        counted.open.push((database, Arc::clone(&counters)));
        counted.closed_by_database.entry(database).or_default();
        drop(counted);
        StatementCounter {
            database,
            counters,
            all: Arc::clone(self),
            not_shared: PhantomData,
        }
    }

    /// Forgets what a database that may not come back has done. The sums stay.
    pub fn forget(&self, database: DatabaseId) {
        self.counted.lock().closed_by_database.remove(&database);
    }

    /// What the statements of all databases have done.
    #[must_use]
    pub fn statements(&self) -> StatementCounts {
        let counted = self.counted.lock();
        let mut sum = counted.closed.clone();
        for (_, open) in &counted.open {
            sum.add(open);
        }
        sum
    }

    /// Counts a WAL checkpoint.
    pub fn checkpointed(&self, is_done: bool) {
        self.checkpoints[usize::from(!is_done)].fetch_add(1, Ordering::Relaxed);
    }

    /// WAL checkpoints that were done, and those that readers put off.
    #[must_use]
    pub fn checkpoints(&self) -> [u64; 2] {
        [0, 1].map(|at| self.checkpoints[at].load(Ordering::Relaxed))
    }

    /// The databases whose statements have run for longest, at most `most`.
    #[must_use]
    pub fn busiest(&self, most: usize) -> Vec<DatabaseUse> {
        let counted = self.counted.lock();
        let mut by_database = counted.closed_by_database.clone();
        for (database, open) in &counted.open {
            // One that was forgotten is being closed.
            if let Some(of) = by_database.get_mut(database) {
                open.add_to_use(of);
            }
        }
        drop(counted);
        let uses = by_database.into_iter();
        let uses = uses.map(|(database, (statements, busy))| DatabaseUse {
            database,
            statements,
            busy,
        });
        let mut uses: Vec<DatabaseUse> = uses.filter(|it| it.statements != [0; KINDS]).collect();
        uses.sort_unstable_by_key(|it| (std::cmp::Reverse(it.busy), it.database));
        uses.truncate(most);
        uses
    }

    /// Takes over what a connection that is closed has counted.
    fn close(&self, database: DatabaseId, counters: &Arc<ConnectionCounts>) {
        let mut counted = self.counted.lock();
        let Counted {
            open,
            closed,
            closed_by_database,
        } = &mut *counted;
        if let Some(place) = open.iter().position(|(_, it)| Arc::ptr_eq(it, counters)) {
            open.swap_remove(place);
        }
        closed.add(counters);
        if let Some(of) = closed_by_database.get_mut(&database) {
            counters.add_to_use(of);
        }
    }
}

impl ConnectionCounts {
    fn add_to_use(&self, (statements, busy): &mut (StatementsByKind, Duration)) {
        for (count, durations) in statements.iter_mut().zip(&self.durations) {
            let durations = durations.read();
            *count += durations.count();
            *busy += Duration::from_nanos(durations.nanoseconds);
        }
    }
}

impl StatementCounts {
    fn add(&mut self, counters: &ConnectionCounts) {
        let more = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let outcomes = self.outcomes.iter_mut().flatten();
        for (sum, counter) in outcomes.zip(counters.outcomes.iter().flatten()) {
            *sum += more(counter);
        }
        for (sum, histogram) in self.durations.iter_mut().zip(&counters.durations) {
            *sum = sum.plus(&histogram.read());
        }
        self.waits = self.waits.plus(&counters.waits.read());
        self.rows += more(&counters.rows);
        self.changed += more(&counters.changed);
    }

    /// How many statements of a kind ended so.
    #[must_use]
    pub fn ended(&self, kind: StatementKind, outcome: StatementOutcome) -> u64 {
        self.outcomes[kind as usize][outcome as usize]
    }

    /// How long statements of a kind ran.
    #[must_use]
    pub fn durations(&self, kind: StatementKind) -> Durations {
        self.durations[kind as usize]
    }

    /// How long writes waited for their turn.
    #[must_use]
    pub fn write_waits(&self) -> Durations {
        self.waits
    }

    /// Rows that were answered, and rows that were changed.
    #[must_use]
    pub fn rows(&self) -> [u64; 2] {
        [self.rows, self.changed]
    }
}

impl StatementCounter {
    /// Counts a statement, and logs it if it was slow.
    pub fn count(&self, ended: &EndedStatement<'_>) {
        let (counters, kind) = (&self.counters, ended.kind as usize);
        add_alone(&counters.outcomes[kind][ended.outcome as usize], 1);
        counters.durations[kind].observe_alone(ended.elapsed);
        for (sum, more) in [
            (&counters.rows, ended.rows),
            (&counters.changed, ended.changed),
        ] {
            if more > 0 {
                add_alone(sum, more);
            }
        }
        if self.all.slow.is_some_and(|slow| ended.elapsed >= slow) {
            self.log(ended);
        }
    }

    /// Counts how long a write has waited for its turn.
    pub fn count_wait(&self, waited: Duration) {
        self.counters.waits.observe_alone(waited);
    }

    #[cold]
    fn log(&self, ended: &EndedStatement<'_>) {
        let name = self.all.names.get().and_then(|name| name(self.database));
        tracing::info!(
            database.id = %self.database,
            database.name = name,
            duration_ms = Milliseconds(ended.elapsed).number(),
            rows = ended.rows,
            rows_affected = ended.changed,
            outcome = ended.outcome.word(),
            sql = redacted(ended.sql),
            "slow statement"
        );
    }
}

impl Drop for StatementCounter {
    fn drop(&mut self) {
        self.all.close(self.database, &self.counters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn read(milliseconds: u64) -> EndedStatement<'static> {
        EndedStatement {
            sql: "SELECT 1",
            kind: StatementKind::Read,
            outcome: StatementOutcome::Ok,
            elapsed: Duration::from_millis(milliseconds),
            rows: 2,
            changed: 0,
        }
    }

    #[test]
    fn what_a_closed_connection_has_counted_is_kept() {
        let all = SqlStatistics::new(None);
        let [one, other] = [1, 2].map(|id| DatabaseId(Uuid::from_u128(id)));
        let [closed, open, of_other] = [one, one, other].map(|it| all.counter(it));
        closed.count(&read(3));
        drop(closed);
        open.count(&read(4));
        of_other.count(&read(5));
        open.count_wait(Duration::from_millis(1));
        let sums = all.statements();
        assert_eq!(sums.ended(StatementKind::Read, StatementOutcome::Ok), 3);
        assert_eq!(sums.durations(StatementKind::Read).nanoseconds, 12_000_000);
        assert_eq!((sums.rows(), sums.write_waits().count()), ([6, 0], 1));
        let busiest = all.busiest(1);
        assert_eq!((busiest[0].database, busiest[0].statements), (one, [2, 0]));
        assert_eq!(busiest[0].busy, Duration::from_millis(7));
        all.forget(one);
        drop(open);
        assert_eq!(
            all.busiest(9).len(),
            1,
            "a database that is gone is forgotten"
        );
        assert_eq!(all.statements(), sums, "the sums stay");
    }
}
