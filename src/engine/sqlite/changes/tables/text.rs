//! Changes of a CREATE TABLE's text. What is not changed keeps its text, comments and all.
use super::definition::{self, invalid, no_column};
use super::work::refuse_used;
use crate::engine::sql::{Alteration, ColumnChange, Table, TableError, quoted};
use crate::engine::sqlite::syntax::create_table::{
    ColumnText, ConstraintKind, ConstraintText, CreateTable,
};
use crate::engine::sqlite::syntax::edits::Edits;
use crate::engine::sqlite::syntax::tokens::{SqlToken, tokens};
use std::ops::Range;

/// The text of `table` with what `change` asks for, but for new names.
pub(super) fn changed(
    table: &Table,
    parsed: &CreateTable,
    change: &Alteration,
) -> Result<String, TableError> {
    let text = table.sql.as_str();
    let mut changing = Changing {
        table,
        parsed,
        edits: Edits::of(text),
        tokens: tokens(text),
        added: Vec::new(),
    };
    for name in &change.drop_columns {
        changing.drop_column(name, change)?;
    }
    for column in &change.alter_columns {
        changing.alter_column(column)?;
    }
    for columns in &change.drop_foreign_keys {
        let is_it = |of: &[String], kind: &ConstraintKind| {
            matches!(kind, ConstraintKind::References { .. }) && same(of, columns)
        };
        changing.drop_constraints("foreign key", &columns.join(", "), is_it)?;
    }
    for columns in &change.drop_unique {
        let is_it = |of: &[String], kind: &ConstraintKind| {
            matches!(kind, ConstraintKind::Unique { .. }) && same(of, columns)
        };
        changing.drop_constraints("UNIQUE constraint", &columns.join(", "), is_it)?;
    }
    for check in &change.drop_checks {
        changing.drop_check(check)?;
    }
    if let Some(key) = &change.primary_key {
        changing.set_primary_key(key)?;
    }
    let new_columns = change.add_columns.iter();
    let new_columns = new_columns.map(|column| definition::column(column, false));
    let new_columns = new_columns.collect::<Result<Vec<_>, _>>()?;
    changing.add_all(new_columns, change)?;
    let is_strict = change.is_strict.unwrap_or(parsed.is_strict);
    let is_without_rowid = change.is_without_rowid.unwrap_or(parsed.is_without_rowid);
    if (is_strict, is_without_rowid) != (parsed.is_strict, parsed.is_without_rowid) {
        let tail = parsed.body.end + 1..text.len();
        let options = definition::options(is_strict, is_without_rowid);
        changing.edits.replace(tail, options);
    }
    Ok(changing.edits.done())
}

/// The text under another name, where it names its own table, too.
pub(super) fn renamed(text: &str, parsed: &CreateTable, name: &str, new_name: &str) -> String {
    let mut edits = Edits::of(text);
    edits.replace(parsed.name.clone(), quoted(new_name));
    let tokens = tokens(text);
    for pair in tokens.windows(2) {
        let [own, dot] = pair else { continue };
        let is_inside = parsed.body.contains(&own.place.start);
        if is_inside && dot.is_sign(b'.') && own.name(text).eq_ignore_ascii_case(name) {
            edits.replace(own.place.clone(), quoted(new_name));
        }
    }
    edits.done()
}

fn same(some: &[String], others: &[String]) -> bool {
    some.len() == others.len()
        && (some.iter().zip(others)).all(|(one, other)| one.eq_ignore_ascii_case(other))
}

struct Changing<'t> {
    table: &'t Table,
    parsed: &'t CreateTable,
    edits: Edits<'t>,
    tokens: Vec<SqlToken>,
    /// Constraints of the table that are added.
    added: Vec<String>,
}

