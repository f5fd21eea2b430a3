//! What rows are sorted by.
pub(in crate::data::rows::build) mod cursor;

use crate::data::rows::RowsError;
use crate::data::rows::build::relations::{Link, relation};
use crate::data::rows::build::scope::{Known, Scope};
use crate::data::rows::build::text::Sql;
use crate::data::rows::dialect::ast::{Level, OrderTerm, SelectItem};
use crate::engine::sql::schema::{Affinity, SqlDialect, Table};

/// One thing that rows are sorted by.
#[derive(Debug, Clone)]
pub(in crate::data::rows::build) struct Term {
    pub(in crate::data::rows::build) sql: Sql,
    pub(in crate::data::rows::build) descending: bool,
    pub(in crate::data::rows::build) nulls_first: bool,
    pub(in crate::data::rows::build) may_be_null: bool,
}

impl Scope<'_> {
    /// The terms that a level names.
    pub(in crate::data::rows::build) fn order_terms(
        self,
        level: &Level,
    ) -> Result<Vec<Term>, RowsError> {
        let terms = level.order.iter().map(|term| {
            let mut sql = Sql::default();
            let known = match &term.embed {
                None => self.write_comparable(&mut sql, &term.field)?,
                Some(name) => write_embedded(&mut sql, self, level, name, term)?,
            };
            Ok(Term {
                sql,
                descending: term.descending,
                nulls_first: term.puts_nulls_first(),
                may_be_null: known.may_be_null,
            })
        });
        terms.collect()
    }

    /// Adds the order that a level names, without more.
    pub(in crate::data::rows::build) fn write_order(
        self,
        sql: &mut Sql,
        level: &Level,
    ) -> Result<(), RowsError> {
        write(sql, &self.order_terms(level)?, self.schema.dialect);
        Ok(())
    }
}

/// Adds a field of the one row that is embedded under a name.
fn write_embedded(
    sql: &mut Sql,
    scope: Scope<'_>,
    level: &Level,
    name: &str,
    term: &OrderTerm,
) -> Result<Known, RowsError> {
    let embed = level.select.iter().find_map(|item| match item {
        SelectItem::Embed(embed) if embed.name() == name => Some(embed),
        _ => None,
    });
    let Some(embed) = embed else {
        return Err(RowsError::with_hint(
            format!("`order` names `{name}`, which is not in `select`"),
            format!("embed it: `select=*,{name}(*)`"),
        ));
    };
    let found = relation(scope, &embed.target, embed.hint.as_deref())?;
    if !found.is_to_one || matches!(found.by, Link::Through { .. }) {
        return Err(RowsError::invalid(format!(
            "`{name}` has many rows for each row, which cannot be sorted by them"
        )));
    }
    scope.write_value(sql, embed, &term.field)?;
    Ok(Known {
        affinity: Affinity::Blob,
        may_be_null: true,
    })
}

/// Adds ` ORDER BY …`, where there are terms.
pub(in crate::data::rows::build) fn write(sql: &mut Sql, terms: &[Term], dialect: SqlDialect) {
    for (place, term) in terms.iter().enumerate() {
        sql.words(if place == 0 { " ORDER BY " } else { ", " });
        sql.part(term.sql.clone());
        if term.descending {
            sql.words(" DESC");
        }
        // SQLite has NULL as the least, PostgreSQL as the greatest; where there is none, an index
        // serves without more words.
        let by_itself = match dialect {
            SqlDialect::Sqlite => !term.descending,
            SqlDialect::Postgres => term.descending,
        };
        if term.may_be_null && term.nulls_first != by_itself {
            sql.words(match term.nulls_first {
                true => " NULLS FIRST",
                false => " NULLS LAST",
            });
        }
    }
}

/// The columns by which a table's rows are told apart for certain: those of the primary key, or the
/// row's own number where the key may be NULL or there is none.
pub(in crate::data::rows::build) fn certain_key(table: &Table) -> Option<Vec<&str>> {
    let is_never_null = |name: &String| {
        let is_number = table.rowid.as_ref() == Some(name);
        let column = table.column(name);
        table.is_without_rowid || is_number || column.is_some_and(|column| column.not_null)
    };
    if !table.primary_key.is_empty() && table.primary_key.iter().all(is_never_null) {
        return Some(table.primary_key.iter().map(String::as_str).collect());
    }
    table.rowid.as_deref().map(|rowid| vec![rowid])
}
