//! The reader that a thread keeps in hand between two reads.
//!
//! To begin and end to read takes SQLite a tenth of what a whole point select costs. A thread that
//! has several reads of one database to serve therefore runs them in one transaction. It ends with
//! the next commit, or once the thread has served what was ready when it began, and before that
//! when it is [`LONGEST`] old: a commit of another program may be seen that much later.
use crate::clock::Stopwatch;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sqlite::SqliteConnection;
use crate::engine::sqlite::open::handle::Handle;
use crate::engine::sqlite::open::open_database::OpenDatabase;
use crate::engine::sqlite::statement::savepoint::roll_back;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::{self, RuntimeFlavor};
use tokio::sync::OwnedSemaphorePermit;

/// Most time from the first read of a transaction to the beginning of its last one.
const LONGEST: Duration = Duration::from_millis(1);

/// Reads in a row after which a reader is busy and asks for a large page cache; it asks again after
/// as many.
const READS_BETWEEN_WISHES: u32 = 1_024;

thread_local! {
    static OPEN_READ: RefCell<Option<SharedRead>> = const { RefCell::new(None) };
    static ENDS_SOON: Cell<bool> = const { Cell::new(false) };
}

/// A reader. Dropped, it ends its transaction and rests.
#[derive(Debug)]
pub(super) struct SharedRead {
    open: Arc<OpenDatabase>,
    /// There until dropped.
    reader: Option<Handle>,
    transaction: Option<Transaction>,
    /// Dropped last, after all handles.
    _guard: SharedGuard,
}

#[derive(Debug)]
struct Transaction {
    /// Commits before it began, at least those that it sees.
    commits: u64,
    since: Stopwatch,
}

impl SharedRead {
    /// A reader that sees every commit that was acknowledged: the one in this thread's hand, or
    /// one that rests.
    pub(crate) fn take(open: &Arc<OpenDatabase>, guard: &SharedGuard) -> Option<Self> {
        if let Some(mut reader) = OPEN_READ.take()
            && Arc::ptr_eq(&reader.open, open)
        {
            reader.go_on();
            return Some(reader);
        }
        Some(Self {
            reader: Some(open.resting_reader()?),
            open: Arc::clone(open),
            transaction: None,
            _guard: guard.clone(),
        })
    }

    /// The connection.
    pub(crate) fn sqlite(&mut self) -> &mut SqliteConnection {
        self.handle()
    }

    /// Whether it is busy, and has no large page cache. Said now and then.
    pub(crate) fn wants_large_cache(&mut self) -> bool {
        let handle = self.handle();
        let is_time = handle.reads_in_a_row % READS_BETWEEN_WISHES == READS_BETWEEN_WISHES - 1;
        is_time && !handle.has_large_cache()
    }

    /// Has a large page cache from now on.
    pub(crate) fn widen(&mut self, large_cache: OwnedSemaphorePermit) {
        self.handle().widen(large_cache);
    }

    fn handle(&mut self) -> &mut Handle {
        self.reader.as_mut().expect("it is there until dropped")
    }

    /// Keeps it in hand for the reads that this thread has yet to serve.
    pub(crate) fn keep(self) {
        let tokio = runtime::Handle::current();
        // Of threads that share their work, another one would lay it down.
        if tokio.runtime_flavor() != RuntimeFlavor::CurrentThread {
            return;
        }
        OPEN_READ.set(Some(self));
        if !ENDS_SOON.replace(true) {
            // Behind all that is ready to run.
            let ends = EndsSharedRead;
            tokio.spawn(async move { drop(ends) });
        }
    }

    /// Goes on in its transaction, or begins one that sees what was committed since.
    fn go_on(&mut self) {
        let handle = self.handle();
        handle.reads_in_a_row = handle.reads_in_a_row.wrapping_add(1);
        // Counted first: a commit in between makes it older than it is, never younger.
        let commits = self.open.commits.load(Ordering::Acquire);
        let sees_all = |it: &Transaction| it.commits == commits && it.since.elapsed() < LONGEST;
        if self.transaction.as_ref().is_some_and(sees_all) {
            return;
        }
        self.end_transaction();
        // Where it fails, each statement has its own, as ever.
        if self.sqlite().command("BEGIN;").is_ok() {
            let since = Stopwatch::start();
            self.transaction = Some(Transaction { commits, since });
        }
    }

    fn end_transaction(&mut self) {
        if self.transaction.take().is_some() {
            roll_back(self.sqlite());
        }
    }
}

impl Drop for SharedRead {
    fn drop(&mut self) {
        self.end_transaction();
        if let Some(reader) = self.reader.take() {
            self.open.rest(reader);
        }
    }
}

/// Dropped, it empties this thread's hand: when its turn comes, or its runtime ends.
struct EndsSharedRead;

