//! Runs one statement.
use super::answer::{AnswerWriter, Totals};
use super::first_word::{begins_with, without_end};
use super::pieces::{Outlet, Pieces, Whole};
use super::{binding, hint};
use crate::clock::Stopwatch;
use crate::engine::sql::{
    Counters, EndedStatement, Params, QueryAnswer, Statement, StatementKind, StatementOutcome,
    VALUE_TOO_LONG,
};
use crate::engine::sql::{Form, Param};
use crate::engine::sqlite::connection::SqliteConnection;
use crate::engine::sqlite::error::SqlError;
use crate::engine::sqlite::limits::{LARGE_CACHE_KIB, PAGE_CACHE_KIB};
use crate::engine::sqlite::sandbox::authorizer::{Seen, StatementStack};
use crate::engine::sqlite::sandbox::bounded_program::Bounds;
use crate::engine::sqlite::sandbox::memory::{Budget, STATEMENT_BYTES};
use crate::engine::sqlite::sandbox::role::{Refused, Role};
use crate::engine::sqlite::sandbox::vfs::{TempFilesIn, lacked_shared_memory, why_full};
use crate::engine::sqlite::sandbox::watch::Watch;
use crate::shares::Held;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::{Batch, CachedStatement, Connection, ErrorCode};
use std::sync::Arc;
use std::time::Duration;

/// What a statement answered.
#[derive(Debug)]
pub struct Answer {
    /// The finished body; of one that was sent in pieces, the rest.
    pub body: Vec<u8>,
    /// The room that the body takes.
    pub held: Held,
    /// Rows in it.
    pub row_count: u64,
    /// Rows that were inserted, updated or deleted.
    pub rows_affected: u64,
    /// Whether there were more rows.
    pub truncated: bool,
    /// How long it took, preparing included.
    pub elapsed: Duration,
    /// What its session's statements have done, itself included.
    pub counters: Counters,
    /// The hidden columns of its last row.
    pub hidden: Vec<Param>,
    /// It cannot have changed anything.
    pub reads_only: bool,
    /// It changes the schema: what was learned about other statements no longer holds.
    pub changes_schema: bool,
}

impl From<Answer> for QueryAnswer {
    fn from(it: Answer) -> Self {
        Self {
            body: it.held.keep(it.body),
            row_count: it.row_count,
            rows_affected: it.rows_affected,
            truncated: it.truncated,
            elapsed: it.elapsed,
            counters: it.counters,
            hidden: it.hidden,
        }
    }
}

impl SqliteConnection {
    /// Runs a statement under the interrupt handle that was put on, and writes its answer.
    ///
    /// # Errors
    /// Whatever the statement deserves; the connection may be spoiled by it.
    pub fn run(&mut self, statement: &Statement, form: &Form) -> Result<Answer, SqlError> {
        self.confine(None)?;
        self.run_into(statement, form, Whole::new(form.max_bytes))
    }

    /// The same, on a thread that must not be kept: within the bounds of its program.
    ///
    /// # Errors
    /// As [`Self::run`], and where the bounds do not suffice: run elsewhere, it may end well.
    pub fn run_within(
        &mut self,
        bounds: Bounds,
        statement: &Statement,
        form: &Form,
    ) -> Result<Answer, SqlError> {
        self.confine(Some(bounds))?;
        self.run_into(statement, form, Whole::new(form.max_bytes))
    }

    /// The same, but gives the body to `send` in pieces, all but the rest. `send` may wait, and
    /// may end the statement.
    ///
    /// # Errors
    /// As [`Self::run`], and what `send` says.
    pub fn stream(
        &mut self,
        statement: &Statement,
        form: &Form,
        send: impl FnMut(Vec<u8>) -> Result<(), SqlError>,
    ) -> Result<Answer, SqlError> {
        self.confine(None)?;
        let interrupts = Arc::clone(&self.interrupts);
        self.run_into(
            statement,
            form,
            Pieces::new(form.max_bytes, interrupts, send),
        )
    }