impl<'t> Changing<'t> {
    fn text(&self) -> &'t str {
        &self.table.sql
    }

    fn column(&self, name: &str) -> Result<&'t ColumnText, TableError> {
        let mut columns = self.parsed.columns.iter();
        let found = columns.find(|column| column.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| no_column(self.table, name))
    }

    fn drop_column(&mut self, name: &str, change: &Alteration) -> Result<(), TableError> {
        let column = self.column(name)?;
        if change.drop_columns.len() >= self.parsed.columns.len() + change.add_columns.len() {
            return invalid("a table keeps at least one column");
        }
        let is_dropped = |of: &[String], kind: &ConstraintKind| match kind {
            ConstraintKind::References { .. } => {
                change.drop_foreign_keys.iter().any(|it| same(it, of))
            }
            ConstraintKind::Unique { .. } => change.drop_unique.iter().any(|it| same(it, of)),
            ConstraintKind::PrimaryKey { .. } => change.primary_key.is_some(),
            _ => true,
        };
        let mut by = Vec::new();
        for constraint in &self.parsed.constraints {
            let (what, of) = match &constraint.kind {
                ConstraintKind::PrimaryKey { columns, .. } => ("the primary key", columns),
                ConstraintKind::Unique { columns } => ("a UNIQUE constraint", columns),
                ConstraintKind::References { columns, .. } => ("a foreign key", columns),
                _ => continue,
            };
            let uses = of.iter().any(|it| it.eq_ignore_ascii_case(name));
            if uses && !is_dropped(of, &constraint.kind) {
                by.push(format!("{what} ({}) of its table", of.join(", ")));
            }
        }
        let uses = |it: &&crate::engine::sql::Index| {
            let mut columns = it.columns.iter().filter_map(|column| column.name.as_ref());
            it.sql.is_some() && columns.any(|it| it.eq_ignore_ascii_case(name))
        };
        let indexes = self.table.indexes.iter().filter(uses);
        by.extend(indexes.map(|index| format!("the index `{}`", index.name)));
        refuse_used(&format!("the column `{}`", column.name), by)?;
        self.remove_item(&column.place);
        Ok(())
    }

    /// Takes an item of the list out, with the comma behind it, or before it.
    fn remove_item(&mut self, place: &Range<usize>) {
        let next = self
            .tokens
            .iter()
            .find(|token| token.place.start >= place.end);
        let previous = self
            .tokens
            .iter()
            .rev()
            .find(|token| token.place.end <= place.start);
        let comma = next
            .filter(|it| it.is_sign(b','))
            .or(previous.filter(|it| it.is_sign(b',')));
        if let Some(comma) = comma {
            let comma = comma.place.clone();
            self.edits.replace(comma, "");
        }
        self.edits.remove(place);
    }

    fn alter_column(&mut self, change: &ColumnChange) -> Result<(), TableError> {
        let column = self.column(&change.name)?;
        let of_kind = |is: fn(&ConstraintKind) -> bool| {
            let found: Vec<&ConstraintText> = column
                .constraints
                .iter()
                .filter(|it| is(&it.kind))
                .collect();
            found
        };
        if let Some(words) = &change.declared_type {
            let words = match words.as_str() {
                "" => "",
                words => definition::declared_type(words, &column.name)?,
            };
            match column.type_place.is_empty() {
                true => self
                    .edits
                    .insert(column.name_place.end, format!(" {words}")),
                false => self.edits.replace(column.type_place.clone(), words),
            }
        }
        let end = column.place.end;
        let put = |edits: &mut Edits<'_>, old: Vec<&ConstraintText>, new: Option<String>| {
            let mut new = new;
            for constraint in old {
                match new.take() {
                    Some(new) => edits.replace(constraint.place.clone(), new),
                    None => edits.remove(&constraint.place),
                }
            }
            if let Some(new) = new {
                edits.insert(end, format!(" {new}"));
            }
        };
        match change.not_null {
            Some(true) => {
                for null in of_kind(|kind| *kind == ConstraintKind::Null) {
                    self.edits.remove(&null.place);
                }
                if of_kind(|kind| *kind == ConstraintKind::NotNull).is_empty() {
                    put(&mut self.edits, Vec::new(), Some("NOT NULL".to_owned()));
                }
            }
            Some(false) => {
                let old = of_kind(|kind| *kind == ConstraintKind::NotNull);
                put(&mut self.edits, old, None);
            }
            None => {}
        }
        if let Some(value) = &change.default {
            let new = value
                .as_ref()
                .map(|value| definition::default(value, &column.name));
            let old = of_kind(|kind| matches!(kind, ConstraintKind::Default(_)));
            put(&mut self.edits, old, new.transpose()?);
        }
        if let Some(collation) = &change.collation {
            let new = collation
                .as_ref()
                .map(|name| format!("COLLATE {}", quoted(name)));
            let old = of_kind(|kind| matches!(kind, ConstraintKind::Collate(_)));
            put(&mut self.edits, old, new);
        }
        Ok(())
    }

    fn drop_constraints(
        &mut self,
        what: &'static str,
        named: &str,
        is_it: impl Fn(&[String], &ConstraintKind) -> bool,
    ) -> Result<(), TableError> {
        let mut is_found = false;
        for (column, constraint) in self.parsed.all_constraints() {
            let own = column.map(|column| vec![column.name.clone()]);
            let of = match (&constraint.kind, own) {
                (_, Some(own)) => own,
                (
                    ConstraintKind::Unique { columns } | ConstraintKind::References { columns, .. },
                    None,
                ) => columns.clone(),
                _ => continue,
            };
            if is_it(&of, &constraint.kind) {
                is_found = true;
                match column {
                    Some(_) => self.edits.remove(&constraint.place),
                    None => self.remove_item(&constraint.place),
                }
            }
        }
        match is_found {
            true => Ok(()),
            false => Err(TableError::NotFound {
                what,
                name: format!("{} ({named})", self.table.name),
                nearest: None,
            }),
        }
    }

    fn drop_check(&mut self, wanted: &str) -> Result<(), TableError> {
        let text = self.text();
        let squeezed = |sql: &str| sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = self.parsed.all_constraints().find(|(_, constraint)| {
            let ConstraintKind::Check(condition) = &constraint.kind else {
                return false;
            };
            let is_named =
                (constraint.name.as_ref()).is_some_and(|it| it.eq_ignore_ascii_case(wanted));
            is_named || squeezed(&text[condition.clone()]) == squeezed(wanted)
        });
        let Some((column, constraint)) = found else {
            return Err(TableError::NotFound {
                what: "check",
                name: wanted.to_owned(),
                nearest: None,
            });
        };
        match column {
            Some(_) => self.edits.remove(&constraint.place),
            None => self.remove_item(&constraint.place),
        }
        Ok(())
    }

    fn set_primary_key(&mut self, key: &[String]) -> Result<(), TableError> {
        if same(key, &self.table.primary_key) {
            return Ok(());
        }
        for name in key {
            self.column(name)?;
        }
        for (column, constraint) in self.parsed.all_constraints() {
            if matches!(constraint.kind, ConstraintKind::PrimaryKey { .. }) {
                match column {
                    Some(_) => self.edits.remove(&constraint.place),
                    None => self.remove_item(&constraint.place),
                }
            }
        }
        if !key.is_empty() {
            let names: Vec<String> = key.iter().map(|name| quoted(name)).collect();
            self.added
                .push(format!("PRIMARY KEY ({})", names.join(", ")));
        }
        Ok(())
    }

    /// Adds columns behind the last column, and constraints behind the last constraint.
    fn add_all(&mut self, columns: Vec<String>, change: &Alteration) -> Result<(), TableError> {
        let mut constraints = std::mem::take(&mut self.added);
        constraints.extend(
            change
                .add_unique
                .iter()
                .map(|columns| definition::unique(columns)),
        );
        for key in &change.add_foreign_keys {
            constraints.push(definition::foreign_key(key)?);
        }
        for check in &change.add_checks {
            constraints.push(definition::check(check)?);
        }
        let last_column = self
            .parsed
            .columns
            .last()
            .map_or(self.parsed.body.end, |it| it.place.end);
        let last = self
            .parsed
            .constraints
            .last()
            .map_or(last_column, |it| it.place.end);
        // Where the last ones are taken out, their place is gone, and what is added stands alone.
        for (at, items) in [(last_column, columns), (last, constraints)] {
            for item in items {
                self.edits.insert(at, format!(", {item}"));
            }
        }
        Ok(())
    }
}
