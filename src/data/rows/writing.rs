//! Writes rows.
use super::body::{NewRows, RowChanges};
use super::build::{self, ColumnSet, Conflict, Identity, InsertPlan, NewKey, OneRow, Returning};
use super::dialect::RowsQuery;
use super::error::RowsError;
use super::new_runs::{NewRun, RunRows, runs_of};
use super::reading::{explained, positional};
use crate::data::{
    Access, BareColumns, BatchMode, BatchStatement, DataPlane, Keep, Param, QueryAnswer,
    QueryOptions, Shape, SharedGuard, Target,
};
use crate::engine::sql::schema::Schema;
use bytes::Bytes;
use std::time::Duration;

/// How rows are written.
#[derive(Debug, Clone)]
pub struct WriteForm {
    /// What is answered.
    pub answer: WriteAnswer,
    /// What becomes of a row that is there already.
    pub conflict: Conflict,
    /// Whether a column that a row does not name is NULL; `None` where nothing is said.
    pub missing_is_null: Option<bool>,
    /// Whether it is kept, and how much it may change.
    pub keep: Keep,
    /// Marks of which the row must have one, as `If-Match` lists them.
    pub if_match: Vec<String>,
}

/// What is answered of rows that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteAnswer {
    /// How many there are.
    Count,
    /// The key of one row as well.
    Key,
    /// The rows, as `select` says.
    Rows,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct RowsWritten {
    /// How many rows.
    pub rows_affected: u64,
    /// A list of objects, where rows were asked for: what is in order, without the brackets.
    pub rows: Option<Vec<Bytes>>,
    /// The key of the last row as it stands in a path, where that was asked for.
    pub key: Option<String>,
    /// The columns and values of that key.
    pub key_columns: Vec<(String, String)>,
    /// How long the statements took.
    pub elapsed: Duration,
}

/// Inserts rows, all or none.
///
/// # Errors
/// When a row does not fit the table, or as for any statement.
pub async fn insert(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    table: &str,
    query: &RowsQuery,
    (rows, form): (NewRows, WriteForm),
) -> Result<RowsWritten, RowsError> {
    let schema = plane.schema(guard, target, &reading()).await?;
    let mut returning = form.returning(matches!(rows, NewRows::One(_)));
    let runs = runs_of(rows, query, form.missing_is_null)?;
    if runs.is_empty() {
        // Nothing is written, but what would be is looked at.
        build::insert(&schema, table, query, &[], form.conflict, returning)?;
        return Ok(RowsWritten::nothing(returning));
    }
    let mut statements = Vec::with_capacity(runs.len());
    // Of each run, where its first row is.
    let (mut starts, mut start) = (Vec::with_capacity(runs.len()), 0);
    let mut bare = BareColumns::default();
    let one = match &runs[..] {
        [
            NewRun {
                columns,
                rows: RunRows::One(values),
            },
        ] => Some((columns, values)),
        _ => None,
    };
    let known_key = match (one, returning, form.conflict) {
        (Some((columns, values)), Returning::Key, Conflict::Refuse) => {
            NewKey::of(&schema, table, columns, values)
        }
        _ => None,
    };
    if known_key.is_some() {
        returning = Returning::Nothing;
    }
    let is_one = one.is_some();
    for run in runs {
        starts.push(start);
        start += run.rows.len();
        let plan = build::insert(
            &schema,
            table,
            query,
            &run.columns,
            form.conflict,
            returning,
        )?;
        bare = plan.columns;
        statements.push(BatchStatement {
            sql: plan.sql.text.into(),
            params: run.rows.with(plan.sql.values),
        });
    }
    let options = form.options(bare);
    let mode = BatchMode::Immediate;
    let ran = plane.batch(guard, target, statements, mode, options);
    let answers = ran.await.map_err(|failure| {
        let (row, error) = failure.error.without_row();
        let start = starts.get(failure.statement).copied().unwrap_or(0);
        match row {
            _ if is_one => RowsError::Query(error),
            row => RowsError::Row {
                index: start + row.unwrap_or(0),
                error,
            },
        }
    })?;
    let number = answers.last().map(|it| it.counters.last_insert_rowid);
    let mut written = RowsWritten::of(&schema, table, returning, answers);
    if let Some(key) = known_key
        && written.rows_affected > 0
    {
        written.tell_key(&schema, table, &key.values(number.unwrap_or_default()));
    }
    Ok(written)
}

/// Gives new values to rows.
///
/// # Errors
/// As [`insert`]; [`RowsError::NoRow`] and [`RowsError::Changed`] of the one that a path names.
pub async fn change(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    (table, key): (&str, Option<&str>),
    query: &RowsQuery,
    (changes, form): (RowChanges, WriteForm),
) -> Result<RowsWritten, RowsError> {
    let schema = plane.schema(guard, target, &reading()).await?;
    let returning = form.returning(false);
    let marks = form.marks()?;
    let one = OneRow { key, marks: &marks };
    let mut set = changes.0;
    if let Some(columns) = &query.columns {
        set.retain(|(name, _)| columns.contains(name));
    }
    let is_empty = set.is_empty();
    if is_empty {
        // A change of nothing is one of no row.
        build::no_change(&schema, table, query, one)?;
        return Ok(RowsWritten::nothing(returning));
    }
    let plan = build::update(&schema, table, query, set, one, returning)?;
    let ran = run_one(
        plane,
        guard,
        target,
        (&schema, table),
        plan,
        &form,
        returning,
    );
    let written = match ran.await {
        Err(RowsError::Query(error)) => {
            let of = (table, query);
            return Err(explained(plane, guard, target, &schema, of, key, error).await);
        }
        other => other?,
    };
    found(plane, guard, target, (table, key), &form, written).await
}

