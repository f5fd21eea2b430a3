//! Migrations: SQL that is applied once.
use crate::clock::timestamp::Timestamp;
use crate::engine::sql::{BatchError, QueryError};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::ops::Range;

/// The table in which a database keeps which migrations were applied.
pub const MIGRATIONS_TABLE: &str = "dbforge_migrations";

/// A migration that is to be applied, unless it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewMigration {
    /// Its name. Migrations are applied in the order of their names.
    pub name: String,
    /// Its statements.
    pub sql: String,
    /// What tells its text from others.
    pub checksum: String,
    /// Where its statements are in the text.
    pub statements: Vec<Range<usize>>,
    /// Whether foreign keys hold while it runs; `None`: as its text says.
    pub foreign_keys: Option<bool>,
    /// Whether it may be applied after one whose name comes later.
    pub is_late_allowed: bool,
    /// Whether everything is taken back at its end.
    pub is_dry_run: bool,
    /// Who applies it.
    pub applied_by: String,
    /// The time now.
    pub now: Timestamp,
}

/// A migration that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedMigration {
    /// Its name.
    pub name: String,
    /// What tells its text from others.
    pub checksum: String,
    /// When, as RFC 3339.
    pub applied_at: String,
    /// How long it took.
    pub elapsed_ms: u64,
    /// How many of its statements ran.
    pub statements: u64,
    /// Who applied it.
    pub applied_by: String,
}

/// What came of a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Migrated {
    /// It was applied.
    Now(AppliedMigration),
    /// It was applied before, with the same text.
    Before(AppliedMigration),
    /// It would be applied: all of it ran, and was taken back.
    Tried(AppliedMigration),
}

/// A row that refers to a row that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The table with the row.
    pub table: String,
    /// The row's number, if it has one.
    pub rowid: Option<i64>,
    /// The table that it refers to.
    pub to_table: String,
}

/// Why a migration was not applied. Nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum MigrateError {
    /// Its name was used for another text.
    #[error("the migration `{name}` was applied at {applied_at} with another text")]
    Changed {
        /// Its name.
        name: String,
        /// When that was.
        applied_at: String,
        /// Of the text that was applied.
        checksum: String,
    },
    /// One whose name comes later was applied already.
    #[error("the migration `{name}` comes before `{last}`, which was applied already")]
    Late {
        /// Its name.
        name: String,
        /// The last one.
        last: String,
    },
    /// The table that keeps migrations is another one.
    #[error("the table `{MIGRATIONS_TABLE}` of this database is not the one that keeps migrations")]
    ForeignTable,
    /// A statement failed.
    #[error(transparent)]
    Statement(#[from] BatchError),
    /// Rows refer to rows that are not there, and did not before.
    #[error("{}", broken_keys(.first, *.count))]
    ForeignKeys {
        /// Some of them.
        first: Vec<Violation>,
        /// How many there are.
        count: usize,
    },
    /// Nothing of it ran, or all of it.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Broken foreign keys in words.
pub(super) fn broken_keys(first: &[Violation], count: usize) -> String {
    let each = first.iter().map(|violation| {
        let row = match violation.rowid {
            Some(rowid) => format!("row {rowid} of `{}`", violation.table),
            None => format!("a row of `{}`", violation.table),
        };
        format!(
            "{row} refers to a row of `{}` that is not there",
            violation.to_table
        )
    });
    let mut words = each.collect::<Vec<_>>().join("; ");
    if count > first.len() {
        words += &format!("; {count} in all");
    }
    words
}

/// The part of a migration that is applied: what stands before the line that begins how to take it
/// back, as goose, dbmate and sql-migrate write it.
///
/// `None` when another part to apply stands behind that line.
#[must_use]
pub fn part_to_apply(sql: &str) -> Option<&str> {
    const UNDO: &[&str] = &["+goose down", "migrate:down", "+migrate down"];
    const APPLY: &[&str] = &["+goose up", "migrate:up", "+migrate up"];
    let mut undo = None;
    let mut at = 0;
    for line in sql.split_inclusive('\n') {
        let comment = line.trim_start().strip_prefix("--").unwrap_or_default();
        let comment = comment.trim_start().to_ascii_lowercase();
        let is_one_of = |marks: &[&str]| marks.iter().any(|mark| comment.starts_with(mark));
        if undo.is_none() && is_one_of(UNDO) {
            undo = Some(at);
        } else if undo.is_some() && is_one_of(APPLY) {
            return None;
        }
        at += line.len();
    }
    Some(&sql[..undo.unwrap_or(sql.len())])
}

/// The order of migrations: by name, where numbers count as numbers, so that `2_b` comes before
/// `10_a`, and `V1__a` before `V1.1__b`.
#[must_use]
pub fn compare_migration_names(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let ((text, number, rest), (other_text, other_number, other_rest)) =
            (first_number(left), first_number(right));
        let by_number = || {
            let digits = |number: &str| number.trim_start_matches('0').len();
            (digits(number).cmp(&digits(other_number))).then_with(|| {
                let (number, other) = (
                    number.trim_start_matches('0'),
                    other_number.trim_start_matches('0'),
                );
                number.cmp(other)
            })
        };
        let order = letters(text).cmp(letters(other_text)).then_with(by_number);
        if order.is_ne() || (rest.is_empty() && other_rest.is_empty()) {
            // `01` and `1` are told apart, so that the order is one.
            return order.then_with(|| a.cmp(b));
        }
        (left, right) = (rest, other_rest);
    }
}

/// The letters of a text; `_` ends a number and comes before all others.
fn letters(text: &str) -> impl Iterator<Item = Option<char>> {
    text.chars()
        .map(|letter| Some(letter).filter(|letter| *letter != '_'))
}

/// The text before the first number, the number, and the rest.
fn first_number(name: &str) -> (&str, &str, &str) {
    let begin = name
        .find(|letter: char| letter.is_ascii_digit())
        .unwrap_or(name.len());
    let (text, behind) = name.split_at(begin);
    let end = behind
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(behind.len());
    let (number, rest) = behind.split_at(end);
    (text, number, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_with_numbers_as_numbers() {
        for (before, after) in [
            ("V1__init", "V1.1__more"),
            ("V1.1__more", "V2__next"),
            ("2_b", "10_a"),
            ("0001_init", "0002_a"),
            ("0009", "0010"),
            ("20240101", "20240102_a"),
            ("a", "b"),
            ("a1b2", "a1b10"),
            ("v1", "v1.1"),
            ("", "1"),
            ("01", "1"),
            ("99999999999999999999998", "99999999999999999999999"),
        ] {
            assert_eq!(
                compare_migration_names(before, after),
                Ordering::Less,
                "{before} {after}"
            );
            assert_eq!(compare_migration_names(after, before), Ordering::Greater);
        }
        assert_eq!(compare_migration_names("1_a", "1_a"), Ordering::Equal);
    }

    #[test]
    fn what_takes_a_migration_back_is_not_applied() {
        for (sql, part) in [
            (
                "-- migrate:up\nA;\n-- migrate:down transaction:false\nB;",
                Some("-- migrate:up\nA;\n"),
            ),
            (
                "-- +goose Up\nA;\n  --+goose Down\nB;",
                Some("-- +goose Up\nA;\n"),
            ),
            ("A; -- migrate:down\nB;", Some("A; -- migrate:down\nB;")),
            ("-- +migrate Down\nB;", Some("")),
            ("A;", Some("A;")),
            ("-- +migrate Down\nB;\n-- +migrate Up\nA;", None),
        ] {
            assert_eq!(part_to_apply(sql), part, "{sql}");
        }
    }
}