    fn run_into(
        &mut self,
        statement: &Statement,
        form: &Form,
        mut outlet: impl Outlet,
    ) -> Result<Answer, SqlError> {
        let stopwatch = Stopwatch::start();
        self.recorder.take();
        let _stack = StatementStack::begin();
        if self.role.reads_only() {
            self.session.begin(statement.counters);
        }
        // What it sorts is written in runs as large as the cache, and merged: fewer are faster.
        let sorts_much = self.temp_space.is_some() && builds_an_index(&statement.sql);
        if sorts_much {
            self.resize_page_cache(LARGE_CACHE_KIB)?;
        }
        self.session.statement_begins(&self.inner);
        let watch = Watch::under(&self.interrupts);
        let limits = (
            Budget::of(STATEMENT_BYTES),
            TempFilesIn::space(self.temp_space.as_ref()),
        );
        let mut row = None;
        let mut result = run(self, statement, form, &mut outlet, stopwatch, &mut row);
        if let Some(cut) = watch.told() {
            result = Err(SqlError::interrupted(Some(cut)));
        }
        drop((limits, watch));
        if result.is_err() {
            self.session.statement_ends(&self.inner, false);
        }
        if sorts_much {
            self.resize_page_cache(PAGE_CACHE_KIB)?;
        }
        // The next one may find room for it, and is faster then.
        self.is_spoiled |= lacked_shared_memory();
        let seen = self.recorder.take();
        let result = match result {
            Ok(answer) => {
                let fine = match answer.changes_schema {
                    true => (self.look_into_created(&seen.created))
                        .and_then(|()| self.look_for_ties_to_insides()),
                    false => Ok(()),
                };
                fine.map(|()| answer)
            }
            // It runs again elsewhere, and is explained there.
            Err(error) if self.bounds.is_some() => Err(error),
            Err(error) => Err(self.explain(error, &seen, &statement.sql).in_row(row)),
        };
        self.count(&result, statement, stopwatch, outlet.paused());
        if let Err(error) = &result {
            // A read that only has to go elsewhere leaves nothing, and its pages are wanted.
            let goes_elsewhere = self.bounds.is_some() && *error == SqlError::SliceOver;
            self.is_spoiled |= error.spoils_connection() && !goes_elsewhere;
        }
        result
    }

    /// Counts a statement that has ended. A read that only has to go elsewhere is counted there.
    fn count(
        &self,
        result: &Result<Answer, SqlError>,
        statement: &Statement,
        since: Stopwatch,
        paused: Duration,
    ) {
        let Some(counter) = &self.counter else {
            return;
        };
        let (kind, outcome, elapsed, rows, changed) = match result {
            Ok(answer) => (
                match answer.reads_only {
                    true => StatementKind::Read,
                    false => StatementKind::Write,
                },
                StatementOutcome::Ok,
                answer.elapsed,
                answer.row_count,
                answer.rows_affected,
            ),
            Err(_) if self.bounds.is_some() => return,
            // It goes to the writer, where it is counted.
            Err(SqlError::NeedsWriter) if self.role.reads_only() => return,
            Err(error) => (
                match self.role.reads_only() {
                    true => StatementKind::Read,
                    false => StatementKind::Write,
                },
                error.outcome(),
                since.elapsed(),
                0,
                0,
            ),
        };
        counter.count(&EndedStatement {
            sql: &statement.sql,
            kind,
            outcome,
            elapsed: elapsed.saturating_sub(paused),
            rows,
            changed,
        });
    }

    /// Whether a statement was refused with an older schema in mind, which is looked at anew.
    ///
    /// SQLite itself looks again where a table or column is missing, and not where, say, the two
    /// sides of a UNION have other numbers of columns: another connection may have changed that.
    fn may_be_behind(&self, error: &rusqlite::Error) -> bool {
        use rusqlite::Error::{SqlInputError, SqliteFailure};
        let (SqliteFailure(error, _) | SqlInputError { error, .. }) = error else {
            return false;
        };
        error.code == ErrorCode::Unknown && self.role == Role::Reader && self.refresh_schema()
    }

    /// Sees what other connections have changed in the schema, which SQLite itself does when it
    /// begins to read.
    fn refresh_schema(&self) -> bool {
        let looked = self.as_internal(|internal| {
            let mut look = internal.prepare_cached("SELECT 1 FROM sqlite_schema LIMIT 0")?;
            look.raw_query().next().map(|_| ())
        });
        looked.is_ok()
    }

