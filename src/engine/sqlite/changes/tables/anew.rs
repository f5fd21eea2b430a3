//! A table that is made anew, by the twelve steps of SQLite's page about ALTER TABLE.
//!
//! Foreign keys are off, since the lease of the writer began. Views and triggers are taken out
//! before the old table is dropped and put back behind it, in their own words: SQLite refuses to
//! rename a table while one of them names a table that is not there.
use super::definition::{self, invalid};
use super::text;
use super::work::{Work, refuse_used};
use crate::engine::sql::{
    Affinity, Alteration, Column, QueryError, Schema, Table, TableError, quoted,
};
use crate::engine::sqlite::syntax::create_table::CreateTable;
use rusqlite::OptionalExtension as _;

impl Work<'_> {
    pub(super) fn make_anew(
        &mut self,
        schema: &Schema,
        table: &Table,
        change: &Alteration,
    ) -> Result<(), TableError> {
        let Some(parsed) = CreateTable::parse(&table.sql) else {
            return invalid(format!(
                "the statement that made `{}` cannot be read",
                table.name
            ));
        };
        let changed = text::changed(table, &parsed, change)?;
        let Some(new_parsed) = CreateTable::parse(&changed) else {
            return invalid(format!(
                "the table would be `{changed}`, which cannot be read"
            ));
        };
        let new_name = free_name(schema, &table.name);
        let before = self.dependents(schema)?;
        let sequence = self.sequence(&table.name)?;

        let own_words = |error: TableError| in_own_words(error, &new_name, &table.name);
        self.run(text::renamed(&changed, &new_parsed, &table.name, &new_name))
            .map_err(own_words)?;
        let made = self.schema()?;
        let new_table = made.find(&new_name);
        let Some(new_table) = new_table else {
            return invalid("the new table was not made");
        };
        let copy = copy(table, new_table, change);
        self.run(copy).map_err(own_words)?;
        self.refuse_unfit(table, new_table, change)?;

        let stored = self.take_out_dependents()?;
        self.run_stored(format!("DROP TABLE {}", quoted(&table.name)))?;
        self.run_stored(format!(
            "ALTER TABLE {} RENAME TO {}",
            quoted(&new_name),
            quoted(&table.name)
        ))?;
        if let Some(last) = sequence {
            self.keep_sequence(&table.name, new_table, last)?;
        }
        let mut broken = Vec::new();
        for index in &table.indexes {
            let Some(sql) = &index.sql else { continue };
            match self.run(sql.clone()) {
                Err(TableError::Query(QueryError::Sql { .. })) => {
                    broken.push(format!("the index `{}`", index.name));
                }
                other => other?,
            }
        }
        for (kind, name, sql) in stored {
            match self.run_stored(sql) {
                // Another one may say more clearly what it misses.
                Err(TableError::Query(QueryError::Sql { .. })) => {
                    broken.push(format!("the {kind} `{name}`"));
                }
                other => other?,
            }
        }
        let now = self.schema()?;
        broken.extend(before.broken(&self.dependents(&now)?));
        refuse_used(&format!("what is changed of `{}`", table.name), broken)
    }

    /// Drops every view and trigger; the kind, the name and the statement of each, in the order in
    /// which they were made.
    fn take_out_dependents(&mut self) -> Result<Vec<(String, String, String)>, TableError> {
        let question = "SELECT type, name, sql FROM sqlite_schema \
            WHERE type IN ('view', 'trigger') ORDER BY type = 'trigger', rowid";
        let stored: Vec<(String, String, String)> = self.ask(|connection| {
            let mut question = connection.prepare(question)?;
            let rows = question.query_map([], |row| row.try_into())?;
            rows.collect()
        })?;
        // Triggers first: those on a view would go with it.
        for (kind, name, _) in stored.iter().rev() {
            let kind = if kind == "view" { "VIEW" } else { "TRIGGER" };
            self.run_stored(format!("DROP {kind} {}", quoted(name)))?;
        }
        Ok(stored)
    }

    /// The last number that AUTOINCREMENT gave.
    fn sequence(&mut self, table: &str) -> Result<Option<i64>, TableError> {
        self.ask(|connection| {
            let is_there = connection
                .prepare("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'")?
                .exists([])?;
            if !is_there {
                return Ok(None);
            }
            let question = "SELECT seq FROM sqlite_sequence WHERE name = ?1 COLLATE nocase";
            connection
                .query_row(question, [table], |row| row.get(0))
                .optional()
        })
    }

    fn keep_sequence(
        &mut self,
        name: &str,
        new_table: &Table,
        last: i64,
    ) -> Result<(), TableError> {
        if !new_table
            .columns
            .iter()
            .any(|column| column.is_autoincrement)
        {
            return Ok(());
        }
        self.ask(|connection| {
            let update = "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1";
            if connection.execute(update, rusqlite::params![name, last])? == 0 {
                let insert = "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)";
                connection.execute(insert, rusqlite::params![name, last])?;
            }
            Ok(())
        })
    }

    /// Refuses values that a changed type would not make of its own kind.
    fn refuse_unfit(
        &mut self,
        table: &Table,
        new_table: &Table,
        change: &Alteration,
    ) -> Result<(), TableError> {
        for changed in change
            .alter_columns
            .iter()
            .filter(|it| it.declared_type.is_some())
        {
            let (Some(old), Some(new)) =
                (table.column(&changed.name), new_table.column(&changed.name))
            else {
                continue;
            };
            let unfit = match new.affinity {
                _ if old.affinity == new.affinity => continue,
                Affinity::Integer => "'text', 'blob', 'real'",
                Affinity::Real => "'text', 'blob'",
                Affinity::Text => "'blob'",
                Affinity::Numeric | Affinity::Blob => continue,
            };
            let row = match &new_table.rowid {
                Some(name) => format!("'row ' || {}", quoted(name)),
                None => "'a row'".to_owned(),
            };
            let question = format!(
                "SELECT {row}, quote(substr({0}, 1, 40)) FROM {1} WHERE typeof({0}) IN ({unfit}) LIMIT 1",
                quoted(&new.name),
                quoted(&new_table.name)
            );
            let found: Option<(String, String)> = self.ask(|connection| {
                let found = connection.query_row(&question, [], |row| row.try_into());
                found.optional()
            })?;
            if let Some((row, value)) = found {
                return Err(TableError::Unfit {
                    column: new.name.clone(),
                    declared_type: new.declared_type.clone(),
                    row,
                    value,
                });
            }
        }
        Ok(())
    }
}

