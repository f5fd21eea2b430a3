//! Finds indexes by trying: of the columns that a statement names, those whose index makes SQLite
//! scan and sort less.
use super::empty_copy::EmptyCopy;
use crate::engine::sql::{Schema, Table, TableKind, quoted};
use crate::engine::sqlite::syntax::tokens::{TokenKind, tokens};
use crate::engine::sqlite::{ExecutionLimits, SqlError};

/// Most columns of one table that are tried.
const MOST_COLUMNS: usize = 6;

/// Most tables that are looked at.
const MOST_TABLES: usize = 4;

/// Statements that make indexes; see `SqliteExecutor::suggest_indexes`.
pub(super) fn indexes(
    schema: &Schema,
    sql: &str,
    limits: ExecutionLimits,
) -> Result<Vec<String>, SqlError> {
    let Some(mut copy) = EmptyCopy::of(schema, limits)? else {
        return Ok(Vec::new());
    };
    let Ok(plan) = copy.plan(sql) else {
        return Ok(Vec::new()); // what it names could not be copied
    };
    let before = cost(&plan);
    let named = names_in(sql);
    let tables = schema.tables.iter().filter(|table| {
        table.kind == TableKind::Table && named.contains(&table.name.to_ascii_lowercase())
    });
    // All at once, since one index may help only along with another one.
    let mut tried = Vec::new();
    for table in tables.take(MOST_TABLES) {
        for columns in column_lists(table, &named) {
            let index = Candidate::of(table, &columns, schema);
            copy.run(&index.sql)?;
            tried.push(index);
        }
    }
    let plan = copy.plan(sql).unwrap_or_default();
    let (mut used, unused): (Vec<_>, Vec<_>) =
        tried.into_iter().partition(|index| index.is_used_in(&plan));
    for index in unused {
        copy.run(&index.drop_sql())?;
    }
    let after = copy.plan(sql).map_or(before, |plan| cost(&plan));
    if after >= before {
        return Ok(Vec::new());
    }
    // The shorter one of two that help alike, and none that does not help.
    let mut kept = Vec::new();
    while let Some(index) = used.pop() {
        copy.run(&index.drop_sql())?;
        let without = copy.plan(sql).map_or(before, |plan| cost(&plan));
        if without <= after {
            continue;
        }
        let index = match index.shorter(schema) {
            None => index,
            Some(shorter) => {
                copy.run(&shorter.sql)?;
                let with_shorter = copy.plan(sql).map_or(before, |plan| cost(&plan));
                copy.run(&shorter.drop_sql())?;
                if with_shorter <= after {
                    shorter
                } else {
                    index
                }
            }
        };
        copy.run(&index.sql)?;
        kept.push(index.sql);
    }
    kept.reverse();
    Ok(kept)
}

/// An index that is tried.
struct Candidate {
    table: String,
    columns: Vec<String>,
    name: String,
    sql: String,
}

impl Candidate {
    fn of(table: &Table, columns: &[&str], schema: &Schema) -> Self {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        Self::new(table.name.clone(), columns, schema)
    }

    fn new(table: String, columns: Vec<String>, schema: &Schema) -> Self {
        let name = index_name(&table, &columns, schema);
        let names: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
        Self {
            sql: format!(
                "CREATE INDEX {} ON {} ({})",
                quoted(&name),
                quoted(&table),
                names.join(", ")
            ),
            table,
            columns,
            name,
        }
    }

    /// Of the first of its columns alone.
    fn shorter(&self, schema: &Schema) -> Option<Self> {
        let [first, _, ..] = self.columns.as_slice() else {
            return None;
        };
        Some(Self::new(self.table.clone(), vec![first.clone()], schema))
    }

    fn drop_sql(&self) -> String {
        format!("DROP INDEX {}", quoted(&self.name))
    }

    fn is_used_in(&self, plan: &[String]) -> bool {
        let (inside, last) = (
            format!("INDEX {} ", self.name),
            format!("INDEX {}", self.name),
        );
        plan.iter()
            .any(|step| step.contains(&inside) || step.ends_with(&last))
    }
}

/// How much of a plan an index might spare.
fn cost(plan: &[String]) -> usize {
    let weight = |step: &String| match step.as_str() {
        it if it.starts_with("SCAN ") && it.contains(" USING ") => 2,
        it if it.starts_with("SCAN ") && !it.contains("CONSTANT ROW") => 4,
        it if it.contains("AUTOMATIC") => 4,
        it if it.starts_with("USE TEMP B-TREE") => 1,
        _ => 0,
    };
    plan.iter().map(weight).sum()
}

/// The names that a statement names, in lower case.
fn names_in(sql: &str) -> Vec<String> {
    let tokens = tokens(sql);
    let names = tokens
        .iter()
        .filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedName));
    names
        .map(|token| token.name(sql).to_ascii_lowercase())
        .collect()
}

/// Single columns first, then pairs: of two that help alike the shorter one is taken.
fn column_lists<'t>(table: &'t Table, named: &[String]) -> Vec<Vec<&'t str>> {
    let columns = table.columns.iter().map(|column| column.name.as_str());
    let columns: Vec<&str> = columns
        .filter(|name| named.contains(&name.to_ascii_lowercase()))
        .take(MOST_COLUMNS)
        .collect();
    let mut lists: Vec<Vec<&str>> = columns.iter().map(|name| vec![*name]).collect();
    for first in &columns {
        let others = columns.iter().filter(|other| *other != first);
        lists.extend(others.map(|other| vec![*first, *other]));
    }
    lists
}

/// The names of the table and the columns, and a number where that is taken.
fn index_name(table: &str, columns: &[String], schema: &Schema) -> String {
    let name = format!("{table}_{}", columns.join("_"));
    let is_taken = |name: &str| {
        let mut indexes = schema.tables.iter().flat_map(|table| &table.indexes);
        schema.find(name).is_some() || indexes.any(|index| index.name.eq_ignore_ascii_case(name))
    };
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| !is_taken(name)).unwrap_or(name)
}
