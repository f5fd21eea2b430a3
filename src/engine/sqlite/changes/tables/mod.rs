//! Changes of tables and indexes: SQLite's own ALTER TABLE where it can, else the table is made
//! anew, by the steps of SQLite's page about ALTER TABLE.
mod alter;
mod anew;
mod definition;
mod dependents;
mod text;
mod work;

use super::exclusive::Outcome;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::{Call, TableChange, TableChanged, TableCommand, TableError, Target};
use crate::engine::sqlite::executor::SqliteExecutor;
use crate::engine::sqlite::writer::lease::LeaseSetup;
use work::Work;

impl SqliteExecutor {
    /// Changes a table, all at once or not at all.
    ///
    /// # Errors
    /// What [`TableError`] lists.
    pub async fn change_table(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        command: TableCommand,
    ) -> Result<TableChanged, TableError> {
        definition::refuse_wrong(&command.change)?;
        let open = self.open_behind(guard, target)?;
        // A table that is made anew is dropped, which must not take along what refers to it. What
        // refers to nothing at the end is looked for then.
        let setup = LeaseSetup {
            foreign_keys_off: true,
            ..LeaseSetup::default()
        };
        let call_of_it = *call;
        let changed = self.exclusively(guard, &open, call, setup, move |sqlite| {
            let mut work = Work::on(sqlite, &call_of_it);
            let (table, index) = match &command.change {
                TableChange::Create(definition) => (work.create(definition)?, None),
                TableChange::Alter(alteration) => (work.alter(alteration)?, None),
                TableChange::Drop { table } => (work.drop_table(table)?, None),
                TableChange::CreateIndex { table, index } => {
                    let (table, index) = work.create_index(table, index)?;
                    (table, Some(index))
                }
                TableChange::DropIndex { table, index } => (work.drop_index(table, index)?, None),
            };
            let changed = TableChanged {
                table,
                index,
                statements: work.statements,
            };
            let outcome = match command.is_dry_run {
                true => Outcome::TakeBack,
                false => Outcome::Keep,
            };
            Ok((changed, outcome))
        });
        changed.await
    }
}