/// Removes rows.
///
/// # Errors
/// As [`change`].
pub async fn remove(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    (table, key): (&str, Option<&str>),
    query: &RowsQuery,
    form: WriteForm,
) -> Result<RowsWritten, RowsError> {
    let schema = plane.schema(guard, target, &reading()).await?;
    let returning = form.returning(false);
    let marks = form.marks()?;
    let one = OneRow { key, marks: &marks };
    let plan = build::delete(&schema, table, query, one, returning)?;
    let ran = run_one(
        plane,
        guard,
        target,
        (&schema, table),
        plan,
        &form,
        returning,
    );
    let written = match ran.await {
        Err(RowsError::Query(error)) => {
            let of = (table, query);
            return Err(explained(plane, guard, target, &schema, of, key, error).await);
        }
        other => other?,
    };
    found(plane, guard, target, (table, key), &form, written).await
}

async fn run_one(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    (schema, table): (&Schema, &str),
    plan: InsertPlan,
    form: &WriteForm,
    returning: Returning,
) -> Result<RowsWritten, RowsError> {
    let request = crate::data::QueryRequest {
        options: form.options(plan.columns),
        sql: plan.sql.text,
        params: positional(plan.sql.values),
    };
    let answer = plane.query(guard, target, request).await?;
    Ok(RowsWritten::of(schema, table, returning, vec![answer]))
}

/// Says why the row that a path names was not changed, if it was not.
async fn found(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    (table, key): (&str, Option<&str>),
    form: &WriteForm,
    written: RowsWritten,
) -> Result<RowsWritten, RowsError> {
    let Some(key) = key else {
        return Ok(written);
    };
    if written.rows_affected > 0 || written.rows.as_ref().is_some_and(|rows| !rows.is_empty()) {
        return Ok(written);
    }
    let no_row = RowsError::NoRow {
        table: table.to_owned(),
        key: key.to_owned(),
    };
    if form.if_match.is_empty() {
        return Err(no_row);
    }
    let schema = plane.schema(guard, target, &reading()).await?;
    let all = RowsQuery::default();
    let look = build::PageForm {
        key: Some(key),
        mark: None,
        limit: 1,
        is_paged: false,
    };
    let page = build::page(&schema, table, &all, look)?;
    let request = crate::data::QueryRequest {
        sql: page.sql.text,
        params: positional(page.sql.values),
        options: QueryOptions::for_access(Access::ReadOnly),
    };
    let is_there = plane.query(guard, target, request).await?.row_count > 0;
    Err(match is_there {
        true => RowsError::Changed {
            table: table.to_owned(),
            key: key.to_owned(),
        },
        false => no_row,
    })
}

impl WriteForm {
    /// What statements return. The key of one row is told; of many it would be of the last.
    fn returning(&self, is_one: bool) -> Returning {
        match self.answer {
            WriteAnswer::Rows => Returning::Selected,
            WriteAnswer::Key if is_one => Returning::Key,
            WriteAnswer::Key | WriteAnswer::Count => Returning::Nothing,
        }
    }

    fn options(&self, columns: BareColumns) -> QueryOptions {
        QueryOptions {
            shape: Shape::Bare(columns),
            keep: self.keep,
            max_bytes: Some(usize::MAX),
            max_rows: None,
            ..QueryOptions::for_access(Access::ReadWrite)
        }
    }

    /// The marks of `If-Match`; none where any will do.
    fn marks(&self) -> Result<Vec<(ColumnSet, i64)>, RowsError> {
        if self.if_match.iter().any(|mark| mark == "*") {
            return Ok(Vec::new());
        }
        let mut marks = Vec::with_capacity(self.if_match.len());
        for mark in &self.if_match {
            // A mark that is not of a row fits none.
            marks.push(ColumnSet::read(mark).unwrap_or((ColumnSet::Some(vec![usize::MAX]), 0)));
        }
        Ok(marks)
    }
}

impl RowsWritten {
    fn nothing(returning: Returning) -> Self {
        Self {
            rows_affected: 0,
            rows: (returning == Returning::Selected).then(Vec::new),
            key: None,
            key_columns: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    fn of(schema: &Schema, table: &str, returning: Returning, answers: Vec<QueryAnswer>) -> Self {
        let mut written = Self::nothing(returning);
        for answer in answers {
            written.rows_affected += answer.rows_affected;
            written.elapsed += answer.elapsed;
            if let Some(rows) = &mut written.rows
                && answer.row_count > 0
            {
                rows.push(answer.body.slice(1..answer.body.len() - 1));
            }
            if returning == Returning::Key && !answer.hidden.is_empty() {
                written.tell_key(schema, table, &answer.hidden);
            }
        }
        written
    }

    fn tell_key(&mut self, schema: &Schema, table: &str, values: &[Param]) {
        let identity = schema.find(table).and_then(Identity::of);
        let Some(identity) = identity else {
            return;
        };
        self.key = Some(Identity::in_path(values));
        let columns = identity.columns.iter().zip(values);
        let columns = columns.map(|(column, value)| {
            let value = Identity::in_path(std::slice::from_ref(value));
            ((*column).to_owned(), value)
        });
        self.key_columns = columns.collect();
    }
}

fn reading() -> QueryOptions {
    QueryOptions::for_access(Access::ReadOnly)
}
