//! The rows of a table or of a query, as they are read.
use super::bounds::Turn;
use super::form::{ExportForm, RowParts};
#[cfg(feature = "parquet")]
use super::parquet::{ParquetRows, Pieces};
use super::spill::{SpillBounds, SpillReader, SpillWriter, spill};
use super::tables::table_parts;
use crate::clock::Deadline;
use crate::data::DataPlane;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::{
    Call, Form, Format, InsertTarget, Int64Form, Keep, Params, QueryError, RowStream, Shape,
    Statement, StreamStopper, Streamed, Target,
};
use crate::shares::Pass;
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// What is exported.
#[derive(Debug, Clone)]
pub enum ExportSource {
    /// All rows of a table or view.
    Table(String),
    /// The rows of a statement that only reads.
    Query {
        /// The statement.
        sql: String,
        /// Its parameters.
        params: Params,
        /// In SQL, the table that its rows are inserted into.
        into: String,
    },
}

/// Rows on their way to a client. Dropped before the end, it ends the reading.
#[derive(Debug)]
pub struct ExportedRows {
    before: Option<Bytes>,
    rows: Rows,
    after: Option<Bytes>,
    deadline: Deadline,
    stop: Arc<Stop>,
    token_ended: CancellationToken,
    is_over: bool,
    _turn: Arc<Turn>,
}

#[derive(Debug)]
enum Rows {
    Whole(Option<Bytes>),
    Spilled(SpillReader),
}

#[derive(Debug, Default)]
struct Stop {
    why: OnceLock<QueryError>,
    stopped: CancellationToken,
}

/// Ends an export of rows from outside.
#[derive(Debug)]
pub struct RowExportStopper {
    stop: Arc<Stop>,
    reading: Option<StreamStopper>,
}

impl DataPlane {
    /// Exports rows. Reading goes on whether they are taken or not.
    ///
    /// # Errors
    /// Before the first row, as [`Self::stream`]; also when as many exports run as may.
    pub async fn export_rows(
        &self,
        guard: &SharedGuard,
        target: &Target,
        source: ExportSource,
        form: ExportForm,
    ) -> Result<(ExportedRows, RowExportStopper), QueryError> {
        let exports = &self.exports;
        let turn = Arc::new(exports.rows.take(target.database)?);
        let bounds = &exports.bounds;
        let call = call_of(form, bounds.read_time);
        let executor = self.executor_of(target)?;
        let mut parts = match source {
            ExportSource::Table(name) => {
                let schema = executor.schema(guard, target, &call).await?;
                table_parts(&schema, &name, form)?
            }
            ExportSource::Query { sql, params, into } => {
                self.refuse_early(&sql, &params)?;
                query_parts(sql, params, into, form)
            }
        };
        let streamed = executor.stream(guard, target, &call, &call.form, parts.statement);
        let (rows, reading) = match streamed.await? {
            Streamed::Whole(answer) => {
                let body = match form.is_parquet {
                    true => packed_at_once(&answer.body)?,
                    false => answer.body,
                };
                (Rows::Whole(Some(body)), None)
            }
            Streamed::Rows(rows) => {
                let reading = rows.stopper();
                let bounds = SpillBounds {
                    folder: exports.folder.to_path_buf(),
                    bytes: bounds.spilled_bytes,
                    disk_reserve: bounds.disk_reserve,
                };
                let mut rows = read_into_spill(rows, bounds, Arc::clone(&turn), form.is_parquet);
                // What is wrong with the first rows is said as an error, and not by breaking off.
                if form.is_parquet
                    && let Some(first) = rows.next().await
                {
                    parts.before = first?;
                }
                (Rows::Spilled(rows), Some(reading))
            }
        };
        let stop = Arc::new(Stop::default());
        let stopper = RowExportStopper {
            stop: Arc::clone(&stop),
            reading,
        };
        let token_ended = Pass::here().map(|pass| pass.account().ended().clone());
        let rows = ExportedRows {
            before: Some(parts.before).filter(|bytes| !bytes.is_empty()),
            rows,
            after: Some(parts.after).filter(|bytes| !bytes.is_empty()),
            deadline: Deadline::after(bounds.send_time),
            stop,
            token_ended: token_ended.unwrap_or_default(),
            is_over: false,
            _turn: turn,
        };
        Ok((rows, stopper))
    }
}

fn call_of(form: ExportForm, read_time: std::time::Duration) -> Call {
    let shape = match form.format {
        Format::Ndjson if form.is_parquet => Shape::Rows,
        Format::Ndjson | Format::Array => Shape::Objects,
        Format::Csv | Format::Json | Format::Sql => Shape::Rows,
    };
    Call {
        deadline: Deadline::after(read_time),
        timeout: read_time,
        may_write: false,
        yields_to_writes: true,
        keep: Keep::default(),
        form: Form {
            format: form.format,
            shape,
            int64: Int64Form::Number,
            max_rows: u64::MAX,
            may_truncate: false,
            max_bytes: usize::MAX,
            escapes_formulas: form.escapes_formulas,
        },
    }
}

