//! Runs an import.
mod ending;

use crate::clock::Stopwatch;
use crate::data::imports::batches::{Batch, Batches, MAX_BATCH_ROWS, Piece, RunOfRows};
use crate::data::imports::input::ReadError;
use crate::data::imports::position::{Position, PositionTable, plain};
use crate::data::imports::source::Source;
use crate::data::imports::target::{self, First, Target as Into};
use crate::data::imports::turns::{TableImportError, Turns, in_words, row_error};
use crate::data::{
    BatchError, BatchStatement, DataPlane, Params, QueryAnswer, QueryError, Target, quoted,
};
use crate::domain::import::{ImportSummary, RowError, RowsForm, TableImport};
use crate::unpacked_file::{ReadSoFar, UnpackedFile};
use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Rows of the first batch; how many the next ones have follows from how long it takes.
const FIRST_BATCH_ROWS: usize = 500;
/// How long one turn of the writer is to take: others wait meanwhile.
const TURN: Duration = Duration::from_millis(25);
/// Batches that wait for the writer.
const WAITING_BATCHES: usize = 1;

/// What is imported, and where.
#[derive(Debug, Clone, Copy)]
pub struct ImportCall<'c> {
    /// The data plane.
    pub plane: &'c DataPlane,
    /// The database.
    pub database: &'c Target,
    /// How.
    pub import: &'c TableImport,
    /// The file, as it was sent.
    pub file: &'c Path,
    /// Most bytes that it unpacks to.
    pub unpacked_bytes: u64,
    /// Of this import alone: tables beside the user's have it in their names.
    pub tag: &'c str,
    /// Ends the import early.
    pub interrupted: &'c CancellationToken,
}

impl ImportCall<'_> {
    fn position_table(&self) -> PositionTable {
        PositionTable::new(format!("_dbforge_position_{}", self.tag))
    }

    fn beside(&self) -> String {
        format!("_dbforge_import_{}", self.tag)
    }
}

/// Imports a file, or goes on where an import has ended early. `progress` is told bytes of the file
/// and rows.
///
/// # Errors
/// See [`TableImportError`]. What is left then is removed by [`discard`].
pub async fn import_rows(
    call: ImportCall<'_>,
    progress: impl Fn(u64, u64) + Sync,
) -> Result<ImportSummary, TableImportError> {
    let mut run = Run::begin(call).await?;
    if run.position.is_done {
        return Ok(run.position.summary());
    }
    let Some((source, into, read)) = run.prepare().await? else {
        return Err(TableImportError::Interrupted);
    };
    let into = Arc::new(into);
    let size = Arc::new(AtomicUsize::new(FIRST_BATCH_ROWS));
    let (pieces, mut waiting) = mpsc::channel(WAITING_BATCHES);
    let batches = Batches {
        source,
        target: Arc::clone(&into),
        done: run.position.records,
        skips_errors: call.import.skips_errors,
        size: Arc::clone(&size),
        pieces,
    };
    let reader = tokio::task::spawn_blocking(move || batches.run());
    loop {
        let piece = tokio::select! {
            biased;
            () = call.interrupted.cancelled() => return Err(TableImportError::Interrupted),
            piece = waiting.recv() => piece,
        };
        match piece {
            None => break,
            Some(Piece::Failed(error)) => return Err(run.with_kept(error.into(), &into)),
            Some(Piece::Misfit(row)) => return Err(run.refused(row, &into)),
            Some(Piece::Batch(batch)) => {
                let took = run.write(batch, &into).await?;
                size.store(
                    next_size(size.load(Ordering::Relaxed), took),
                    Ordering::Relaxed,
                );
            }
        }
        progress(read.bytes(), run.position.records);
    }
    reader
        .await
        .map_err(|error| TableImportError::Broken(error.to_string()))?;
    run.end(&into).await?;
    progress(read.bytes(), run.position.records);
    Ok(run.position.summary())
}

