//! Runs the statements of a SQL text: all of them in one transaction, or none.
use super::broken_text;
use super::outcome::{Loaded, failure_of, internal, refused, shortened, unreadable};
use super::splitter::{Piece, SplitError, Splitter};
use super::target::Target;
use super::virtual_tables::{self, VirtualTables};
use super::words::{Word, Words, foreign_dialect};
use crate::engine::loading::LoadOrder;
use crate::engine::sql::redacted::redacted;
use crate::runtime::child::{ChildFailure, ChildFailureCode};
use rusqlite::ErrorCode;
use std::fs;
use std::io::Read;
use std::path::Path;

use crate::engine::sqlite::files::MAIN_FILE;

/// Statements between two reports.
const REPORT_EVERY: u64 = 1_000;
/// Rows may come before those that they refer to.
const BEGIN: &str = "BEGIN; PRAGMA defer_foreign_keys = ON";
/// Characters of a statement that an error shows.
const SHOWN_SQL: usize = 120;

/// PRAGMAs of a script that are passed over: they say how the writing program worked, or what the
/// gateway decides.
const PASSED_OVER: &[&str] = &[
    "foreign_keys",
    "defer_foreign_keys",
    "writable_schema",
    "journal_mode",
    "journal_size_limit",
    "synchronous",
    "cache_size",
    "cache_spill",
    "temp_store",
    "locking_mode",
    "mmap_size",
    "busy_timeout",
    "legacy_alter_table",
    "recursive_triggers",
    "page_size",
    "auto_vacuum",
    "encoding",
    "foreign_key_check",
    "integrity_check",
    "quick_check",
    "optimize",
    "secure_delete",
    "wal_autocheckpoint",
    "wal_checkpoint",
    "automatic_index",
    "count_changes",
    "cell_size_check",
    "trusted_schema",
    "threads",
    "fullfsync",
    "checkpoint_fullfsync",
    "read_uncommitted",
    "query_only",
    "shrink_memory",
    "analysis_limit",
    "table_info",
    "case_sensitive_like",
    "short_column_names",
    "full_column_names",
    "empty_result_callbacks",
];

/// Runs all of `input` on the database in `file`.
pub(super) fn run(
    order: &LoadOrder,
    file: &Path,
    input: impl Read,
    told: &mut dyn FnMut(u64),
) -> Result<Loaded, ChildFailure> {
    if let Some(base) = &order.base {
        fs::copy(base.join(MAIN_FILE), file).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => {
                ChildFailure::new(ChildFailureCode::DiskFull, "the disk is full")
            }
            _ => ChildFailure::internal(format!("the database cannot be copied: {error}")),
        })?;
    }
    let target = Target::open(order, file)?;
    let own = |sql: &str| {
        let ran = target.own(|sqlite| sqlite.execute_batch(sql));
        ran.map_err(|error| internal(&error, order))
    };
    if order.base.is_some() {
        own("PRAGMA foreign_keys = ON")?;
    }
    own(BEGIN)?;
    let before = target.sqlite.total_changes();
    let mut script = Script {
        order,
        target: &target,
        virtual_tables: VirtualTables::default(),
        loaded: Loaded::default(),
        transaction: None,
        has_committed: false,
    };
    let mut splitter = Splitter::new(input);
    while let Some(piece) = splitter.next().map_err(split_failure)? {
        script.take(piece)?;
        if script.loaded.statements.is_multiple_of(REPORT_EVERY) {
            told(target.sqlite.total_changes() - before);
        }
    }
    let rows = target.sqlite.total_changes() - before;
    let Script {
        virtual_tables,
        mut loaded,
        transaction,
        ..
    } = script;
    if let Some(line) = transaction {
        return Err(ChildFailure::refused(format!(
            "the text ends inside the transaction that begins on line {line}: it was cut off; \
             write the dump again"
        )));
    }
    if loaded.statements == 0 {
        return Err(ChildFailure::refused("the text holds no statement"));
    }
    virtual_tables::rebuild(virtual_tables, &target, order, &mut loaded.notes)?;
    let committed = target.own(|sqlite| sqlite.execute_batch("COMMIT"));
    committed.map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => ChildFailure::refused(
            "at its end rows refer to rows that are not there; begin the text with \
             `PRAGMA foreign_keys = OFF;` to keep them",
        ),
        _ => internal(&error, order),
    })?;
    loaded.rows = rows;
    told(rows);
    Ok(loaded)
}

