//! The file layer of our connections: SQLite's own for unix, with a look at the execution limits
//! before each read.
//!
//! SQLite polls its progress handler between the steps of a program. One step may read a whole
//! table (`count(*)`), a long value or a full-text index, and nothing polls meanwhile. Such a step
//! reads pages, and reads pass here: a statement whose time is over is interrupted inside of it.
//! What is in the page cache passes here no more; the cache's size bounds that.
//!
//! Files without a name are the temporary ones of statements that write. They are ours, not unix's,
//! since nothing else bounds them.
mod shim;
mod temp_file;
mod temp_space;

pub(super) use temp_space::{Full, TempFilesIn, why_full};
pub use temp_space::{TempBudget, TempSpace};

use super::leash::Leash;
use std::cell::RefCell;
use std::ffi::{CStr, c_int};
use std::sync::{Arc, OnceLock};

/// The name that connections are opened with.
pub(super) const NAME: &CStr = c"dbforge";

/// What a read says that was not made because the statement's time is over: an I/O error, which
/// SQLite undoes like any other, under a number that is nobody else's.
pub(super) const READ_INTERRUPTED: c_int = rusqlite::ffi::SQLITE_IOERR | (0xdb << 8);

thread_local! {
    /// The limits of the statement that runs on this thread.
    static WATCHED: RefCell<Option<Arc<Leash>>> = const { RefCell::new(None) };
}

/// While it lives, reads of files on this thread end when its limits say so.
#[derive(Debug)]
pub(super) struct WatchedReads(());

impl WatchedReads {
    pub(super) fn under(limits: &Arc<Leash>) -> Self {
        WATCHED.set(Some(Arc::clone(limits)));
        Self(())
    }
}

impl Drop for WatchedReads {
    fn drop(&mut self) {
        WATCHED.set(None);
    }
}

/// Makes the layer known to SQLite under [`NAME`]. Where SQLite has no room for it, nothing can be
/// opened afterwards, and says so.
pub(super) fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(shim::register);
}

/// Whether the statement that reads has to end. Once it was told so, it may read what undoing it
/// needs.
fn must_end() -> bool {
    let ends = |watched: &RefCell<Option<Arc<Leash>>>| {
        let must_end = watched
            .borrow()
            .as_ref()
            .is_some_and(|limits| limits.look());
        if must_end {
            watched.take();
        }
        must_end
    };
    // A thread that ends has no statement any more.
    WATCHED.try_with(ends).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use crate::clock::Deadline;
    use crate::domain::database::Durability;
    use crate::engine::Engine as _;
    use crate::engine::sqlite::{
        Form, Format, Hold, Int64Form, Profile, Role, Shape, SqlError, Sqlite, SqliteConnection,
        Statement,
    };
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    struct TempFolder(PathBuf);

    impl TempFolder {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("dbforge-{}", uuid::Uuid::new_v4()));
            std::fs::create_dir(&folder).unwrap();
            Sqlite.create_file(&folder, Durability::Relaxed).unwrap();
            Self(folder)
        }
    }

    impl Drop for TempFolder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn connection(folder: &Path, role: Role) -> SqliteConnection {
        let profile = Profile {
            role,
            durability: Durability::Relaxed,
            size_bytes: 64 << 20,
            cached_statements: 8,
        };
        SqliteConnection::open(folder, profile).unwrap()
    }

    fn run(sqlite: &mut SqliteConnection, sql: &str, time: Duration) -> Result<String, SqlError> {
        sqlite.hold(Hold {
            deadline: Deadline::after(time),
            ticket: None,
            slice: None,
            may_wait: true,
        });
        let form = Form {
            format: Format::Json,
            shape: Shape::Rows,
            int64: Int64Form::Number,
            max_rows: 10,
            may_truncate: false,
            max_bytes: 1000,
        };
        let statement = Statement {
            sql: sql.into(),
            ..Statement::default()
        };
        let answer = sqlite.run(&statement, &form);
        sqlite.release();
        answer.map(|it| String::from_utf8(it.body).unwrap())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn one_step_that_reads_much_ends_by_its_deadline() {
        let folder = TempFolder::new();
        let mut writer = connection(&folder.0, Role::Writer);
        run(&mut writer, "CREATE TABLE t (a)", LONG).unwrap();
        let rows = "INSERT INTO t SELECT zeroblob(3000) FROM json_each('[' || \
                    substr(replace(hex(zeroblob(1000)), '0', ',1'), 2) || ']')";
        run(&mut writer, rows, LONG).unwrap();

        for role in [Role::Reader, Role::Writer] {
            let mut sqlite = connection(&folder.0, role);
            // It knows the schema and the first rows, and counts in one step.
            run(&mut sqlite, "SELECT 1 FROM t LIMIT 1", LONG).unwrap();
            let count = "SELECT count(*) FROM t";
            let interrupted = run(&mut sqlite, count, Duration::ZERO);
            assert_eq!(interrupted, Err(SqlError::Timeout), "{role:?}");
            assert!(sqlite.is_spoiled());
            let body = run(&mut sqlite, count, LONG).unwrap();
            assert!(body.contains(r#""rows":[[2000]]"#), "{body}");
        }
    }

    #[test]
    fn a_write_that_is_interrupted_while_it_reads_is_undone() {
        let folder = TempFolder::new();
        let mut writer = connection(&folder.0, Role::Writer);
        run(&mut writer, "CREATE TABLE t (a, b)", LONG).unwrap();
        let rows = "INSERT INTO t VALUES (1, zeroblob(4000000)), (2, zeroblob(4000000))";
        run(&mut writer, rows, LONG).unwrap();

        // It knows the beginnings of the rows, and has to read the rest.
        let mut second = connection(&folder.0, Role::Writer);
        run(&mut second, "SELECT a FROM t", LONG).unwrap();
        let double = "UPDATE t SET a = a * 2, b = b || b";
        let interrupted = run(&mut second, double, Duration::ZERO);
        assert_eq!(interrupted, Err(SqlError::Timeout));
        let body = run(&mut second, "SELECT a, length(b) FROM t", LONG).unwrap();
        let kept = r#""rows":[[1,4000000],[2,4000000]]"#;
        assert!(body.contains(kept), "{body}");
    }
}
