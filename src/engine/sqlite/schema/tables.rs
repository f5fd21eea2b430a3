//! What is listed in a schema, made into tables.
use crate::engine::sql::{
    Affinity, Column, ForeignKey, Generated, INTERNAL_TABLES, Index, IndexColumn, IndexOrigin,
    Table, TableKind, Trigger,
};
use crate::engine::sqlite::SqlError;
use crate::engine::sqlite::syntax::create_table::{ConstraintKind, CreateTable};
use crate::engine::sqlite::syntax::stored::{IndexText, shadows_of, trigger_event, virtual_module};
use rusqlite::{Connection, Row};
use std::collections::{HashMap, HashSet};

/// A name and what made it; nothing did of what SQLite made itself.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) sql: Option<String>,
}

/// What `sqlite_schema` lists.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) tables: Vec<Listed>,
    views: HashSet<String>,
    shadows: HashSet<String>,
    /// SQL of indexes, by name.
    indexes: HashMap<String, String>,
    /// By the name of their table, in lower case.
    triggers: HashMap<String, Vec<Trigger>>,
}

impl Listing {
    pub(super) fn add(&mut self, kind: &str, listed: Listed, of: &str) {
        match kind {
            "table" => self.tables.push(listed),
            "view" => {
                self.views.insert(listed.name.clone());
                self.tables.push(listed);
            }
            "index" => {
                if let Some(sql) = listed.sql {
                    self.indexes.insert(listed.name, sql);
                }
            }
            "trigger" => {
                let sql = listed.sql.unwrap_or_default();
                let triggers = self.triggers.entry(of.to_ascii_lowercase()).or_default();
                triggers.push(Trigger {
                    name: listed.name,
                    event: trigger_event(&sql).unwrap_or_default(),
                    sql,
                });
            }
            _ => {}
        }
    }

    /// Finds the tables that virtual tables keep their data in.
    pub(super) fn find_shadows(&mut self) {
        for listed in &self.tables {
            let sql = listed.sql.as_deref().unwrap_or_default();
            self.shadows.extend(shadows_of(&listed.name, sql));
        }
    }

    fn kind_of(&self, listed: &Listed) -> TableKind {
        let is_virtual = || listed.sql.as_deref().and_then(virtual_module).is_some();
        if self.views.contains(&listed.name) {
            TableKind::View
        } else if is_virtual() {
            TableKind::Virtual
        } else if self.shadows.contains(&listed.name.to_ascii_lowercase()) {
            TableKind::Shadow
        } else {
            TableKind::Table
        }
    }

    pub(super) fn is_view(&self, listed: &Listed) -> bool {
        self.views.contains(&listed.name)
    }

    /// What is known of a table or view without asking for its columns, and why they are not told.
    pub(super) fn untold(&self, listed: &Listed, trouble: &str) -> Table {
        Table {
            trouble: Some(trouble.to_owned()),
            ..self.outside(listed, None)
        }
    }

    fn text_of(&self, listed: &Listed) -> Option<CreateTable> {
        match self.kind_of(listed) {
            TableKind::Table | TableKind::Shadow => CreateTable::parse(listed.sql.as_ref()?),
            TableKind::View | TableKind::Virtual => None,
        }
    }

    /// What is listed of a table or view.
    fn outside(&self, listed: &Listed, text: Option<&CreateTable>) -> Table {
        let sql = listed.sql.clone().unwrap_or_default();
        let kind = self.kind_of(listed);
        let triggers = self.triggers.get(&listed.name.to_ascii_lowercase());
        let is_internal = |name: &&str| name.eq_ignore_ascii_case(&listed.name);
        let mut table = Table {
            name: listed.name.clone(),
            kind,
            columns: Vec::new(),
            primary_key: Vec::new(),
            rowid: None,
            is_strict: text.is_some_and(|text| text.is_strict),
            is_without_rowid: text.is_some_and(|text| text.is_without_rowid),
            is_internal: INTERNAL_TABLES.iter().any(is_internal),
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            checks: Vec::new(),
            indexes: Vec::new(),
            triggers: triggers.cloned().unwrap_or_default(),
            sql,
            trouble: None,
        };
        table.triggers.sort_by(|a, b| a.name.cmp(&b.name));
        table
    }

