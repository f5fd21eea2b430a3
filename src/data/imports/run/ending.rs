//! The end of an import: rows that wait beside their table come into it, all of them or none.
use super::Run;
use crate::data::imports::position::{Position, plain};
use crate::data::imports::target::{First, Target as Into};
use crate::data::imports::turns::{TableImportError, in_words, row_error};
use crate::data::{BatchError, BatchStatement, Param, Params, QueryError, quoted};
use crate::domain::import::WriteMode;
use std::time::Duration;

/// How long all rows of an import may take that are moved to their table in one turn.
const MOVE_TIME: Duration = Duration::from_secs(600);
/// Into so many parts rows are divided to find the one that does not fit.
const PARTS: u64 = 100;

impl Run<'_> {
    /// Brings the rows to their table where they wait beside it.
    pub(super) async fn end(&mut self, into: &Into) -> Result<(), TableImportError> {
        let mut done = Position {
            is_done: true,
            ..self.position.clone()
        };
        match &into.first {
            First::Table => {
                let update = self.table.update(&done);
                self.turns.commit(vec![update]).await?;
            }
            First::Renamed(name) => {
                let table = quoted(&self.call.import.table);
                let rename = plain(format!("ALTER TABLE {} RENAME TO {table}", quoted(name)));
                let update = self.table.update(&done);
                self.turns.commit(vec![rename, update]).await?;
            }
            First::Moved(name) => {
                let mut statements = self.before_move();
                let moves = statements.len();
                statements.push(move_rows(into, 0, self.position.records));
                statements.push(self.table.update(&done));
                statements.push(plain(format!("DROP TABLE {}", quoted(name))));
                let moved = tokio::select! {
                    moved = self.turns.batch(statements, Some(MOVE_TIME)) => moved,
                    () = self.call.interrupted.cancelled() => {
                        return Err(TableImportError::Interrupted);
                    }
                };
                match moved {
                    Ok(answers) => {
                        done.written = answers.get(moves).map_or(0, |answer| answer.rows_affected);
                    }
                    Err(BatchError { statement, error }) if statement == moves => {
                        return Err(self.find_misfit(into, name, error).await?);
                    }
                    Err(failure) => return Err(failure.error.into()),
                }
            }
        }
        self.position = done;
        Ok(())
    }

    fn before_move(&self) -> Vec<BatchStatement> {
        match self.call.import.mode {
            WriteMode::Replace => {
                let table = quoted(&self.call.import.table);
                vec![plain(format!("DELETE FROM {table}"))]
            }
            WriteMode::Insert | WriteMode::Upsert => Vec::new(),
        }
    }

    /// Finds the row that does not fit, by moving ever smaller parts, of which nothing is kept.
    async fn find_misfit(
        &self,
        into: &Into,
        beside: &str,
        error: QueryError,
    ) -> Result<TableImportError, TableImportError> {
        if !matches!(
            error,
            QueryError::Constraint { .. } | QueryError::Sql { .. }
        ) {
            return Ok(error.into());
        }
        let (mut fits, mut fails) = (0, self.position.records);
        let mut last_error = error;
        while fails - fits > 1 {
            let step = (fails - fits).div_ceil(PARTS);
            let mut ends: Vec<u64> = (1..=PARTS)
                .map(|part| (fits + part * step).min(fails))
                .collect();
            ends.dedup();
            let mut statements = self.before_move();
            let offset = statements.len();
            statements.push(move_rows(into, 0, fits));
            let mut from = fits;
            for end in &ends {
                statements.push(move_rows(into, from, *end));
                from = *end;
            }
            // Where nothing fails any more, nothing is kept all the same.
            statements.push(plain("SELECT abs(-9223372036854775807 - 1)".to_owned()));
            match self.turns.batch(statements, Some(MOVE_TIME)).await {
                Err(BatchError { statement, error })
                    if statement > offset && statement <= offset + ends.len() =>
                {
                    let part = statement - offset - 1;
                    if part > 0 {
                        fits = ends[part - 1];
                    }
                    fails = ends[part];
                    last_error = error;
                }
                _ => return Ok(TableImportError::Refused(in_words(&last_error))),
            }
        }
        let line = self.line_of(beside, fails).await?;
        Ok(self.refused(row_error(line, &last_error), into))
    }

    async fn line_of(&self, beside: &str, record: u64) -> Result<u64, TableImportError> {
        let sql = format!("SELECT line FROM {} WHERE record = ?1", quoted(beside));
        let record = Params::Positional([Param::Integer(record.cast_signed())].into());
        let rows: Vec<(u64,)> = self.turns.ask(sql, record).await?;
        Ok(rows.first().map_or(0, |row| row.0))
    }
}

fn move_rows(into: &Into, behind: u64, up_to: u64) -> BatchStatement {
    let number = |number: u64| Param::Integer(number.cast_signed());
    BatchStatement {
        sql: into.moves().into(),
        params: Params::Positional([number(behind), number(up_to)].into()),
    }
}