impl Drop for EndsSharedRead {
    fn drop(&mut self) {
        ENDS_SOON.set(false);
        drop(OPEN_READ.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Deadline;
    use crate::domain::database::{Durability, Isolation};
    use crate::domain::ids::DatabaseId;
    use crate::engine::Engine as _;
    use crate::engine::access_lock::AccessLocks;
    use crate::engine::sql::{Form, Format, Int64Form, Shape, Statement};
    use crate::engine::sql::{SqlStatistics, Target};
    use crate::engine::sqlite::config::SqliteConfig;
    use crate::engine::sqlite::open::connections::Connections;
    use crate::engine::sqlite::{Profile, Role, Sqlite, TempBudget};
    use serde_json::Value;
    use tempfile::TempDir;
    use tokio::sync::Semaphore;
    use uuid::Uuid;

    const FORM: Form = Form {
        format: Format::Json,
        shape: Shape::Rows,
        int64: Int64Form::Number,
        max_rows: 1,
        may_truncate: false,
        max_bytes: 1000,
        escapes_formulas: false,
    };

    /// An open database with one reader that rests, and another program that writes to its file.
    struct Scene {
        _folder: TempDir,
        open: Arc<OpenDatabase>,
        locks: AccessLocks,
        database: DatabaseId,
        other_program: SqliteConnection,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Sqlite::default()
                .create_file(folder.path(), Durability::Full)
                .unwrap();
            let writer = Profile {
                role: Role::Writer,
                durability: Durability::Full,
                size_bytes: 1 << 20,
                cached_statements: 1,
            };
            let mut other_program = SqliteConnection::open(folder.path(), writer).unwrap();
            other_program.command("CREATE TABLE t (a);").unwrap();
            let target = Target {
                database: DatabaseId(Uuid::nil()),
                engine: Sqlite::NAME,
                isolation: Isolation::Gateway,
                durability: Durability::Full,
                size_bytes: 1 << 20,
            };
            let config = SqliteConfig::default();
            let connections = Connections::new(8, Box::new(|_| false));
            let temporary = TempBudget::new(config.temp_bytes);
            let open = OpenDatabase::new(
                folder.path().to_owned(),
                0,
                &target,
                &config,
                &connections,
                &temporary,
                &SqlStatistics::new(None),
            );
            open.rest(open.reader().unwrap());
            Self {
                _folder: folder,
                open: Arc::new(open),
                locks: AccessLocks::default(),
                database: target.database,
                other_program,
            }
        }

        /// How many rows a read sees, and whether it is one of several in a transaction.
        fn read(&self) -> (i64, bool) {
            let guard = self.locks.try_enter(self.database).unwrap();
            let mut reader = SharedRead::take(&self.open, &guard).unwrap();
            let count = Statement {
                sql: "SELECT count(*) FROM t".into(),
                ..Statement::default()
            };
            let body = reader.sqlite().run(&count, &FORM).unwrap().body;
            let answer: Value = serde_json::from_slice(&body).unwrap();
            let rows = answer["rows"][0][0].as_i64().unwrap();
            let is_in_transaction = !reader.sqlite().is_autocommit();
            reader.keep();
            (rows, is_in_transaction)
        }

        fn insert(&mut self) {
            let insert = "INSERT INTO t VALUES (1);";
            self.other_program.command(insert).unwrap();
        }
    }

    #[tokio::test]
    async fn reads_in_a_row_share_a_transaction_until_something_is_committed() {
        let mut scene = Scene::new();
        assert_eq!(
            scene.read(),
            (0, false),
            "nobody knows yet that there are more"
        );
        assert_eq!(scene.read(), (0, true));
        scene.insert();
        scene.open.commits.fetch_add(1, Ordering::Release);
        assert_eq!(scene.read(), (1, true));
    }

    #[tokio::test]
    async fn a_transaction_that_grows_old_is_not_gone_on_with() {
        let mut scene = Scene::new();
        scene.read();
        scene.read();
        scene.insert(); // of which the forge knows nothing
        let patience = Stopwatch::start();
        while scene.read().0 == 0 {
            assert!(patience.elapsed() < Duration::from_secs(10));
        }
    }

    #[tokio::test]
    async fn who_has_nothing_left_to_serve_has_nothing_in_hand() {
        let scene = Scene::new();
        scene.read();
        scene.read();
        assert!(scene.open.resting_reader().is_none());
        let soon = Deadline::after(Duration::from_secs(10));
        scene.locks.take(scene.database, soon).await.unwrap();
        let reader = scene.open.resting_reader().unwrap();
        assert!(reader.is_autocommit());
    }

    #[tokio::test]
    async fn a_busy_reader_wants_a_large_page_cache_now_and_then_until_it_has_one() {
        let scene = Scene::new();
        let large_caches = Arc::new(Semaphore::new(1));
        for wishes in [2, 0] {
            let guard = scene.locks.try_enter(scene.database).unwrap();
            let wanted = (0..READS_BETWEEN_WISHES * 2).filter(|_| {
                let mut reader = SharedRead::take(&scene.open, &guard).unwrap();
                let wants = reader.wants_large_cache();
                reader.keep();
                wants
            });
            assert_eq!(wanted.count(), wishes);
            let mut reader = SharedRead::take(&scene.open, &guard).unwrap();
            if let Ok(large_cache) = Arc::clone(&large_caches).try_acquire_owned() {
                reader.widen(large_cache);
            }
        }
    }

    #[tokio::test]
    async fn a_thread_has_the_reader_of_one_database_in_hand() {
        let (one, other) = (Scene::new(), Scene::new());
        one.read();
        one.read();
        other.read();
        assert!(one.open.resting_reader().unwrap().is_autocommit());
        assert_eq!(other.read(), (0, true));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn threads_that_share_their_work_have_nothing_in_hand() {
        tokio::spawn(async {
            let scene = Scene::new();
            scene.read();
            assert!(scene.open.resting_reader().is_some());
        })
        .await
        .unwrap();
    }
}
