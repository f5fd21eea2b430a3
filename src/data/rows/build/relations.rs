//! Which foreign key leads from a table to another, and in which direction.
use super::scope::Scope;
use crate::data::rows::RowsError;
use crate::engine::sql::schema::{ForeignKey, Schema, Table};

/// How rows of another table belong to a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Relation<'s> {
    pub(super) target: &'s Table,
    /// Whether a row has at most one.
    pub(super) is_to_one: bool,
    pub(super) by: Link<'s>,
}

/// What links two tables.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Link<'s> {
    /// Columns of the table, and the columns of the target that are equal to them.
    Columns(Vec<(&'s str, &'s str)>),
    /// A table between: its columns with those of the table, and with those of the target.
    Through {
        between: &'s Table,
        here: Vec<(&'s str, &'s str)>,
        there: Vec<(&'s str, &'s str)>,
    },
}

/// A foreign key that could be meant.
struct Candidate<'s> {
    relation: Relation<'s>,
    /// How it is written to mean it alone.
    written: String,
    /// The words that mean it: the key's name, its columns, the table between.
    hints: Vec<&'s str>,
}

/// The relation that `target!hint` means, seen from a table.
pub(super) fn relation<'s>(
    scope: Scope<'s>,
    target: &str,
    hint: Option<&str>,
) -> Result<Relation<'s>, RowsError> {
    let (schema, table) = (scope.schema, scope.table);
    let mut candidates = match schema.find(target) {
        Some(other) => between(schema, table, other),
        None => Vec::new(),
    };
    if candidates.is_empty() {
        candidates = by_column(schema, table, target);
    }
    if candidates.is_empty() {
        return Err(no_relation(scope, target));
    }
    if let Some(hint) = hint {
        let written = || candidates.iter().map(|it| it.written.clone()).collect();
        let is_meant = |candidate: &Candidate<'_>| {
            let mut hints = candidate.hints.iter();
            hints.any(|known| known.eq_ignore_ascii_case(hint))
        };
        if !candidates.iter().any(is_meant) {
            return Err(RowsError::NoRelation {
                table: table.name.clone(),
                target: format!("{target}!{hint}"),
                choices: written(),
            });
        }
        candidates.retain(is_meant);
    }
    if candidates.len() > 1 {
        return Err(RowsError::Ambiguous {
            table: table.name.clone(),
            target: target.to_owned(),
            choices: candidates.into_iter().map(|it| it.written).collect(),
        });
    }
    let found = candidates.pop().expect("there is one");
    Ok(found.relation)
}

/// What is embedded by the name of the column that refers to it.
fn by_column<'s>(schema: &'s Schema, table: &'s Table, name: &str) -> Vec<Candidate<'s>> {
    let keys = table.foreign_keys.iter();
    let keys = keys.filter(|key| {
        let is_column = matches!(&key.columns[..], [only] if only.eq_ignore_ascii_case(name));
        is_column || (key.name.as_deref()).is_some_and(|known| known.eq_ignore_ascii_case(name))
    });
    keys.filter_map(|key| to_one(schema.find(&key.to_table)?, key))
        .collect()
}

/// Every foreign key between two tables; through a third one where there is none.
fn between<'s>(schema: &'s Schema, table: &'s Table, other: &'s Table) -> Vec<Candidate<'s>> {
    let mut found = Vec::new();
    let refers_to = |key: &&ForeignKey, to: &Table| key.to_table.eq_ignore_ascii_case(&to.name);
    let keys = table.foreign_keys.iter();
    found.extend(
        keys.filter(|key| refers_to(key, other))
            .filter_map(|key| to_one(other, key)),
    );
    if table.name == other.name {
        // Of a table that refers to itself, the rows that a row refers to go by their column.
        for candidate in &mut found {
            let column = candidate.hints.last().copied().unwrap_or_default();
            candidate.written = format!("{column}(*)");
            candidate.hints.clear();
        }
    }
    let keys = other.foreign_keys.iter();
    found.extend(
        keys.filter(|key| refers_to(key, table))
            .filter_map(|key| to_many(other, key)),
    );
    if found.is_empty() {
        found = through_others(schema, table, other);
    }
    found
}

