//! Bodies: rows to be written, and new values for rows.
use crate::data::{KeyedRows, Param};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::HashSet;
use std::fmt;

/// Most columns that a row, or `columns`, may name: more than a table has, its row's number included.
pub(super) const MAX_ROW_COLUMNS: usize = 2_000;

/// Rows to be inserted.
#[derive(Debug)]
pub enum NewRows {
    /// One object.
    One(RowChanges),
    /// A list of them.
    Many(KeyedRows),
}

/// New values by column.
#[derive(Debug, Default, PartialEq)]
pub struct RowChanges(pub(super) Vec<(String, Param)>);

impl<'de> Deserialize<'de> for NewRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RowsVisitor)
    }
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = NewRows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row, or a list of rows, each of them an object of columns and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, row: A) -> Result<NewRows, A::Error> {
        RowVisitor.visit_map(row).map(NewRows::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<NewRows, A::Error> {
        KeyedRows::deserialize(SeqAccessDeserializer::new(list)).map(NewRows::Many)
    }
}

impl<'de> Deserialize<'de> for RowChanges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = RowChanges;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of columns and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut row: A) -> Result<RowChanges, A::Error> {
        let mut values: Vec<(String, Param)> = Vec::with_capacity(row.size_hint().unwrap_or(0));
        let mut known = HashSet::new();
        while let Some(column) = row.next_key::<String>()? {
            if values.len() == MAX_ROW_COLUMNS {
                return Err(A::Error::custom(format_args!(
                    "a row names more than {MAX_ROW_COLUMNS} columns"
                )));
            }
            if !known.insert(column.clone()) {
                return Err(A::Error::custom(format_args!(
                    "the column `{column}` comes twice"
                )));
            }
            values.push((column, row.next_value()?));
        }
        Ok(RowChanges(values))
    }
}
