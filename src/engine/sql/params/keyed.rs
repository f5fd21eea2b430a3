//! Rows that are objects, from column to value: in runs of rows with the same columns.
use super::list::{ListBuilder, MAX_PARAMETER_ROWS, ParamsList};
use super::reading::{Names, RowForm, read_object};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::HashMap;
use std::fmt;

/// Most runs of rows: each is a statement of its own.
pub const MAX_RUNS: usize = 1_000;

/// Rows with the values of the columns that each of them names, in order.
#[derive(Debug, Default)]
pub struct KeyedRows {
    /// Rows that follow one another and name the same columns.
    pub runs: Vec<Run>,
    /// Why they are not all here, where there are too many.
    pub excess: Option<Excess>,
}

/// Rows that name the same columns.
#[derive(Debug)]
pub struct Run {
    /// Their columns.
    pub columns: Vec<String>,
    /// Their values, in the order of the columns.
    pub rows: ParamsList,
}

/// What there is more of than may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// Rows, of which there may be [`MAX_PARAMETER_ROWS`].
    Rows,
    /// Runs, of which there may be [`MAX_RUNS`].
    Runs,
}

impl KeyedRows {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.excess.is_none()
    }
}

impl<'de> Deserialize<'de> for KeyedRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RowsVisitor)
    }
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = KeyedRows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows, each of them an object of columns and values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<KeyedRows, A::Error> {
        let mut reading = Reading::default();
        while list.next_element_seed(NextRow(&mut reading))?.is_some() {
            if reading.rows > MAX_PARAMETER_ROWS {
                reading.read.excess = Some(Excess::Rows);
            } else if reading.read.runs.len() >= MAX_RUNS {
                reading.read.excess = Some(Excess::Runs);
            }
            if reading.read.excess.is_some() {
                // The rest is read, so that the request is known to be JSON, and not kept.
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(reading.read);
            }
        }
        reading.end_run();
        Ok(reading.read)
    }
}

#[derive(Default)]
struct Reading {
    read: KeyedRows,
    rows: usize,
    /// The columns of the run that is being read.
    names: Names,
    values: ListBuilder,
}

impl Reading {
    fn end_run(&mut self) {
        let values = std::mem::take(&mut self.values);
        let columns = std::mem::take(&mut self.names).list;
        if values.rows() > 0 {
            let rows = values.finish();
            self.read.runs.push(Run { columns, rows });
        }
    }

    /// The row that was read last names other columns: it begins a run.
    fn begin_run(&mut self, keys: Vec<String>) {
        let mut values = self.values.split_row();
        self.end_run();
        let columns = last_of_each(keys, &mut values);
        values.set_width(columns.len());
        (self.names, self.values) = (Names::new(columns), values);
    }
}

/// The columns of a row. Of a column that is named twice the last value counts.
fn last_of_each(keys: Vec<String>, values: &mut ListBuilder) -> Vec<String> {
    let places = keys.iter().enumerate();
    let last: HashMap<&str, usize> = places.map(|(place, key)| (key.as_str(), place)).collect();
    if last.len() == keys.len() {
        return keys;
    }
    let mut kept: Vec<usize> = last.into_values().collect();
    kept.sort_unstable();
    values.arrange(&kept);
    kept.into_iter().map(|place| keys[place].clone()).collect()
}

/// Reads one row.
struct NextRow<'r>(&'r mut Reading);

impl<'de> DeserializeSeed<'de> for NextRow<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, row: D) -> Result<(), D::Error> {
        row.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for NextRow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of columns and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, row: A) -> Result<(), A::Error> {
        let reading = self.0;
        let is_first = reading.values.rows() == 0;
        match read_object(&mut reading.values, &mut reading.names, row)? {
            RowForm::Same if !is_first => {}
            RowForm::Same => reading.begin_run(Vec::new()),
            RowForm::Other(keys) => reading.begin_run(keys),
        }
        reading.values.end_row();
        reading.rows += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sql::params::ParamRef;

    fn shown(json: &str) -> Vec<String> {
        let rows: KeyedRows = serde_json::from_str(json).unwrap();
        let runs = rows.runs.iter();
        runs.map(|run| {
            let rows = (0..run.rows.rows()).map(|row| {
                let values = run.rows.row(row).map(|value| match value {
                    ParamRef::Text(text) => str::from_utf8(text).unwrap().to_owned(),
                    ParamRef::Integer(number) => number.to_string(),
                    other => format!("{other:?}"),
                });
                values.collect::<Vec<_>>().join(" ")
            });
            let rows: Vec<_> = rows.collect();
            format!("{}: {}", run.columns.join(" "), rows.join(", "))
        })
        .collect()
    }

    #[test]
    fn rows_of_the_same_columns_are_one_run_whatever_their_order() {
        let json = r#"[{"a":1,"b":"x"},{"b":"y","a":2},{"a":3,"b":null}]"#;
        assert_eq!(shown(json), ["a b: 1 x, 2 y, 3 Null"]);
    }

    #[test]
    fn rows_of_other_columns_begin_a_run_and_keep_their_values() {
        let json = r#"[{"a":"one"},{},{},{"a":"two","b":"three"},{"b":"four"},{"b":"five"},
                       {"c":"six","a":"seven"}]"#;
        assert_eq!(
            shown(json),
            [
                "a: one",
                ": , ",
                "a b: two three",
                "b: four, five",
                "c a: six seven"
            ]
        );
        assert_eq!(shown("[{}]"), [": "]);
        assert!(shown("[]").is_empty());
    }

    #[test]
    fn of_a_column_that_is_named_twice_the_last_value_counts() {
        let json = r#"[{"a":1,"b":2},{"a":"x","b":3,"a":"y"},{"a":1,"a":2}]"#;
        assert_eq!(shown(json), ["a b: 1 2", "b a: 3 y", "a: 2"]);
    }

    #[test]
    fn rows_and_runs_beyond_the_bounds_are_told_and_not_kept() {
        let rows = format!("[{}{{}}]", "{},".repeat(MAX_PARAMETER_ROWS));
        let read: KeyedRows = serde_json::from_str(&rows).unwrap();
        assert_eq!(read.excess, Some(Excess::Rows));
        let runs = format!("[{}{{}}]", r#"{"a":1},{"b":1},"#.repeat(MAX_RUNS));
        let read: KeyedRows = serde_json::from_str(&runs).unwrap();
        assert_eq!(read.excess, Some(Excess::Runs));
        assert!(!read.is_empty() && read.runs.len() <= MAX_RUNS);
    }

    #[test]
    fn a_row_that_is_no_object_is_refused() {
        for wrong in [r#"[[1]]"#, "[1]", r#"[{"a":[1]}]"#, "{}"] {
            assert!(serde_json::from_str::<KeyedRows>(wrong).is_err(), "{wrong}");
        }
    }
}
