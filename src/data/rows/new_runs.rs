//! Rows to be inserted, by the columns that they name: each run of them is one statement.
use super::body::{MAX_ROW_COLUMNS, NewRows};
use super::dialect::RowsQuery;
use super::error::RowsError;
use super::reading::positional;
use crate::data::{
    Excess, ListBuilder, MAX_PARAMETER_ROWS, MAX_RUNS, Param, ParamRef, Params, ParamsList,
    QueryError, Run,
};
use std::collections::HashSet;

/// Rows of the same columns.
pub(super) struct NewRun {
    pub(super) columns: Vec<String>,
    pub(super) rows: RunRows,
}

/// Their values.
pub(super) enum RunRows {
    One(Vec<Param>),
    Many(ParamsList),
}

impl RunRows {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(rows) => rows.rows(),
        }
    }

    /// With more values behind those of each row.
    pub(super) fn with(self, more: Vec<Param>) -> Params {
        match self {
            Self::One(mut values) => {
                values.extend(more);
                positional(values)
            }
            Self::Many(rows) if more.is_empty() => Params::List(rows),
            Self::Many(rows) => {
                let mut list = ListBuilder::of_width(rows.width() + more.len());
                for row in 0..rows.rows() {
                    rows.row(row).for_each(|value| list.push(value));
                    more.iter().for_each(|value| list.push(value.borrowed()));
                    list.end_row();
                }
                Params::List(list.finish())
            }
        }
    }
}

/// The runs of rows, with the columns that are named instead of their own.
///
/// # Errors
/// When there are too many.
pub(super) fn runs_of(
    rows: NewRows,
    query: &RowsQuery,
    missing_is_null: Option<bool>,
) -> Result<Vec<NewRun>, RowsError> {
    match rows {
        NewRows::One(row) => {
            let (mut columns, mut values): (Vec<String>, Vec<Param>) = row.0.into_iter().unzip();
            if let Some(wanted) = &query.columns {
                let places = Places::of(&columns, wanted, missing_is_null.unwrap_or(true));
                let picked = places.0.iter().map(|(_, place)| match place {
                    Some(place) => values[*place].clone(),
                    None => Param::Null,
                });
                values = picked.collect();
                columns = places.columns();
            }
            Ok(vec![NewRun {
                columns,
                rows: RunRows::One(values),
            }])
        }
        NewRows::Many(rows) => {
            if let Some(excess) = rows.excess {
                return Err(too_many(excess).into());
            }
            if rows
                .runs
                .iter()
                .any(|run| run.columns.len() > MAX_ROW_COLUMNS)
            {
                return Err(RowsError::invalid(format!(
                    "a row names more than {MAX_ROW_COLUMNS} columns"
                )));
            }
            with_columns(rows.runs, query, missing_is_null)
        }
    }
}

fn too_many(excess: Excess) -> QueryError {
    let (what, most) = match excess {
        Excess::Rows => ("the number of rows", MAX_PARAMETER_ROWS),
        Excess::Runs => (
            "the number of times that a row names other columns than the one before it",
            MAX_RUNS,
        ),
    };
    QueryError::PayloadTooLarge {
        what,
        limit: most.to_string(),
    }
}

/// The columns that are written, each with its place among those of a row.
struct Places<'c>(Vec<(&'c str, Option<usize>)>);

impl<'c> Places<'c> {
    /// `wanted` columns of rows that have `own`; missing ones are NULL, or left out.
    fn of(own: &[String], wanted: &'c [String], missing_are_null: bool) -> Self {
        let place = |column: &String| own.iter().position(|known| known == column);
        let places = wanted.iter().map(|column| (column.as_str(), place(column)));
        Self(
            places
                .filter(|(_, place)| missing_are_null || place.is_some())
                .collect(),
        )
    }

    fn columns(&self) -> Vec<String> {
        let columns = self.0.iter();
        columns.map(|(column, _)| (*column).to_owned()).collect()
    }
}

fn with_columns(
    runs: Vec<Run>,
    query: &RowsQuery,
    missing_is_null: Option<bool>,
) -> Result<Vec<NewRun>, RowsError> {
    let as_they_are = |run: Run| NewRun {
        columns: run.columns,
        rows: RunRows::Many(run.rows),
    };
    let wanted = match (&query.columns, missing_is_null) {
        (Some(columns), _) => columns.clone(),
        (None, Some(true)) => {
            let mut known = HashSet::new();
            let columns = runs.iter().flat_map(|run| &run.columns);
            let all = columns.filter(|column| known.insert(column.as_str()));
            let all: Vec<String> = all.take(MAX_ROW_COLUMNS + 1).cloned().collect();
            if all.len() > MAX_ROW_COLUMNS {
                return Err(RowsError::invalid(format!(
                    "the rows name more than {MAX_ROW_COLUMNS} columns"
                )));
            }
            all
        }
        (None, None | Some(false)) => return Ok(runs.into_iter().map(as_they_are).collect()),
    };
    let runs = runs.into_iter().map(|run| {
        if run.columns == wanted {
            return as_they_are(run);
        }
        let places = Places::of(&run.columns, &wanted, missing_is_null.unwrap_or(true));
        let mut list = ListBuilder::of_width(places.0.len());
        for row in 0..run.rows.rows() {
            for (_, place) in &places.0 {
                list.push(place.map_or(ParamRef::Null, |place| run.rows.value(row, place)));
            }
            list.end_row();
        }
        NewRun {
            columns: places.columns(),
            rows: RunRows::Many(list.finish()),
        }
    });
    Ok(runs.collect())
}