    /// Makes the error the one the client should see.
    pub(crate) fn explain(&self, error: SqlError, seen: &Seen, sql: &str) -> SqlError {
        match (&seen.refused, error) {
            // It is refused by what it does inside, or by the transaction that it is in.
            (_, SqlError::Sql { .. } | SqlError::NotAllowed { .. })
                if begins_with(sql, &["vacuum"]) =>
            {
                let what = "VACUUM, which rewrites the whole file; room that is free is used again";
                SqlError::NotAllowed { what: what.into() }
            }
            (
                Some(Refused::NotAllowed(what)),
                SqlError::Sql { .. } | SqlError::NotAllowed { .. },
            ) => SqlError::NotAllowed { what: what.clone() },
            (Some(Refused::NeedsWriter), SqlError::Sql { .. } | SqlError::NotAllowed { .. }) => {
                SqlError::NeedsWriter
            }
            (Some(Refused::ForeignKeysOff), SqlError::Sql { .. } | SqlError::NotAllowed { .. }) => {
                SqlError::ForeignKeysOff
            }
            (Some(Refused::TooDeep), SqlError::Sql { .. } | SqlError::NotAllowed { .. }) => {
                SqlError::Sql {
                    message: "the statement is nested too deeply".to_owned(),
                    hint: Some(
                        "use fewer parts of UNION and its like, or fewer views inside one another"
                            .to_owned(),
                    ),
                }
            }
            (None, SqlError::Sql { message, .. })
                if self.role.reads_only() && message.ends_with(" because it is a view") =>
            {
                SqlError::NeedsWriter
            }
            (
                None,
                SqlError::Sql {
                    message,
                    hint: None,
                },
            ) if message == VALUE_TOO_LONG && begins_with(sql, &["alter"]) => SqlError::Sql {
                message,
                hint: Some(
                    "the rows that are there are compared by functions that nothing interrupts, \
                     which take short values: some kB for instr, replace, trim, unhex and \
                     json_patch, 2 MiB for LIKE and GLOB; make a new table with the constraint, \
                     and copy the rows"
                        .to_owned(),
                ),
            },
            (
                None,
                SqlError::Sql {
                    message,
                    hint: None,
                },
            ) => {
                let schema = self.role.schema();
                let hint = hint::for_shell_command(sql).or_else(|| {
                    self.as_internal(|internal| hint::for_message(internal, schema, &message))
                });
                SqlError::Sql { message, hint }
            }
            (None, SqlError::DiskFull) if let Some(full) = why_full() => full.into(),
            (None, SqlError::DiskFull) => self.what_is_full(sql),
            (_, SqlError::VirtualTable { message }) => self.index_does_not_fit(&message, sql),
            (_, error) => error,
        }
    }

    /// Whether a statement was refused because it writes, and would only be explained: then it may
    /// be prepared.
    fn only_explains(&self, sql: &str) -> bool {
        let mut seen = self.recorder.lock();
        let is_refused = seen.refused == Some(Refused::NeedsWriter);
        let explains = is_refused && begins_with(sql, &["explain"]);
        if explains {
            *seen = Seen {
                explains,
                ..Seen::default()
            };
        }
        explains
    }
}

/// Rows of parameters between two looks at a statement's limits: a row takes a microsecond or more.
/// SQLite itself looks in between, by the steps of its machine.
const ROWS_BETWEEN_LOOKS: usize = 64;

/// Whether it may sort a whole table: a guess by its first word.
fn builds_an_index(sql: &str) -> bool {
    begins_with(sql, &["create", "reindex"])
}