fn query_parts(sql: String, params: Params, into: String, form: ExportForm) -> RowParts {
    let inserts = (form.format == Format::Sql).then(|| {
        Arc::new(InsertTarget {
            table: into,
            columns: None,
        })
    });
    RowParts {
        before: Bytes::new(),
        statement: Statement {
            sql: sql.into(),
            params,
            inserts,
            ..Statement::default()
        },
        after: Bytes::new(),
    }
}

/// Reads rows on a thread of their own, for as long as they are wanted.
fn read_into_spill(
    rows: RowStream,
    bounds: SpillBounds,
    turn: Arc<Turn>,
    is_parquet: bool,
) -> SpillReader {
    let (writer, reader) = spill(bounds);
    let tokio = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let end = match is_parquet {
            true => as_parquet(&tokio, rows, &writer),
            false => as_they_are(&tokio, rows, &writer),
        };
        if let Some(end) = end {
            writer.end(end);
        }
    });
    reader
}

/// Gives pieces on as they are. `None` when nothing reads them any more.
fn as_they_are(
    tokio: &Handle,
    mut rows: RowStream,
    writer: &SpillWriter,
) -> Option<Result<(), QueryError>> {
    loop {
        match tokio.block_on(rows.next()) {
            Some(Ok(piece)) => writer.put(piece).ok()?,
            Some(Err(error)) => return Some(Err(error)),
            None => return Some(Ok(())),
        }
    }
}

/// Makes a Parquet file of the pieces.
#[cfg(feature = "parquet")]
fn as_parquet(
    tokio: &Handle,
    mut rows: RowStream,
    writer: &SpillWriter,
) -> Option<Result<(), QueryError>> {
    let out = Pieces(|piece| writer.put(piece).is_ok());
    let mut file = ParquetRows::new(out);
    loop {
        match tokio.block_on(rows.next()) {
            Some(Ok(piece)) => {
                if let Err(error) = file.put(&piece) {
                    return Some(Err(error));
                }
            }
            Some(Err(error)) => return Some(Err(error)),
            None => return Some(file.finish()),
        }
    }
}

#[cfg(not(feature = "parquet"))]
fn as_parquet(
    tokio: &Handle,
    rows: RowStream,
    writer: &SpillWriter,
) -> Option<Result<(), QueryError>> {
    as_they_are(tokio, rows, writer)
}

/// A Parquet file of few rows.
fn packed_at_once(rows: &Bytes) -> Result<Bytes, QueryError> {
    #[cfg(feature = "parquet")]
    {
        let mut packed = Vec::new();
        let mut file = ParquetRows::new(Pieces(|piece: Bytes| {
            packed.extend_from_slice(&piece);
            true
        }));
        file.put(rows)?;
        file.finish()?;
        Ok(packed.into())
    }
    #[cfg(not(feature = "parquet"))]
    Ok(rows.clone())
}

impl ExportedRows {
    /// The next piece; `None` behind the last.
    ///
    /// # Errors
    /// Why the export ends here; nothing comes behind it.
    pub async fn next(&mut self) -> Option<Result<Bytes, QueryError>> {
        if self.is_over {
            return None;
        }
        if let Some(before) = self.before.take() {
            return Some(Ok(before));
        }
        let next = match &mut self.rows {
            Rows::Whole(body) => body.take().filter(|body| !body.is_empty()).map(Ok),
            Rows::Spilled(rows) => {
                tokio::select! {
                    biased;
                    () = self.token_ended.cancelled() => Some(Err(QueryError::TokenEnded)),
                    () = self.stop.stopped.cancelled() => {
                        Some(Err(self.stop.why.get().cloned().unwrap_or(QueryError::Expired)))
                    }
                    () = tokio::time::sleep_until(self.deadline.instant()) => {
                        Some(Err(QueryError::NotTakenInTime))
                    }
                    next = rows.next() => next,
                }
            }
        };
        match next {
            Some(Ok(piece)) => Some(Ok(piece)),
            Some(Err(error)) => {
                self.is_over = true;
                Some(Err(error))
            }
            None => {
                self.is_over = self.after.is_none();
                self.after.take().map(Ok)
            }
        }
    }
}

impl RowExportStopper {
    /// Ends the export, and tells its client why.
    pub fn stop(&self, error: QueryError) {
        if let Some(reading) = &self.reading {
            reading.stop(error.clone());
        }
        self.stop.why.get_or_init(|| error);
        self.stop.stopped.cancel();
    }
}
