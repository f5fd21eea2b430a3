//! One page of any list: a walk along one index, from a place, in the order of sequences.
//!
//! A list costs what its page costs, however long the list and however deep the page: there is
//! no OFFSET, nothing is sorted but the few rows of a page, and the index is named, not guessed.
pub(crate) mod page;

use self::page::{Order, Page, Window};
use super::storage::StorageError;
use crate::domain::ids::Sequence;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use std::ops::RangeInclusive;

/// What to walk along and what to keep.
pub(super) struct Listing {
    /// What is selected; the first column is the sequence at which the row began.
    pub(super) columns: &'static str,
    /// The tables, with the index to walk along.
    pub(super) from: &'static str,
    /// The column with the sequence at which a row began; the index goes on with it.
    pub(super) key: &'static str,
    /// The condition on the columns at the front of the index.
    pub(super) lead: &'static str,
    /// Values for the lead: one walk for each, merged.
    pub(super) walks: Vec<Vec<Value>>,
    /// Conditions on the rest, one value each.
    pub(super) rest: Vec<(&'static str, Value)>,
    /// The sequences it is confined to.
    pub(super) within: RangeInclusive<u64>,
}

impl Listing {
    /// Reads one page inside the reader's transaction.
    pub(super) fn read<T>(
        self,
        connection: &Connection,
        window: &Window,
        mut read_row: impl FnMut(&Row<'_>) -> Result<T, StorageError>,
    ) -> Result<Page<T>, StorageError> {
        let reached = reached(connection)?;
        let as_of = window.behind.map_or(reached, |(_, as_of)| as_of);
        let mut page = Page {
            items: Vec::new(),
            next_cursor: None,
            as_of,
        };
        let (first, last) = self.bounds(window, as_of);
        let mut statement = connection.prepare_cached(&self.sql(window.order))?;
        let mut rows = statement.query(params_from_iter(self.values(first, last, window.limit)))?;
        let mut last_key = Sequence::default();
        while let Some(row) = rows.next()? {
            let key = sequence_in(row, 0)?;
            // A row that two walks meet is one row.
            if !page.items.is_empty() && key == last_key {
                continue;
            }
            if page.items.len() == window.limit {
                page.next_cursor = Some(window.cursor(last_key, as_of));
                break;
            }
            last_key = key;
            page.items.push(read_row(row)?);
        }
        Ok(page)
    }

    fn bounds(&self, window: &Window, as_of: Sequence) -> (u64, u64) {
        let first = *self.within.start();
        let last = as_of.0.min(*self.within.end());
        match (window.behind, window.order) {
            (None, _) => (first, last),
            (Some((behind, _)), Order::Ascending) => (first.max(behind.0.saturating_add(1)), last),
            (Some((behind, _)), Order::Descending) => (first, last.min(behind.0.saturating_sub(1))),
        }
    }

    fn sql(&self, order: Order) -> String {
        let Self {
            columns,
            from,
            key,
            lead,
            ..
        } = self;
        let direction = match order {
            Order::Ascending => "ASC",
            Order::Descending => "DESC",
        };
        let rest: String = self
            .rest
            .iter()
            .map(|(condition, _)| format!(" AND {condition}"))
            .collect();
        let walk = format!(
            "SELECT {columns} FROM {from} WHERE {lead} AND {key} BETWEEN ? AND ?{rest} \
             ORDER BY {key} {direction} LIMIT ?"
        );
        if self.walks.len() == 1 {
            return walk;
        }
        let walks = vec![format!("SELECT * FROM ({walk})"); self.walks.len()];
        format!(
            "{} ORDER BY 1 {direction} LIMIT ?",
            walks.join(" UNION ALL ")
        )
    }

    fn values(&self, first: u64, last: u64, limit: usize) -> Vec<Value> {
        // One row more than wanted tells whether there is a next page; each walk may meet it.
        let (one_more, walks) = (limit as u64 + 1, self.walks.len() as u64);
        let limit = stored(one_more);
        let mut values = Vec::new();
        for lead in &self.walks {
            values.extend(lead.iter().cloned());
            values.extend([stored(first), stored(last)]);
            values.extend(self.rest.iter().map(|(_, value)| value.clone()));
            values.push(limit.clone());
        }
        if self.walks.len() != 1 {
            values.push(stored(one_more * walks));
        }
        values
    }
}

/// The sequence that the tables have reached.
pub(super) fn reached(connection: &Connection) -> Result<Sequence, StorageError> {
    let mut statement = connection.prepare_cached("SELECT sequence FROM progress")?;
    statement.query_row([], |row| Ok(sequence_in(row, 0)))?
}

/// The row with this id, where there is one.
pub(super) fn find<T>(
    connection: &Connection,
    sql: &str,
    id: impl rusqlite::ToSql,
    mut read_row: impl FnMut(&Row<'_>) -> Result<T, StorageError>,
) -> Result<Option<T>, StorageError> {
    let mut statement = connection.prepare_cached(sql)?;
    statement
        .query_row([id], |row| Ok(read_row(row)))
        .optional()?
        .transpose()
}

/// A number as SQLite stores it; no log gets near the end of its range.
pub(super) fn stored(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The sequence in a column.
pub(super) fn sequence_in(row: &Row<'_>, column: usize) -> Result<Sequence, StorageError> {
    let number: i64 = row.get(column)?;
    u64::try_from(number)
        .map(Sequence)
        .map_err(|_| StorageError::Untrue(format!("{number} is no sequence")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::projections::control_db::storage::migrate;

    /// Asserts that SQLite walks along `index` and sorts nothing, in both orders.
    #[track_caller]
    pub(in crate::projections::control_db) fn assert_walks(listing: &Listing, index: &str) {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        for order in [Order::Ascending, Order::Descending] {
            let sql = format!("EXPLAIN QUERY PLAN {}", listing.sql(order));
            let mut statement = connection.prepare(&sql).unwrap();
            let values = params_from_iter(listing.values(3, 9, 50));
            let plan = statement.query_map(values, |row| row.get(3)).unwrap();
            let plan: Vec<String> = plan.map(Result::unwrap).collect();
            let plan = plan.join("; ");
            let walk = plan.split(';').next().unwrap();
            assert!(walk.contains("SEARCH") && walk.contains(index), "{plan}");
            assert!(!plan.contains("SCAN") && !plan.contains("SORT"), "{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}
