//! Views and triggers that work, before and after a change.
use crate::engine::sql::{Schema, TableKind, quoted};
use crate::engine::sqlite::{SqlError, SqliteConnection};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The views and the tables with triggers of which statements can be prepared.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    working: BTreeSet<String>,
    /// All of them.
    known: BTreeSet<String>,
}

impl Dependents {
    pub(super) fn of(sqlite: &mut SqliteConnection, schema: &Schema) -> Result<Self, SqlError> {
        let mut dependents = Self::default();
        let interrupts = Arc::clone(&sqlite.interrupts);
        for table in &schema.tables {
            let name = quoted(&table.name);
            let mut probes = Vec::new();
            if table.kind == TableKind::View {
                let view = format!("the view `{}`", table.name);
                probes.push((view, format!("SELECT * FROM {name}")));
            }
            let columns = table.columns.iter();
            let columns = columns.filter(|it| it.generated.is_none() && !it.is_hidden);
            let set: Vec<String> = columns
                .map(|column| format!("{0} = {0}", quoted(&column.name)))
                .collect();
            for trigger in &table.triggers {
                let what = format!("the trigger `{}`", trigger.name);
                let sql = if trigger.event.contains("INSERT") {
                    format!("INSERT INTO {name} DEFAULT VALUES")
                } else if trigger.event.contains("DELETE") {
                    format!("DELETE FROM {name}")
                } else if !set.is_empty() {
                    // Of all columns: a trigger for one alone would not act on another.
                    format!("UPDATE {name} SET {}", set.join(", "))
                } else {
                    continue;
                };
                probes.push((what, sql));
            }
            for (what, sql) in probes {
                if let Some(cut) = interrupts.interrupt() {
                    return Err(SqlError::interrupted(Some(cut)));
                }
                let prepared = sqlite.asking(|connection| {
                    let prepared = connection.prepare(&sql).map(drop);
                    prepared.map_err(|error| SqlError::from_sqlite(&error, None))
                });
                if prepared.is_ok() {
                    dependents.working.insert(what.clone());
                }
                dependents.known.insert(what);
            }
        }
        Ok(dependents)
    }

    /// Those that worked and do not any more; those that are gone were taken out on purpose.
    pub(super) fn broken(&self, now: &Self) -> Vec<String> {
        let broken = |what: &&String| now.known.contains(*what) && !now.working.contains(*what);
        self.working.iter().filter(broken).cloned().collect()
    }
}