fn split_failure(error: SplitError) -> ChildFailure {
    match error {
        SplitError::Unreadable(error) => unreadable(&error),
        SplitError::TooLong { .. } | SplitError::EndsInside { .. } => {
            ChildFailure::refused(error.to_string())
        }
    }
}

/// What stands behind the line `.dbconfig defensive off`, which `.recover` writes first.
fn behind_shell_setting(sql: &[u8], line: u64) -> (&[u8], u64) {
    let is_setting = sql.trim_ascii_start().starts_with(b".dbconfig ");
    let end = memchr::memchr(b'\n', sql.trim_ascii_start());
    match (is_setting, end) {
        (true, Some(end)) => (&sql.trim_ascii_start()[end + 1..], line + 1),
        (true, None) => (&[], line),
        (false, _) => (sql, line),
    }
}

struct Script<'s> {
    order: &'s LoadOrder,
    target: &'s Target,
    virtual_tables: VirtualTables,
    loaded: Loaded,
    /// The line of a BEGIN without its COMMIT.
    transaction: Option<u64>,
    /// Whether a transaction of the text has ended well.
    has_committed: bool,
}

impl Script<'_> {
    fn take(&mut self, piece: Piece<'_>) -> Result<(), ChildFailure> {
        let (sql, line) = behind_shell_setting(piece.sql, piece.line);
        if sql
            .iter()
            .all(|byte| matches!(byte, b';' | b' ' | b'\n' | b'\r' | b'\t'))
        {
            return Ok(());
        }
        self.loaded.statements += 1;
        // The very most of a dump.
        if !Words::of(sql).pass(&["INSERT"]) && self.took_itself(sql, line)? {
            return Ok(());
        }
        if self.virtual_tables.take(sql, line, self.target)? {
            return Ok(());
        }
        self.execute(sql, line)
    }

    /// Does what is no statement for SQLite here; `false` for one that is.
    fn took_itself(&mut self, sql: &[u8], line: u64) -> Result<bool, ChildFailure> {
        let mut words = Words::of(sql);
        let Some(first) = words.next() else {
            return Ok(true);
        };
        let first = match &first {
            Word::Bare(word) => word.to_ascii_uppercase(),
            Word::Sign(b'.') => {
                let command = words.next();
                let command = command.as_ref().and_then(Word::name).unwrap_or_default();
                return Err(refused(
                    line,
                    &format!(
                        "`.{}` is a command of the sqlite3 shell, not SQL: remove the line, or run the \
                         file through the shell and send what `.dump` writes",
                        shortened(command, SHOWN_SQL)
                    ),
                ));
            }
            Word::Sign(b'\\') => {
                return Err(refused(line, "a command of psql, not SQL: remove the line"));
            }
            Word::Quoted(_) | Word::Sign(_) => return Ok(false),
        };
        match first.as_str() {
            "BEGIN" => {
                self.transaction.get_or_insert(line);
                if self.has_committed {
                    self.begin_later_transaction()?;
                }
            }
            "COMMIT" | "END" => {
                self.transaction = None;
                self.has_committed = true;
            }
            "SAVEPOINT" | "RELEASE" => {}
            "ROLLBACK" if words.any(|word| word.is("TO")) => {
                return Err(refused(
                    line,
                    "ROLLBACK TO is not allowed: an import is one transaction; remove what it \
                     would take back",
                ));
            }
            // APSW's shell ends with a transaction that it takes back.
            "ROLLBACK" if self.has_committed && self.transaction.is_some() => {
                self.transaction = None;
                self.own("ROLLBACK")?;
                self.own(BEGIN)?;
            }
            "ROLLBACK" => {
                return Err(refused(
                    line,
                    "ROLLBACK: the program that wrote the dump met errors (`ROLLBACK; -- due to \
                     errors`), so it is not whole; repair the database with `.recover`, and send that",
                ));
            }
            "PRAGMA" => self.pragma(words, line)?,
            "VACUUM" if Words::of(sql).any(|word| word.is("INTO")) => {
                return Err(refused(
                    line,
                    "VACUUM INTO is not allowed: an import writes no other file; remove the line",
                ));
            }
            "VACUUM" => {}
            "CREATE" if virtual_tables::declares_sequence(sql) => {
                self.own(virtual_tables::MAKE_SEQUENCE)?;
            }
            "ATTACH" | "DETACH" => {
                return Err(refused(
                    line,
                    &format!("{first} is not allowed: an import is one database; remove the line"),
                ));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Begins one that can be taken back, which takes a journal.
    fn begin_later_transaction(&self) -> Result<(), ChildFailure> {
        self.own("COMMIT")?;
        let journal = self.target.own(|sqlite| {
            sqlite.query_row("PRAGMA journal_mode = DELETE", [], |row| {
                row.get::<_, String>(0)
            })
        });
        journal.map_err(|error| internal(&error, self.order))?;
        self.own(BEGIN)
    }

    fn own(&self, sql: &str) -> Result<(), ChildFailure> {
        let ran = self.target.own(|sqlite| sqlite.execute_batch(sql));
        ran.map_err(|error| internal(&error, self.order))
    }

    fn pragma(&mut self, mut words: Words<'_>, line: u64) -> Result<(), ChildFailure> {
        let name = words.table().unwrap_or_default().to_ascii_lowercase();
        let value: Vec<Word> = words.take(3).collect();
        if name == "foreign_keys" && self.order.base.is_some() {
            return self.switch_foreign_keys(&value);
        }
        if PASSED_OVER.contains(&name.as_str()) {
            return Ok(());
        }
        if !matches!(name.as_str(), "user_version" | "application_id") {
            return Err(refused(
                line,
                &format!(
                    "PRAGMA {} is not allowed in an import: remove the line",
                    shortened(&name, SHOWN_SQL)
                ),
            ));
        }
        let (sign, number) = match value.as_slice() {
            [
                Word::Sign(b'=' | b'('),
                Word::Sign(b'-'),
                Word::Bare(number),
                ..,
            ] => ("-", number),
            [Word::Sign(b'=' | b'('), Word::Bare(number), ..] => ("", number),
            _ => return Ok(()), // a question
        };
        let Ok(number) = format!("{sign}{number}").parse::<i64>() else {
            return Err(refused(
                line,
                &format!("PRAGMA {name} takes a whole number"),
            ));
        };
        let set = self
            .target
            .own(|sqlite| sqlite.pragma_update(None, &name, number));
        set.map_err(|error| internal(&error, self.order))
    }

    /// Has foreign keys hold or not, as the text says, in a database that had rows before. SQLite
    /// takes that between transactions alone; what is committed in between goes with the file when
    /// the rest fails.
    fn switch_foreign_keys(&mut self, value: &[Word]) -> Result<(), ChildFailure> {
        let [
            Word::Sign(b'=' | b'('),
            Word::Bare(word) | Word::Quoted(word),
            ..,
        ] = value
        else {
            return Ok(()); // a question
        };
        let are_on = ["on", "1", "true", "yes"]
            .iter()
            .any(|on| word.eq_ignore_ascii_case(on));
        let switched = self.target.own(|sqlite| {
            sqlite.execute_batch("COMMIT")?;
            sqlite.pragma_update(None, "foreign_keys", are_on)?;
            sqlite.execute_batch(BEGIN)
        });
        switched.map_err(|error| internal(&error, self.order))
    }

    fn execute(&mut self, sql: &[u8], line: u64) -> Result<(), ChildFailure> {
        let text = broken_text::readable(sql).map_err(|error| {
            refused(
                line,
                &format!(
                    "byte {} of the statement is not UTF-8, and not within a text: convert the \
                     file, for example with `iconv -f LATIN1 -t UTF-8`",
                    error.valid_up_to()
                ),
            )
        })?;
        let text = &*text;
        if text.contains('\0') {
            return Err(refused(line, "the statement holds a NUL byte"));
        }
        let Err(error) = self.target.sqlite.execute_batch(text) else {
            return Ok(());
        };
        let said = error.to_string();
        if let Some(missing) = virtual_tables::missing_own_table(&said) {
            let made = self.target.own(|sqlite| sqlite.execute_batch(missing));
            made.map_err(|error| internal(&error, self.order))?;
            if self.target.sqlite.execute_batch(text).is_ok() {
                return Ok(());
            }
        }
        if let Some(failure) = failure_of(&error, self.order) {
            return Err(failure);
        }
        let hint = foreign_dialect(sql).map_or_else(String::new, |hint| format!("; {hint}"));
        // Its values are the owner's: errors are kept in the history.
        let shown = shortened(&redacted(text), SHOWN_SQL);
        // rusqlite repeats the statement; SQLite's own words are enough.
        let said = match &error {
            rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
            rusqlite::Error::SqliteFailure(_, Some(said)) => said.clone(),
            other => other.to_string(),
        };
        let said = if said.starts_with("not authorized") {
            "the statement is not allowed in an import: it reaches outside of the database"
                .to_owned()
        } else {
            said
        };
        Err(refused(line, &format!("{said}, in `{shown}`{hint}")))
    }
}
