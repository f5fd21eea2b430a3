//! ALTER TABLE: what SQLite does itself, and what needs the table to be made anew.
use super::definition::{self, invalid, no_column};
use super::work::{Work, find_table, refuse_internal};
use crate::engine::sql::{Alteration, ColumnDefinition, Table, TableError, TableKind, quoted};

impl Work<'_> {
    /// Changes a table; its name then.
    pub(super) fn alter(&mut self, change: &Alteration) -> Result<String, TableError> {
        let schema = self.schema()?;
        let table = find_table(&schema, &change.table)?;
        refuse_internal(table)?;
        let name = table.name.clone();
        let changes_parts = changes_parts(change);
        match table.kind {
            TableKind::Table => {}
            TableKind::Virtual if !changes_parts && change.rename_columns.is_empty() => {}
            TableKind::Virtual => {
                return invalid(format!(
                    "`{name}` is a virtual table, which can only be renamed"
                ));
            }
            TableKind::View => {
                return invalid(format!(
                    "`{name}` is a view: drop it, and make it anew with SQL"
                ));
            }
            TableKind::Shadow => {
                return invalid(format!("a virtual table keeps its own data in `{name}`"));
            }
        }
        let has_keys = schema
            .tables
            .iter()
            .any(|table| !table.foreign_keys.is_empty());
        let before = match changes_parts && (has_keys || !change.add_foreign_keys.is_empty()) {
            true => Some(self.violations()?),
            false => None,
        };
        for (from, to) in &change.rename_columns {
            let column = table.column(from).ok_or_else(|| no_column(table, from))?;
            self.run(format!(
                "ALTER TABLE {} RENAME COLUMN {} TO {}",
                quoted(&name),
                quoted(&column.name),
                quoted(to)
            ))?;
        }
        if changes_parts {
            let schema = self.schema()?;
            let table = find_table(&schema, &name)?;
            if is_simple(table, change)? {
                self.add_and_drop(table, change)?;
            } else {
                self.make_anew(&schema, table, change)?;
            }
        }
        if let Some(before) = before {
            if !change.add_foreign_keys.is_empty() {
                self.look_at_foreign_keys(&name)?;
            }
            if let Some((first, count)) = self.violations()?.since(&before) {
                return Err(TableError::ForeignKeys { first, count });
            }
        }
        let Some(new_name) = &change.rename else {
            return Ok(name);
        };
        if !new_name.eq_ignore_ascii_case(&name) {
            let schema = self.schema()?;
            self.refuse_taken(&schema, new_name)?;
        }
        self.run(format!(
            "ALTER TABLE {} RENAME TO {}",
            quoted(&name),
            quoted(new_name)
        ))?;
        Ok(new_name.clone())
    }

    fn add_and_drop(&mut self, table: &Table, change: &Alteration) -> Result<(), TableError> {
        let name = quoted(&table.name);
        for column in &change.add_columns {
            let column = definition::column(column, false)?;
            self.run(format!("ALTER TABLE {name} ADD COLUMN {column}"))?;
        }
        for column in &change.drop_columns {
            self.run(format!("ALTER TABLE {name} DROP COLUMN {}", quoted(column)))?;
        }
        Ok(())
    }
}

/// Whether more is changed than names.
fn changes_parts(change: &Alteration) -> bool {
    // Every field stands here, so that a new one is thought of.
    let Alteration {
        table: _,
        rename: _,
        rename_columns: _,
        add_columns,
        drop_columns,
        alter_columns,
        primary_key,
        add_foreign_keys,
        drop_foreign_keys,
        add_checks,
        drop_checks,
        add_unique,
        drop_unique,
        is_strict,
        is_without_rowid,
    } = change;
    let is_simple = add_columns.is_empty() && drop_columns.is_empty();
    let is_rest_empty = alter_columns.is_empty()
        && primary_key.is_none()
        && add_foreign_keys.is_empty()
        && drop_foreign_keys.is_empty()
        && add_checks.is_empty()
        && drop_checks.is_empty()
        && add_unique.is_empty()
        && drop_unique.is_empty()
        && is_strict.is_none()
        && is_without_rowid.is_none();
    !(is_simple && is_rest_empty)
}

/// Whether SQLite's own ADD COLUMN and DROP COLUMN do.
fn is_simple(table: &Table, change: &Alteration) -> Result<bool, TableError> {
    let only_columns = Alteration {
        add_columns: Vec::new(),
        drop_columns: Vec::new(),
        ..change.clone()
    };
    if changes_parts(&only_columns) {
        return Ok(false);
    }
    for name in &change.drop_columns {
        table.column(name).ok_or_else(|| no_column(table, name))?;
    }
    let is_added = change.add_columns.iter().all(can_be_added);
    let is_dropped = change
        .drop_columns
        .iter()
        .all(|name| can_be_dropped(table, name));
    Ok(is_added && is_dropped)
}

fn can_be_added(column: &ColumnDefinition) -> bool {
    use crate::engine::sql::Generated;
    let constant = column.default.as_deref().map(definition::is_constant);
    let is_null = |value: &String| value.eq_ignore_ascii_case("NULL");
    let has_value = column.default.as_ref().is_some_and(|value| !is_null(value));
    let is_stored = matches!(column.generated, Some((_, Generated::Stored)));
    !column.unique && !is_stored && constant != Some(false) && (has_value || !column.not_null)
}

fn can_be_dropped(table: &Table, name: &str) -> bool {
    let is = |other: &String| other.eq_ignore_ascii_case(name);
    let is_indexed = table.indexes.iter().any(|index| {
        let mut columns = index.columns.iter();
        index.partial.is_some() || columns.any(|it| it.name.as_ref().is_none_or(is))
    });
    let is_key = table.primary_key.iter().any(is);
    let refers = table
        .foreign_keys
        .iter()
        .any(|key| key.columns.iter().any(is));
    let is_computed_with = table
        .columns
        .iter()
        .any(|column| column.generated.is_some());
    !is_indexed && !is_key && !refers && !is_computed_with && table.checks.is_empty()
}