/// Forgets an import that has ended well. Twice is the same as once.
///
/// # Errors
/// When the database refuses.
pub async fn finish(call: ImportCall<'_>) -> Result<(), TableImportError> {
    let run = Run::begin(call).await?;
    let table = quoted(&run.table.name);
    let drop = plain(format!("DROP TABLE IF EXISTS {table}"));
    run.turns.commit(vec![drop]).await?;
    Ok(())
}

/// Removes what an import that has ended early has left, and the table that it was to make. Twice is
/// the same as once.
///
/// # Errors
/// When the database refuses.
pub async fn discard(call: ImportCall<'_>) -> Result<(), TableImportError> {
    let run = Run::begin(call).await?;
    let mut left = vec![call.beside(), run.table.name.clone()];
    if run.position.creates && run.position.is_done {
        left.push(call.import.table.clone());
    }
    let drops = left
        .iter()
        .map(|name| plain(format!("DROP TABLE IF EXISTS {}", quoted(name))));
    run.turns.commit(drops.collect()).await?;
    Ok(())
}

/// How many rows the next batch has, after one of `rows` that took so long.
fn next_size(rows: usize, took: Duration) -> usize {
    let wanted = TURN.as_secs_f64() / took.as_secs_f64().max(1e-4);
    // It grows step by step, and shrinks at once.
    let factor = wanted.clamp(0.01, 2.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a number of rows is small"
    )]
    let next = (rows as f64 * factor) as usize;
    next.clamp(1, MAX_BATCH_ROWS)
}

/// An import that is being run.
struct Run<'c> {
    call: ImportCall<'c>,
    turns: Turns<'c>,
    table: PositionTable,
    position: Position,
    /// Whether there is a position from before.
    is_resumed: bool,
}

impl<'c> Run<'c> {
    async fn begin(call: ImportCall<'c>) -> Result<Self, TableImportError> {
        let mut run = Self {
            call,
            turns: Turns {
                plane: call.plane,
                database: call.database,
                interrupted: call.interrupted,
            },
            table: call.position_table(),
            position: Position::default(),
            is_resumed: false,
        };
        let schema = run.turns.schema().await?;
        if schema.find(&run.table.name).is_some()
            && let Some(stored) = run
                .turns
                .ask(run.table.select(), Params::None)
                .await?
                .into_iter()
                .next()
        {
            run.position = Position::read(stored);
            run.is_resumed = true;
        }
        Ok(run)
    }

    /// Opens the file and finds the table, which is made where there is none. `None` when it was
    /// interrupted.
    async fn prepare(&mut self) -> Result<Option<(Source, Into, ReadSoFar)>, TableImportError> {
        let schema = self.turns.schema().await?;
        let import = self.call.import;
        let beside = self.call.beside();
        let is_begun = self.is_resumed && self.position.creates;
        let found = match is_begun {
            true => None,
            false => target::find(&schema, import).map_err(TableImportError::Refused)?,
        };
        let table = found.cloned();
        let must_survey = table.is_none();
        let (source, typed, read) = match self.open(must_survey).await? {
            Some(opened) => opened,
            None => return Ok(None),
        };
        let mut source = source;
        let into = match &table {
            Some(table) => Into::of(table, source.names(), import, &beside)
                .map_err(TableImportError::Refused)?,
            None => Into::new(&typed, import.form.has_fields(), &beside),
        };
        source.set_columns(into.columns.clone());
        if !self.is_resumed {
            self.position.creates = table.is_none();
            self.note(&source, &typed);
            let mut statements = self.table.begin(&self.position).to_vec();
            statements.extend(into.create(&typed).map(plain));
            self.turns.commit(statements).await?;
        }
        Ok(Some((source, into, read)))
    }

