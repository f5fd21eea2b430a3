//! What every change of a table does: it looks at the schema, runs statements, and remembers them.
use super::definition;
use super::dependents::Dependents;
use crate::engine::sql::{
    Call, IndexDefinition, IndexOrigin, Params, Schema, Statement, Table, TableDefinition,
    TableError, TableKind, quoted,
};
use crate::engine::sqlite::changes::violations::Violations;
use crate::engine::sqlite::{SqlError, SqliteConnection};
use rusqlite::Connection;

/// A change of a table, while it is made.
pub(super) struct Work<'w> {
    pub(super) sqlite: &'w mut SqliteConnection,
    call: &'w Call,
    /// Those that ran.
    pub(super) statements: Vec<String>,
}

impl<'w> Work<'w> {
    pub(super) fn on(sqlite: &'w mut SqliteConnection, call: &'w Call) -> Self {
        Self {
            sqlite,
            call,
            statements: Vec::new(),
        }
    }

    pub(super) fn create(&mut self, definition: &TableDefinition) -> Result<String, TableError> {
        let sql = definition::create_table(definition)?;
        let schema = self.schema()?;
        self.refuse_taken(&schema, &definition.name)?;
        for key in &definition.foreign_keys {
            let is_own = key.to_table.eq_ignore_ascii_case(&definition.name);
            if !is_own {
                find_table(&schema, &key.to_table)?;
            }
        }
        self.run(sql)?;
        self.look_at_foreign_keys(&definition.name)?;
        Ok(definition.name.clone())
    }

    pub(super) fn drop_table(&mut self, name: &str) -> Result<String, TableError> {
        let schema = self.schema()?;
        let table = find_table(&schema, name)?;
        refuse_internal(table)?;
        let refers = |other: &&Table| {
            let mut keys = other.foreign_keys.iter();
            other.name != table.name
                && keys.any(|key| key.to_table.eq_ignore_ascii_case(&table.name))
        };
        let by: Vec<String> = (schema.tables.iter().filter(refers))
            .map(|other| format!("a foreign key of the table `{}`", other.name))
            .collect();
        let what = format!("`{}`", table.name);
        refuse_used(&what, by)?;
        let before = self.dependents(&schema)?;
        let kind = match table.kind {
            TableKind::View => "VIEW",
            TableKind::Table | TableKind::Virtual | TableKind::Shadow => "TABLE",
        };
        self.run(format!("DROP {kind} {}", quoted(&table.name)))?;
        let schema = self.schema()?;
        refuse_used(&what, before.broken(&self.dependents(&schema)?))?;
        Ok(table.name.clone())
    }

    pub(super) fn create_index(
        &mut self,
        table: &str,
        index: &IndexDefinition,
    ) -> Result<(String, String), TableError> {
        let schema = self.schema()?;
        let table = find_table(&schema, table)?;
        let (name, sql) = definition::create_index(table, index)?;
        self.refuse_taken(&schema, &name)?;
        self.run(sql)?;
        Ok((table.name.clone(), name))
    }

    pub(super) fn drop_index(&mut self, table: &str, index: &str) -> Result<String, TableError> {
        let schema = self.schema()?;
        let table = find_table(&schema, table)?;
        let found = (table.indexes.iter()).find(|it| it.name.eq_ignore_ascii_case(index));
        let Some(found) = found else {
            let names = table.indexes.iter().map(|index| index.name.as_str());
            return Err(TableError::NotFound {
                what: "index",
                name: index.to_owned(),
                nearest: crate::engine::sql::nearest(names, index).map(str::to_owned),
            });
        };
        if found.origin != IndexOrigin::Created {
            let by = match found.origin {
                IndexOrigin::PrimaryKey => "the primary key of its table",
                IndexOrigin::Unique | IndexOrigin::Created => "a UNIQUE constraint of its table",
            };
            let what = format!("the index `{}`", found.name);
            refuse_used(&what, vec![by.to_owned()])?;
        }
        self.run(format!("DROP INDEX {}", quoted(&found.name)))?;
        let after = self.schema()?;
        let lost = |schema: &Schema| unmatched_keys(schema, &table.name);
        let before = lost(&schema);
        let by = lost(&after).into_iter().filter(|key| !before.contains(key));
        refuse_used(&format!("the index `{}`", found.name), by.collect())?;
        Ok(table.name.clone())
    }

    /// What is in the database now.
    pub(super) fn schema(&mut self) -> Result<Schema, TableError> {
        let tables = self.sqlite.read_tables();
        let tables = tables.map_err(|error| self.failed(error))?;
        Ok(Schema::new(tables, 0))
    }