fn to_one<'s>(target: &'s Table, key: &'s ForeignKey) -> Option<Candidate<'s>> {
    let pairs = pairs(&key.columns, &key.to_columns)?;
    Some(Candidate {
        relation: Relation {
            target,
            is_to_one: true,
            by: Link::Columns(pairs),
        },
        written: format!("{}!{}(*)", target.name, key.columns.first()?),
        hints: hints(key),
    })
}

fn to_many<'s>(target: &'s Table, key: &'s ForeignKey) -> Option<Candidate<'s>> {
    let pairs = pairs(&key.to_columns, &key.columns)?;
    Some(Candidate {
        relation: Relation {
            target,
            is_to_one: is_unique(target, &key.columns),
            by: Link::Columns(pairs),
        },
        written: format!("{}!{}(*)", target.name, key.columns.first()?),
        hints: hints(key),
    })
}

/// Tables whose primary key has a foreign key to both.
fn through_others<'s>(
    schema: &'s Schema,
    table: &'s Table,
    other: &'s Table,
) -> Vec<Candidate<'s>> {
    let mut found = Vec::new();
    for between in &schema.tables {
        let is_key = |key: &&ForeignKey, to: &Table| {
            let in_key = |column: &String| {
                let mut columns = between.primary_key.iter();
                columns.any(|known| known.eq_ignore_ascii_case(column))
            };
            key.to_table.eq_ignore_ascii_case(&to.name) && key.columns.iter().all(in_key)
        };
        let keys = between.foreign_keys.iter();
        let Some(here) = keys.clone().find(|key| is_key(key, table)) else {
            continue;
        };
        let mut there = keys.filter(|key| is_key(key, other) && !std::ptr::eq(*key, here));
        let (Some(there), None) = (there.next(), there.next()) else {
            continue;
        };
        let sides = (
            pairs(&here.columns, &here.to_columns),
            pairs(&there.columns, &there.to_columns),
        );
        if let (Some(here), Some(there)) = sides {
            found.push(Candidate {
                relation: Relation {
                    target: other,
                    is_to_one: false,
                    by: Link::Through {
                        between,
                        here,
                        there,
                    },
                },
                written: format!("{}!{}(*)", other.name, between.name),
                hints: vec![&between.name],
            });
        }
    }
    found
}

fn pairs<'s>(from: &'s [String], to: &'s [String]) -> Option<Vec<(&'s str, &'s str)>> {
    let is_known = !from.is_empty() && from.len() == to.len();
    let pairs = from.iter().zip(to);
    is_known.then(|| pairs.map(|(a, b)| (a.as_str(), b.as_str())).collect())
}

fn hints(key: &ForeignKey) -> Vec<&str> {
    let name = key.name.as_deref().into_iter();
    name.chain(key.to_columns.iter().map(String::as_str))
        .chain(key.columns.iter().map(String::as_str))
        .collect()
}

/// Whether no two rows share the values of these columns.
fn is_unique(table: &Table, columns: &[String]) -> bool {
    let covers = |key: &Vec<String>| {
        let in_columns = |name: &String| columns.iter().any(|it| it.eq_ignore_ascii_case(name));
        !key.is_empty() && key.iter().all(in_columns)
    };
    covers(&table.primary_key) || table.unique_keys.iter().any(covers)
}

fn no_relation(scope: Scope<'_>, target: &str) -> RowsError {
    let (schema, table) = (scope.schema, scope.table);
    let mut choices: Vec<String> = Vec::new();
    for other in &schema.tables {
        if choices.len() < MOST_CHOICES {
            let found = between(schema, table, other);
            choices.extend(found.into_iter().map(|candidate| candidate.written));
        }
    }
    RowsError::NoRelation {
        table: table.name.clone(),
        target: target.to_owned(),
        choices,
    }
}

/// So many choices are told at most.
const MOST_CHOICES: usize = 10;
