//! A script that makes the same schema.
use crate::data::{Schema, Table, TableKind};

/// The statements that make the schema: tables, then indexes, then views, then triggers. Tables
/// that virtual tables make themselves, and DB-Forge's own, are left out.
#[must_use]
pub fn script(schema: &Schema) -> String {
    let mut script = String::new();
    let mut add = |sql: &str| {
        if !sql.is_empty() {
            script.push_str(sql);
            // A comment at its end would hide what follows on its line.
            let last_line = sql.rsplit('\n').next().unwrap_or(sql);
            script.push_str(if last_line.contains("--") {
                "\n;\n"
            } else {
                ";\n"
            });
        }
    };
    let of_kind = |kinds: &'static [TableKind]| {
        let tables = schema.tables.iter();
        tables.filter(move |table| kinds.contains(&table.kind) && !table.is_internal)
    };
    let tables = || of_kind(&[TableKind::Table, TableKind::Virtual]);
    tables().for_each(|table| add(&table.sql));
    for index in tables().flat_map(|table| &table.indexes) {
        add(index.sql.as_deref().unwrap_or_default());
    }
    let views = || of_kind(&[TableKind::View]);
    views().for_each(|view| add(&view.sql));
    let triggers = |table: &Table| table.triggers.clone();
    for trigger in tables().chain(views()).flat_map(triggers) {
        add(&trigger.sql);
    }
    script
}