fn run(
    connection: &SqliteConnection,
    statement: &Statement,
    form: &Form,
    outlet: &mut impl Outlet,
    stopwatch: Stopwatch,
    at_row: &mut Option<usize>,
) -> Result<Answer, SqlError> {
    let cut = |it: rusqlite::Error| SqlError::from_sqlite(&it, connection.interrupts.interrupt());
    let sqlite = &connection.inner;
    let prepare_it = || match prepare(sqlite, &statement.sql) {
        Err(error) if connection.may_be_behind(&error) => prepare(sqlite, &statement.sql),
        Err(_) if connection.only_explains(&statement.sql) => prepare(sqlite, &statement.sql),
        prepared => prepared,
    };
    let mut prepared = prepare_it().map_err(cut)?;
    let mut found = connection.recorder.found();
    let tells_of_schema = found.asks_pragma || prepared.is_explain() != 0;
    if tells_of_schema && connection.role == Role::Reader && connection.refresh_schema() {
        // Some PRAGMAs, and plans, are made while they are prepared, from the schema as it was last
        // seen.
        prepared.discard();
        prepared = prepare_it().map_err(cut)?;
        found = connection.recorder.found();
    }
    // Of EXPLAIN, what it would do is told: nothing.
    if let Some(sql) = found.instead.filter(|_| prepared.is_explain() == 0) {
        prepared.discard();
        prepared = prepare(sqlite, sql).map_err(cut)?;
        found = connection.recorder.found();
    }
    if found.asks_changes && connection.role == Role::Writer && !prepared.readonly() {
        let forgotten =
            connection.as_internal(|internal| connection.session.forget_changes(internal));
        forgotten.map_err(cut)?;
    }
    if found.checks_file {
        connection.refresh_fts5_tables();
    }
    let columns = match &statement.params {
        Params::List(list) => Some(binding::Columns::of(list, &prepared)?),
        params => {
            binding::bind(params, &mut prepared)?;
            None
        }
    };
    let most_bytes = (found.adds_constraint)
        .then(|| connection.most_bytes_for_originals(&statement.sql))
        .flatten();
    let _short = (most_bytes.map(|bytes| connection.short_values(bytes)))
        .transpose()
        .map_err(cut)?;
    let mut writer = AnswerWriter::new(form, outlet).inserting(statement.inserts.as_deref());
    let mut has_head = false;
    let mut rows_affected = 0;
    let mut step_through = |prepared: &mut CachedStatement<'_>| -> Result<(), SqlError> {
        let changes_before = sqlite.total_changes();
        let mut rows = prepared.raw_query();
        while let Some(row) = rows.next().map_err(cut)? {
            if !has_head {
                writer.head(row.as_ref())?;
                has_head = true;
            }
            if !writer.row(row)? {
                break;
            }
        }
        drop(rows);
        // `changes` keeps its number over statements that change nothing.
        if sqlite.total_changes() != changes_before {
            rows_affected += sqlite.changes();
        }
        Ok(())
    };
    match (&columns, &statement.params) {
        (Some(columns), Params::List(list)) => {
            for row in 0..list.rows() {
                if row % ROWS_BETWEEN_LOOKS == 0
                    && let Some(cut) = connection.interrupts.poll()
                {
                    return Err(SqlError::interrupted(Some(cut)));
                }
                *at_row = Some(row);
                columns.bind(row, &mut prepared)?;
                step_through(&mut prepared)?;
            }
            *at_row = None;
        }
        _ => step_through(&mut prepared)?,
    }
    if !has_head {
        writer.head(&prepared)?;
    }
    let changes_schema = found.changes_schema && prepared.is_explain() == 0;
    // To SQLite, EXPLAIN of a statement that changes rows is one that changed none.
    let reads_only = prepared.readonly();
    let counts_rows = !reads_only && !found.changes_schema && !found.asks_pragma;
    if found.changes_schema || found.asks_pragma || found.asks_changes {
        // Its next run has to be seen by the authorizer again, which tells others of it.
        prepared.discard();
    }

    let inserted = (connection.session).statement_ends(sqlite, counts_rows);
    let elapsed = stopwatch.elapsed();
    let totals = Totals {
        rows_affected: writer.changed_rows().unwrap_or(rows_affected),
        last_insert_rowid: inserted,
        elapsed,
    };
    let written = writer.finish(&totals);
    Ok(Answer {
        body: written.body,
        held: written.held,
        row_count: written.row_count,
        rows_affected: totals.rows_affected,
        truncated: written.truncated,
        elapsed,
        reads_only,
        changes_schema,
        counters: connection.session.counters(),
        hidden: written.hidden,
    })
}

/// Prepares a statement, or takes it from the cache.
pub(crate) fn prepare<'c>(
    sqlite: &'c Connection,
    sql: &str,
) -> Result<CachedStatement<'c>, rusqlite::Error> {
    let sql = without_end(sql);
    if sql.contains(';') {
        refuse_several(sqlite, sql)?;
    }
    sqlite.prepare_cached(sql)
}

/// A `;` may stand in a text, a comment or a trigger; SQLite knows.
///
/// Asked here and not of `prepare`, which would prepare all that follows inside one another:
/// ten thousand statements in a row would end the thread's stack.
fn refuse_several(sqlite: &Connection, sql: &str) -> Result<(), rusqlite::Error> {
    let mut batch = Batch::new(sqlite, sql);
    batch.next()?.ok_or(rusqlite::Error::Empty)?;
    match batch.next() {
        Ok(None) => Ok(()),
        Ok(Some(_)) | Err(_) => Err(rusqlite::Error::MultipleStatement),
    }
}
