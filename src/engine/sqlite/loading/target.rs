//! The connection on which a database is built: bounded, and closed to what is not the database's
//! own.
use super::outcome::internal;
use crate::engine::loading::LoadOrder;
use crate::engine::sqlite::functions::additions;
use crate::engine::sqlite::limits::LIMITS;
use crate::runtime::child::ChildFailure;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Page cache, in KiB: what was not written yet of one large transaction goes to the file past it.
const CACHE_KIB: i64 = 64 << 10;
/// SQLite's own bounds on a text or BLOB, and on a statement.
const LONGEST_VALUE: i32 = 1_000_000_000;
/// A dump has no more of these than its database had.
const MOST_COLUMNS: i32 = 2_000;

/// A connection to the database that is built.
pub(super) struct Target {
    pub(super) sqlite: Connection,
    /// Whether a statement is our own, which the authorizer lets through.
    is_own: Arc<AtomicBool>,
}

impl Target {
    /// Opens the database in `file`, or makes it.
    pub(super) fn open(order: &LoadOrder, file: &Path) -> Result<Self, ChildFailure> {
        Self::opened(order, file).map_err(|error| internal(&error, order))
    }

    fn opened(order: &LoadOrder, file: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let mut sqlite = Connection::open_with_flags(file, flags)?;
        for (config, on) in [
            // Shadow tables of FTS are written when a dump has them.
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
            // Old dumps have texts in double quotes.
            (DbConfig::SQLITE_DBCONFIG_DQS_DML, true),
            (DbConfig::SQLITE_DBCONFIG_DQS_DDL, true),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        ] {
            sqlite.set_db_config(config, on)?;
        }
        // The file is thrown away unless all of it is well, so it needs no journal.
        sqlite.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let _: String = sqlite.query_row("PRAGMA journal_mode = OFF", [], |row| row.get(0))?;
        sqlite.pragma_update(None, "synchronous", "OFF")?;
        sqlite.pragma_update(None, "temp_store", "FILE")?;
        sqlite.pragma_update(None, "mmap_size", 0)?;
        sqlite.pragma_update(None, "cell_size_check", true)?;
        sqlite.pragma_update(None, "cache_size", -CACHE_KIB)?;
        sqlite.pragma_update(None, "foreign_keys", false)?;
        let page_bytes: u32 = sqlite.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = (order.size_bytes / u64::from(page_bytes.max(1))).clamp(1, 0xffff_fffe);
        let pages = i64::try_from(pages).unwrap_or(i64::MAX);
        sqlite.pragma_update(None, "max_page_count", pages)?;
        for (limit, value) in LIMITS {
            let value = match *limit {
                Limit::SQLITE_LIMIT_LENGTH | Limit::SQLITE_LIMIT_SQL_LENGTH => LONGEST_VALUE,
                Limit::SQLITE_LIMIT_COLUMN => MOST_COLUMNS,
                // INSERTs of many rows are compounds, or take many steps.
                Limit::SQLITE_LIMIT_VDBE_OP => 250_000_000,
                _ => *value,
            };
            sqlite.set_limit(*limit, value)?;
        }
        additions::add_to(&sqlite, &Arc::default())?;
        let is_own = Arc::new(AtomicBool::new(false));
        let own = Arc::clone(&is_own);
        sqlite.authorizer(Some(move |context: AuthContext<'_>| {
            if own.load(Ordering::Relaxed) {
                Authorization::Allow
            } else {
                judge(&context.action)
            }
        }))?;
        Ok(Self { sqlite, is_own })
    }

    /// Runs work of our own, past the authorizer.
    pub(super) fn own<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let before = self.is_own.swap(true, Ordering::Relaxed);
        let done = work(&self.sqlite);
        self.is_own.store(before, Ordering::Relaxed);
        done
    }
}

/// What a statement of a file may do: everything to its own database, and nothing else.
fn judge(action: &AuthAction<'_>) -> Authorization {
    match action {
        // FTS5 and R*Tree ask these themselves.
        AuthAction::Pragma {
            pragma_name: "data_version" | "page_size",
            pragma_value: None,
        } => Authorization::Allow,
        AuthAction::Attach { .. } | AuthAction::Detach { .. } | AuthAction::Pragma { .. } => {
            Authorization::Deny
        }
        AuthAction::Function { function_name } => {
            let is_refused = [
                "load_extension",
                "fts3_tokenizer",
                "readfile",
                "writefile",
                "edit",
            ]
            .iter()
            .any(|name| function_name.eq_ignore_ascii_case(name));
            if is_refused {
                Authorization::Deny
            } else {
                Authorization::Allow
            }
        }
        _ => Authorization::Allow,
    }
}