    fn note(&mut self, source: &Source, typed: &[(String, &'static str)]) {
        // Not where the form or the caller said so.
        let is_guessed =
            self.call.import.form == RowsForm::Csv && self.call.import.delimiter.is_none();
        if let Some(delimiter) = source
            .delimiter()
            .filter(|delimiter| is_guessed && *delimiter != b',')
        {
            let name = match delimiter {
                b'\t' => "a tab".to_owned(),
                other => format!("`{}`", char::from(other)),
            };
            self.position
                .notes
                .push(format!("fields are separated by {name}"));
        }
        let mixed = typed.iter().filter(|(_, kind)| kind.is_empty());
        let mixed: Vec<_> = mixed
            .map(|(name, _)| format!("`{name}`"))
            .take(20)
            .collect();
        if !mixed.is_empty() {
            let mixed = mixed.join(", ");
            let note = format!("values of several kinds, so no type was declared: {mixed}");
            self.position.notes.push(note);
        }
    }

    /// Opens the file, and reads it once where the table is made of what is in it.
    async fn open(
        &self,
        must_survey: bool,
    ) -> Result<Option<(Source, Vec<(String, &'static str)>, ReadSoFar)>, TableImportError> {
        let (file, most) = (self.call.file.to_owned(), self.call.unpacked_bytes);
        let import = self.call.import.clone();
        let goes_on = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&goes_on);
        let opened = tokio::task::spawn_blocking(move || {
            let open = || -> Result<(Source, ReadSoFar), TableImportError> {
                let file = File::open(&file).map_err(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => TableImportError::FileGone,
                    _ => TableImportError::Refused(format!("the file cannot be read: {error}")),
                })?;
                let file = UnpackedFile::new(file, most).map_err(ReadError::from)?;
                let read = file.position();
                Ok((Source::open(Box::new(file), &import)?, read))
            };
            let (mut source, mut read) = open()?;
            let mut typed = Vec::new();
            if must_survey {
                let is_json = source.names().is_none();
                if import.finds_types || is_json {
                    typed = source.survey(|| asked.load(Ordering::Relaxed))?;
                    (source, read) = open()?;
                } else {
                    let names = source.names().unwrap_or_default();
                    typed = names.iter().map(|name| (name.clone(), "TEXT")).collect();
                }
                if !import.finds_types {
                    typed.iter_mut().for_each(|(_, kind)| *kind = "TEXT");
                }
            }
            Ok::<_, TableImportError>((source, typed, read))
        });
        let mut opened = opened;
        let opened = tokio::select! {
            opened = &mut opened => opened,
            () = self.call.interrupted.cancelled() => {
                goes_on.store(false, Ordering::Relaxed);
                let _ = opened.await;
                return Ok(None);
            }
        };
        let opened = opened.map_err(|error| TableImportError::Broken(error.to_string()))?;
        opened.map(Some)
    }

    /// Writes a batch. Returns how long the writer took.
    async fn write(&mut self, batch: Batch, into: &Into) -> Result<Duration, TableImportError> {
        let watch = Stopwatch::start();
        let mut next = self.position.clone();
        for (_, error) in &batch.misfits {
            next.skip(error.clone());
        }
        next.records = batch.records;
        next.written += batch
            .runs
            .iter()
            .map(|run| run.rows.rows() as u64)
            .sum::<u64>();
        match self.try_write(&batch.runs, &next).await {
            Ok(answers) => {
                self.position = next;
                let took: Duration = answers.iter().map(|answer| answer.elapsed).sum();
                self.check_skipped(into)?;
                return Ok(took);
            }
            Err(failure) => {
                let row = self.blamed(&batch.runs, failure)?;
                if !self.call.import.skips_errors {
                    return Err(self.refused(row.1, into));
                }
            }
        }
        self.write_in_parts(batch, into).await?;
        Ok(watch.elapsed())
    }

    /// Writes what fits of a batch, part by part, each with its position.
    async fn write_in_parts(&mut self, batch: Batch, into: &Into) -> Result<(), TableImportError> {
        let mut misfits: VecDeque<_> = batch.misfits.into();
        let mut parts: VecDeque<RunOfRows> = batch.runs.into();
        while let Some(part) = parts.pop_front() {
            let mut next = self.position.clone();
            let last = part.records.last().copied().unwrap_or(next.records);
            let before = misfits.partition_point(|(record, _)| *record < last);
            let earlier = misfits.range(..before).map(|(_, error)| error.clone());
            earlier.for_each(|error| next.skip(error));
            next.records = last;
            next.written += part.rows.rows() as u64;
            let parts_now = [part];
            match self.try_write(&parts_now, &next).await {
                Ok(_) => {
                    self.position = next;
                    misfits.drain(..before);
                }
                Err(failure) => {
                    let ((_, row), error) = self.blamed(&parts_now, failure)?;
                    let [part] = parts_now;
                    let [before, behind] = part.without(row);
                    let record = part.records[row];
                    let place = misfits.partition_point(|(before, _)| *before < record);
                    misfits.insert(place, (record, error));
                    if self.position.skipped + misfits.len() as u64 > self.call.import.max_errors {
                        parts.clear();
                        continue;
                    }
                    if let Some(behind) = behind {
                        parts.push_front(behind);
                    }
                    if let Some(before) = before {
                        parts.push_front(before);
                    }
                }
            }
            self.check_skipped(into)?;
        }
        let mut next = self.position.clone();
        misfits.into_iter().for_each(|(_, error)| next.skip(error));
        next.records = batch.records;
        let update = self.table.update(&next);
        self.turns.commit(vec![update]).await?;
        self.position = next;
        self.check_skipped(into)
    }

    async fn try_write(
        &self,
        runs: &[RunOfRows],
        next: &Position,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        let rows = runs.iter().map(|run| BatchStatement {
            sql: Arc::clone(&run.sql),
            params: Params::List(run.rows.clone()),
        });
        let mut statements: Vec<_> = rows.collect();
        statements.push(self.table.update(next));
        self.turns.batch(statements, None).await
    }

    /// The row that made a batch fail: its run and its place there, and why.
    fn blamed(
        &self,
        runs: &[RunOfRows],
        failure: BatchError,
    ) -> Result<((usize, usize), RowError), TableImportError> {
        let BatchError { statement, error } = failure;
        let Some(run) = runs.get(statement) else {
            return Err(error.into());
        };
        match error {
            QueryError::InRow { index, error } => {
                let line = run.lines.get(index).copied().unwrap_or_default();
                Ok(((statement, index), row_error(line, &error)))
            }
            QueryError::DeferredForeignKey => {
                let (first, last) = (run.lines.first(), run.lines.last());
                Err(TableImportError::Refused(format!(
                    "a deferred foreign key is broken by a row of lines {} to {}",
                    first.copied().unwrap_or_default(),
                    last.copied().unwrap_or_default()
                )))
            }
            error @ (QueryError::Sql { .. } | QueryError::Constraint { .. }) => {
                Err(TableImportError::Refused(in_words(&error)))
            }
            error => Err(error.into()),
        }
    }

    fn refused(&self, row: RowError, into: &Into) -> TableImportError {
        TableImportError::Row {
            row,
            kept: self.kept(into),
        }
    }

    fn with_kept(&self, error: TableImportError, into: &Into) -> TableImportError {
        match error {
            TableImportError::Refused(said) => {
                TableImportError::Refused(format!("{said}{}", self.kept(into)))
            }
            other => other,
        }
    }

    /// What is kept of an import that fails, in words.
    fn kept(&self, into: &Into) -> String {
        match into.first {
            First::Table if self.position.written > 0 => {
                let written = self.position.written;
                format!("; the {written} rows before it are kept, since atomic=false")
            }
            _ => "; nothing was imported".to_owned(),
        }
    }

    fn check_skipped(&self, into: &Into) -> Result<(), TableImportError> {
        let most = self.call.import.max_errors;
        if self.position.skipped <= most {
            return Ok(());
        }
        let shown = self.position.errors.iter().map(ToString::to_string);
        let shown = shown.collect::<Vec<_>>().join("; ");
        Err(TableImportError::Refused(format!(
            "more than {most} rows do not fit{}: {shown}",
            self.kept(into)
        )))
    }
}
