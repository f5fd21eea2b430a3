//! Reads a file on a thread of its own, in batches that one turn of the writer takes.
use super::input::ReadError;
use super::row::Row;
use super::source::{NextRow, Source};
use super::target::{First, Target};
use crate::data::{ListBuilder, MAX_LIST_VALUES, ParamRef, ParamsList};
use crate::domain::import::RowError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Most rows of a batch.
pub const MAX_BATCH_ROWS: usize = 5_000;
/// Most bytes of a batch, unless one row has more.
const BATCH_BYTES: usize = 4 << 20;
/// Most statements of a batch: rows that name other columns than the one before begin a new one.
const BATCH_RUNS: usize = 500;

/// Rows for one turn of the writer.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) runs: Vec<RunOfRows>,
    /// Rows that cannot be written, with their numbers.
    pub(super) misfits: Vec<(u64, RowError)>,
    /// How many records of the file are behind once it is written.
    pub(super) records: u64,
}

/// Rows for one statement.
#[derive(Debug)]
pub(super) struct RunOfRows {
    pub(super) sql: Arc<str>,
    pub(super) rows: ParamsList,
    /// For each row, the line on which it begins.
    pub(super) lines: Vec<u64>,
    /// For each row, which record of the file it is, from 1.
    pub(super) records: Vec<u64>,
}

/// What comes of reading.
pub(super) enum Piece {
    Batch(Batch),
    /// A row does not fit, and none may be left out.
    Misfit(RowError),
    Failed(ReadError),
}

/// Reads a source to its end.
pub(super) struct Batches {
    pub(super) source: Source,
    pub(super) target: Arc<Target>,
    /// Records that were written before.
    pub(super) done: u64,
    pub(super) skips_errors: bool,
    /// How many rows a batch may have now.
    pub(super) size: Arc<AtomicUsize>,
    pub(super) pieces: mpsc::Sender<Piece>,
}

impl Batches {
    /// Sends batches until the end, or until they are no longer taken. Blocks.
    pub(super) fn run(mut self) {
        let mut row = Row::default();
        let mut record = 0;
        while record < self.done {
            match self.source.next(&mut row) {
                Ok(NextRow::End) => return,
                Ok(_) => record += 1,
                Err(error) => return self.fail(error),
            }
        }
        loop {
            let most = self.size.load(Ordering::Relaxed);
            let most = most
                .min(MAX_LIST_VALUES / (self.target.columns.len() + 2))
                .max(1);
            let mut batch = Building::new(&self.target);
            let mut is_last = false;
            while batch.rows < most && batch.size_bytes() < BATCH_BYTES {
                match self.source.next(&mut row) {
                    Ok(NextRow::Row(line)) => {
                        record += 1;
                        if !batch.add(&row, record, line) {
                            break;
                        }
                    }
                    Ok(NextRow::Misfit(error)) if self.skips_errors => {
                        record += 1;
                        batch.rows += 1;
                        batch.batch.misfits.push((record, error));
                    }
                    Ok(NextRow::Misfit(error)) => {
                        let _ = self.pieces.blocking_send(Piece::Misfit(error));
                        return;
                    }
                    Ok(NextRow::End) => {
                        is_last = true;
                        break;
                    }
                    Err(error) => return self.fail(error),
                }
            }
            let batch = batch.finish(record);
            let is_empty = batch.runs.is_empty() && batch.misfits.is_empty();
            if !is_empty && self.pieces.blocking_send(Piece::Batch(batch)).is_err() {
                return;
            }
            if is_last {
                return;
            }
        }
    }

    fn fail(self, error: ReadError) {
        let _ = self.pieces.blocking_send(Piece::Failed(error));
    }
}

/// A batch that is being filled.
struct Building<'t> {
    target: &'t Target,
    batch: Batch,
    rows: usize,
    bytes: usize,
    /// Columns with defaults for which the rows of the run have no value.
    missing: Vec<usize>,
    missing_now: Vec<usize>,
    values: ListBuilder,
    lines: Vec<u64>,
    records: Vec<u64>,
}

impl<'t> Building<'t> {
    fn new(target: &'t Target) -> Self {
        Self {
            target,
            batch: Batch::default(),
            rows: 0,
            bytes: 0,
            missing: Vec::new(),
            missing_now: Vec::new(),
            values: ListBuilder::default(),
            lines: Vec::new(),
            records: Vec::new(),
        }
    }

    fn size_bytes(&self) -> usize {
        self.bytes + self.values.size_bytes()
    }

    /// Adds a row. `false` when the batch is full.
    fn add(&mut self, row: &Row, record: u64, line: u64) -> bool {
        self.missing_now.clear();
        for place in 0..row.len() {
            if row.value(place).is_none() && self.target.has_default(place) {
                self.missing_now.push(place);
            }
        }
        // Compared one by one: nearly always both are empty, and a comparison of no bytes behind a
        // dangling pointer took a seventh of the time to read a row (`memcmp` with AVX-512).
        if self.values.rows() == 0 || !self.missing.iter().eq(&self.missing_now) {
            self.end_run();
            std::mem::swap(&mut self.missing, &mut self.missing_now);
            let own = match self.target.first {
                First::Moved(_) => 2,
                First::Table | First::Renamed(_) => 0,
            };
            self.values = ListBuilder::of_width(own + row.len() - self.missing.len());
        }
        if let First::Moved(_) = self.target.first {
            self.values.push(ParamRef::Integer(record.cast_signed()));
            self.values.push(ParamRef::Integer(line.cast_signed()));
        }
        for place in 0..row.len() {
            match row.value(place) {
                Some(value) => self.values.push(value),
                None if self.target.has_default(place) => {}
                None => self.values.push(ParamRef::Null),
            }
        }
        self.values.end_row();
        self.lines.push(line);
        self.records.push(record);
        self.rows += 1;
        self.batch.runs.len() < BATCH_RUNS
    }

    fn end_run(&mut self) {
        if self.values.rows() == 0 {
            return;
        }
        let values = std::mem::take(&mut self.values);
        self.bytes += values.size_bytes();
        self.batch.runs.push(RunOfRows {
            sql: self.target.insert(&self.missing).into(),
            rows: values.finish(),
            lines: std::mem::take(&mut self.lines),
            records: std::mem::take(&mut self.records),
        });
    }

    fn finish(mut self, records: u64) -> Batch {
        self.end_run();
        self.batch.records = records;
        self.batch
    }
}

impl RunOfRows {
    /// The rows before one, and those behind it.
    pub(super) fn without(&self, row: usize) -> [Option<Self>; 2] {
        let part = |rows: std::ops::Range<usize>| {
            (!rows.is_empty()).then(|| Self {
                sql: Arc::clone(&self.sql),
                rows: self.rows.part(rows.clone()),
                lines: self.lines[rows.clone()].to_vec(),
                records: self.records[rows].to_vec(),
            })
        };
        [part(0..row), part(row + 1..self.rows.rows())]
    }
}