/// The statement that copies the rows.
fn copy(table: &Table, new_table: &Table, change: &Alteration) -> String {
    let stays = |column: &&Column| {
        column.generated.is_none()
            && !change
                .drop_columns
                .iter()
                .any(|it| it.eq_ignore_ascii_case(&column.name))
            && (new_table.column(&column.name)).is_some_and(|it| it.generated.is_none())
    };
    let (mut to, mut from) = (Vec::new(), Vec::new());
    // A row keeps its number, be it one that no column shows.
    if let (Some(old), Some(new)) = (&table.rowid, &new_table.rowid)
        && new_table.column(new).is_none()
    {
        to.push(quoted(new));
        from.push(quoted(old));
    }
    for column in table.columns.iter().filter(stays) {
        let name = quoted(&column.name);
        to.push(name.clone());
        from.push(match filling(column, change) {
            Some(value) => format!("coalesce({name}, {value})"),
            None => name,
        });
    }
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM {}",
        quoted(&new_table.name),
        to.join(", "),
        from.join(", "),
        quoted(&table.name)
    )
}

/// What stands in for NULL in a column that refuses it from now on: its default.
fn filling(column: &Column, change: &Alteration) -> Option<String> {
    let mut changes = change.alter_columns.iter();
    let changed = changes.find(|it| it.name.eq_ignore_ascii_case(&column.name))?;
    if changed.not_null != Some(true) {
        return None;
    }
    let default = changed
        .default
        .clone()
        .unwrap_or_else(|| column.default.clone())?;
    let is_null = default.eq_ignore_ascii_case("NULL");
    (!is_null && definition::default(&default, &column.name).is_ok())
        .then(|| format!("({default})"))
}

/// A name that no table has.
fn free_name(schema: &Schema, name: &str) -> String {
    let mut number = 0;
    loop {
        let free = match number {
            0 => format!("dbforge_new_{name}"),
            _ => format!("dbforge_new_{number}_{name}"),
        };
        if schema.find(&free).is_none() {
            return free;
        }
        number += 1;
    }
}

/// What SQLite says of the new table, said of the one whose place it takes.
fn in_own_words(error: TableError, new_name: &str, name: &str) -> TableError {
    match error {
        TableError::Query(QueryError::Constraint { message }) => {
            let message = message.replace(new_name, name);
            QueryError::Constraint { message }.into()
        }
        TableError::Query(QueryError::Sql { message, hint }) => {
            let message = message.replace(new_name, name);
            QueryError::Sql { message, hint }.into()
        }
        other => other,
    }
}