    /// Everything about a table or view. One whose columns cannot be told is told without them.
    pub(super) fn table(
        &self,
        connection: &Connection,
        listed: &Listed,
    ) -> Result<Table, SqlError> {
        let text = self.text_of(listed);
        let mut table = self.outside(listed, text.as_ref());
        match self.fill(&mut table, connection, text.as_ref()) {
            Err(error) if error.spoils_connection() => return Err(error),
            // Not the whole schema's fault.
            Err(
                SqlError::Sql { message, .. }
                | SqlError::VirtualTable { message }
                | SqlError::NotAllowed { what: message },
            ) => table.trouble = Some(message),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        Ok(table)
    }

    fn fill(
        &self,
        table: &mut Table,
        connection: &Connection,
        text: Option<&CreateTable>,
    ) -> Result<(), SqlError> {
        table.columns = columns(connection, table, text)?;
        let mut key: Vec<&Column> = table
            .columns
            .iter()
            .filter(|it| it.key_place.is_some())
            .collect();
        key.sort_by_key(|column| column.key_place);
        table.primary_key = key.into_iter().map(|column| column.name.clone()).collect();
        if matches!(table.kind, TableKind::Table | TableKind::Shadow) {
            table.indexes = self.indexes(connection, &table.name)?;
            table.foreign_keys = foreign_keys(connection, &table.name, text)?;
            let named = |index: &Index| -> Option<Vec<String>> {
                index.columns.iter().map(|it| it.name.clone()).collect()
            };
            let keys = table.indexes.iter().filter(|index| {
                index.unique && index.partial.is_none() && index.origin != IndexOrigin::PrimaryKey
            });
            table.unique_keys = keys.filter_map(named).collect();
            if let Some(text) = text {
                let checks = text
                    .all_constraints()
                    .filter_map(|(_, constraint)| match &constraint.kind {
                        ConstraintKind::Check(place) => {
                            Some(table.sql[place.clone()].trim().to_owned())
                        }
                        _ => None,
                    });
                table.checks = checks.collect();
            }
        }
        table.rowid = rowid_name(table);
        Ok(())
    }

    fn indexes(&self, connection: &Connection, table: &str) -> Result<Vec<Index>, SqlError> {
        let listed = rows(connection, INDEXES, table, |row| {
            let origin: String = row.get(2)?;
            Ok(Index {
                name: row.get(0)?,
                columns: Vec::new(),
                unique: row.get(1)?,
                origin: match origin.as_str() {
                    "pk" => IndexOrigin::PrimaryKey,
                    "u" => IndexOrigin::Unique,
                    _ => IndexOrigin::Created,
                },
                partial: None,
                sql: None,
            })
        });
        let mut indexes = listed?;
        for index in &mut indexes {
            index.sql = self.indexes.get(&index.name).cloned();
            index.columns = rows(connection, INDEXED, &index.name, |row| {
                Ok(IndexColumn {
                    name: row.get(0)?,
                    expression: None,
                    descending: row.get(1)?,
                    collation: row
                        .get::<_, Option<String>>(2)?
                        .unwrap_or_else(|| BINARY.to_owned()),
                })
            })?;
            let Some(sql) = &index.sql else { continue };
            let Some(text) = IndexText::parse(sql) else {
                continue;
            };
            for (column, place) in index.columns.iter_mut().zip(text.columns) {
                if column.name.is_none() {
                    column.expression = Some(sql[place].to_owned());
                }
            }
            index.partial = text.condition.map(|place| sql[place].to_owned());
        }
        Ok(indexes)
    }
}

const BINARY: &str = "BINARY";

const COLUMNS: &str =
    "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1, 'main')";
/// The newest comes first; they are told in the order of declaration.
const INDEXES: &str =
    "SELECT name, \"unique\", origin FROM pragma_index_list(?1, 'main') ORDER BY seq DESC";
const INDEXED: &str =
    "SELECT name, desc, coll FROM pragma_index_xinfo(?1, 'main') WHERE key ORDER BY seqno";
/// SQLite counts them from the last one that was declared.
const FOREIGN_KEYS: &str = "SELECT id, \"table\", \"from\", \"to\", on_delete, on_update \
    FROM pragma_foreign_key_list(?1, 'main') ORDER BY id DESC, seq";

fn columns(
    connection: &Connection,
    table: &Table,
    text: Option<&CreateTable>,
) -> Result<Vec<Column>, SqlError> {
    let of_table = text
        .map(|text| text.constraints.as_slice())
        .unwrap_or_default();
    let mut texts = text.into_iter().flat_map(|text| &text.columns);
    rows(connection, COLUMNS, &table.name, |row| {
        let name: String = row.get(0)?;
        let declared_type: String = row.get::<_, Option<String>>(1)?.unwrap_or_default();
        let (key_place, hidden): (u16, u8) = (row.get(4)?, row.get(5)?);
        // They are told in the order of declaration.
        let text = texts.next().filter(|text| text.name == name);
        let constraints = text
            .map(|column| column.constraints.as_slice())
            .unwrap_or_default();
        let collation = constraints
            .iter()
            .rev()
            .find_map(|constraint| match &constraint.kind {
                ConstraintKind::Collate(name) => Some(name.clone()),
                _ => None,
            });
        let says_autoincrement = constraints.iter().chain(of_table).any(|constraint| {
            matches!(
                constraint.kind,
                ConstraintKind::PrimaryKey {
                    is_autoincrement: true,
                    ..
                }
            )
        });
        Ok(Column {
            affinity: Affinity::of(&declared_type, table.is_strict),
            // A key of a table without row numbers refuses NULL, whether it says so or not.
            not_null: row.get(2)?,
            default: row.get(3)?,
            key_place: key_place.checked_sub(1).map(usize::from),
            generated: match hidden {
                2 => Some(Generated::Virtual),
                3 => Some(Generated::Stored),
                _ => None,
            },
            is_hidden: hidden == 1,
            is_autoincrement: key_place > 0 && says_autoincrement,
            collation: collation.unwrap_or_else(|| BINARY.to_owned()),
            declared_type,
            name,
        })
    })
}

fn foreign_keys(
    connection: &Connection,
    table: &str,
    text: Option<&CreateTable>,
) -> Result<Vec<ForeignKey>, SqlError> {
    type KeyRow = (i64, String, String, Option<String>, String, String);
    let listed: Vec<KeyRow> = rows(connection, FOREIGN_KEYS, table, |row| row.try_into())?;
    let mut keys: Vec<(i64, ForeignKey)> = Vec::new();
    for (id, to_table, from, to, on_delete, on_update) in listed {
        if keys.last().is_none_or(|(last, _)| *last != id) {
            let key = ForeignKey {
                name: None,
                columns: Vec::new(),
                to_table,
                to_columns: Vec::new(),
                on_delete,
                on_update,
                deferred: false,
            };
            keys.push((id, key));
        }
        if let Some((_, key)) = keys.last_mut() {
            key.columns.push(from);
            key.to_columns.extend(to);
        }
    }
    let mut keys: Vec<ForeignKey> = keys.into_iter().map(|(_, key)| key).collect();
    let declared = text.into_iter().flat_map(CreateTable::all_constraints);
    let declared: Vec<(Option<&String>, bool)> = declared
        .filter_map(|(_, constraint)| match &constraint.kind {
            ConstraintKind::References { is_deferred, .. } => {
                Some((constraint.name.as_ref(), *is_deferred))
            }
            _ => None,
        })
        .collect();
    if declared.len() == keys.len() {
        for (key, (name, deferred)) in keys.iter_mut().zip(declared) {
            key.deferred = deferred;
            key.name = name.cloned();
        }
    }
    Ok(keys)
}

/// The name by which a row's own number can be asked.
fn rowid_name(table: &Table) -> Option<String> {
    if table.kind == TableKind::View || table.is_without_rowid {
        return None;
    }
    if let [key] = table.primary_key.as_slice()
        && let Some(column) = table.column(key)
        && column.declared_type.eq_ignore_ascii_case("INTEGER")
        && table.kind != TableKind::Virtual
        // Its number is the row's own: SQLite made no index for it.
        && !table.indexes.iter().any(|index| index.origin == IndexOrigin::PrimaryKey)
    {
        return Some(key.clone());
    }
    let mut names = ["rowid", "_rowid_", "oid"].into_iter();
    let free = names.find(|name| table.column(name).is_none());
    free.map(str::to_owned)
}

/// What a question about one name answers.
fn rows<T>(
    connection: &Connection,
    question: &str,
    name: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, SqlError> {
    let mut statement = connection.prepare_cached(question).map_err(failed)?;
    let rows = statement.query_map([name], read).map_err(failed)?;
    rows.collect::<rusqlite::Result<_>>().map_err(failed)
}

/// What SQLite says when it is asked about its schema.
pub(super) fn failed(error: rusqlite::Error) -> SqlError {
    SqlError::from_sqlite(&error, None)
}