    /// Runs a statement as its caller could.
    pub(super) fn run(&mut self, sql: String) -> Result<(), TableError> {
        let statement = Statement {
            sql: sql.as_str().into(),
            params: Params::None,
            ..Statement::default()
        };
        let ran = self.sqlite.run(&statement, &self.call.form);
        ran.map_err(|error| self.failed(error))?;
        self.statements.push(sql);
        Ok(())
    }

    /// Runs a statement that was in the schema before, or takes one out.
    pub(super) fn run_stored(&mut self, sql: String) -> Result<(), TableError> {
        self.ask(|connection| connection.execute_batch(&sql))?;
        self.statements.push(sql);
        Ok(())
    }

    /// Asks as the forge itself.
    pub(super) fn ask<T>(
        &mut self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, TableError> {
        let asked = self.sqlite.as_internal(ask);
        asked.map_err(|error| {
            let cut = self.sqlite.interrupts.interrupt();
            self.failed(SqlError::from_sqlite(&error, cut))
        })
    }

    /// The views and triggers that work now.
    pub(super) fn dependents(&mut self, schema: &Schema) -> Result<Dependents, TableError> {
        let dependents = Dependents::of(self.sqlite, schema);
        dependents.map_err(|error| self.failed(error))
    }

    pub(super) fn violations(&mut self) -> Result<Violations, TableError> {
        let violations = Violations::of(self.sqlite);
        violations.map_err(|error| self.failed(error))
    }

    pub(super) fn failed(&self, error: SqlError) -> TableError {
        error.for_caller(self.call.timeout).into()
    }

    /// Whether SQLite finds what the foreign keys of a table refer to.
    pub(super) fn look_at_foreign_keys(&mut self, table: &str) -> Result<(), TableError> {
        let looked = self.sqlite.asking(|connection| {
            let question = "SELECT count(*) FROM pragma_foreign_key_check(?1)";
            let count = connection.query_row(question, [table], |row| row.get::<_, i64>(0));
            count.map_err(|error| SqlError::from_sqlite(&error, None))
        });
        looked.map(drop).map_err(|error| self.failed(error))
    }

    pub(super) fn refuse_taken(&mut self, schema: &Schema, name: &str) -> Result<(), TableError> {
        let mut indexes = schema.tables.iter().flat_map(|table| &table.indexes);
        let is_index = indexes.any(|index| index.name.eq_ignore_ascii_case(name));
        if is_index || schema.find(name).is_some() {
            return Err(TableError::Exists(name.to_owned()));
        }
        Ok(())
    }
}

/// The table of this name.
pub(super) fn find_table<'s>(schema: &'s Schema, name: &str) -> Result<&'s Table, TableError> {
    schema.find(name).ok_or_else(|| TableError::NotFound {
        what: "table",
        name: name.to_owned(),
        nearest: schema.nearest(name).map(str::to_owned),
    })
}

pub(super) fn refuse_internal(table: &Table) -> Result<(), TableError> {
    if table.is_internal {
        return Err(TableError::InUse {
            what: format!("`{}`", table.name),
            by: vec!["DB-Forge itself".to_owned()],
        });
    }
    Ok(())
}

pub(super) fn refuse_used(what: &str, by: Vec<String>) -> Result<(), TableError> {
    if by.is_empty() {
        return Ok(());
    }
    Err(TableError::InUse {
        what: what.to_owned(),
        by,
    })
}

/// Foreign keys to a table whose columns are neither its primary key nor unique.
fn unmatched_keys(schema: &Schema, to: &str) -> Vec<String> {
    let Some(table) = schema.find(to) else {
        return Vec::new();
    };
    let is_key = |columns: &[String]| {
        let sorted = |columns: &[String]| {
            let mut names: Vec<String> = columns.iter().map(|it| it.to_ascii_lowercase()).collect();
            names.sort();
            names
        };
        let wanted = sorted(columns);
        std::iter::once(&table.primary_key)
            .chain(&table.unique_keys)
            .any(|key| sorted(key) == wanted)
    };
    let others = schema.tables.iter();
    others
        .flat_map(|other| other.foreign_keys.iter().map(move |key| (other, key)))
        .filter(|(_, key)| key.to_table.eq_ignore_ascii_case(to) && !is_key(&key.to_columns))
        .map(|(other, _)| format!("a foreign key of the table `{}`", other.name))
        .collect()
}
