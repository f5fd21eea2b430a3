//! The table that rows go to, and the statements that bring them there.
use super::source::{Becomes, FileColumn};
use crate::data::{Affinity, Column, Schema, Table, TableKind, nearest, quoted};
use crate::domain::import::{TableImport, WriteMode};

/// Where rows go, and how.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The columns of the file, in its order.
    pub(super) columns: Vec<FileColumn>,
    /// Defaults, as SQL, of those columns that have one.
    defaults: Vec<Option<String>>,
    /// What rows are written to first.
    pub(super) first: First,
    /// Writes from there to the table, where rows wait elsewhere.
    write: String,
}

/// What rows are written to first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum First {
    /// The table itself.
    Table,
    /// A table beside it, which takes its name in the end.
    Renamed(String),
    /// A table beside it, from which all rows are moved at once.
    Moved(String),
}

/// Why rows cannot go to a table.
pub(super) type Unsuited = String;

/// The table of an import, which must be one that takes rows. `None` where it is to be made.
pub(super) fn find<'s>(
    schema: &'s Schema,
    import: &TableImport,
) -> Result<Option<&'s Table>, Unsuited> {
    let name = &import.table;
    let Some(table) = schema.find(name) else {
        if import.creates {
            return Ok(None);
        }
        let near = schema.nearest(name);
        let near = near.map_or(String::new(), |near| format!("; is `{near}` meant?"));
        return Err(format!("there is no table `{name}`{near}"));
    };
    match table.kind {
        TableKind::View => Err(format!("`{name}` is a view; import into a table")),
        TableKind::Shadow => Err(format!("`{name}` belongs to a virtual table")),
        TableKind::Table | TableKind::Virtual if table.is_internal => {
            Err(format!("`{name}` belongs to DB-Forge"))
        }
        TableKind::Table | TableKind::Virtual => match &table.trouble {
            Some(trouble) => Err(format!("`{name}` cannot be written to: {trouble}")),
            None => Ok(Some(table)),
        },
    }
}

/// A type by its declaration: of fields, only those that say so are bytes.
fn becomes(column: &Column) -> Becomes {
    match column.affinity {
        Affinity::Integer => Becomes::Integer,
        Affinity::Real => Becomes::Real,
        Affinity::Numeric => Becomes::Numeric,
        Affinity::Blob
            if !column.declared_type.is_empty()
                && column.declared_type.to_ascii_uppercase().contains("BLOB") =>
        {
            Becomes::Blob
        }
        Affinity::Text | Affinity::Blob => Becomes::Text,
    }
}

impl Target {
    /// A table that is there. `names` are the columns of the file; where it names them row by row,
    /// all columns of the table.
    pub(super) fn of(
        table: &Table,
        names: Option<&[String]>,
        import: &TableImport,
        beside: &str,
    ) -> Result<Self, Unsuited> {
        let own = || {
            table
                .columns
                .iter()
                .filter(|it| it.generated.is_none() && !it.is_hidden)
        };
        let mut columns = Vec::new();
        let mut defaults = Vec::new();
        let mut add = |column: &Column| {
            columns.push(FileColumn {
                name: column.name.clone(),
                becomes: becomes(column),
            });
            defaults.push(column.default.clone());
        };
        match names {
            None => own().for_each(&mut add),
            Some(names) if !import.has_header && import.form.has_fields() => {
                if names.len() != own().count() {
                    return Err(format!(
                        "the file has {} columns, the table has {}; with a header it may have \
                         some of them",
                        names.len(),
                        own().count()
                    ));
                }
                own().for_each(&mut add);
            }
            Some(names) => {
                for name in names {
                    let column = table.column(name).ok_or_else(|| unknown(table, name))?;
                    if column.generated.is_some() {
                        return Err(format!(
                            "the column `{}` is generated and takes no values; leave it out of \
                             the file",
                            column.name
                        ));
                    }
                    add(column);
                }
            }
        }
        let keys = conflict_keys(table, &columns, import)?;
        let list = quoted_list(columns.iter().map(|column| column.name.as_str()));
        let into = format!("INSERT INTO {} ({list})", quoted(&table.name));
        let behind = if import.mode == WriteMode::Upsert {
            on_conflict(&columns, &keys)
        } else {
            String::new()
        };
        let is_moved = import.is_atomic || import.mode == WriteMode::Replace;
        let (first, write) = match is_moved {
            false => (First::Table, format!("{into} VALUES (…){behind}")),
            true => {
                let values = quoted_list((1..=columns.len()).map(place_name));
                let select = format!("SELECT {values} FROM {}", quoted(beside));
                let condition = "record > ?1 AND record <= ?2 ORDER BY record";
                let write = format!("{into} {select} WHERE {condition}{behind}");
                (First::Moved(beside.to_owned()), write)
            }
        };
        Ok(Self {
            columns,
            defaults,
            first,
            write,
        })
    }

    /// A table that is made of the columns of a file.
    pub(super) fn new(columns: &[(String, &'static str)], is_csv: bool, beside: &str) -> Self {
        let columns = columns.iter().map(|(name, kind)| FileColumn {
            name: name.clone(),
            becomes: match *kind {
                "INTEGER" if is_csv => Becomes::Integer,
                "REAL" if is_csv => Becomes::Real,
                "NUMERIC" if is_csv => Becomes::Numeric,
                _ => Becomes::Text,
            },
        });
        let columns: Vec<_> = columns.collect();
        Self {
            defaults: vec![None; columns.len()],
            columns,
            first: First::Renamed(beside.to_owned()),
            write: String::new(),
        }
    }

    /// The statement that writes one row, of which `missing` columns have no value. Its parameters
    /// are those of the other columns; where rows wait beside the table, record and line first.
    pub(super) fn insert(&self, missing: &[usize]) -> String {
        let mut values = Vec::with_capacity(self.columns.len());
        for place in 0..self.columns.len() {
            values.push(match (&self.defaults[place], missing.contains(&place)) {
                (Some(default), true) => format!("({default})"),
                _ => "?".to_owned(),
            });
        }
        let values = values.join(", ");
        match &self.first {
            First::Table => self.write.replacen("(…)", &format!("({values})"), 1),
            First::Renamed(name) => {
                let columns = quoted_list(self.columns.iter().map(|it| it.name.as_str()));
                format!("INSERT INTO {} ({columns}) VALUES ({values})", quoted(name))
            }
            First::Moved(name) => {
                format!("INSERT INTO {} VALUES (?, ?, {values})", quoted(name))
            }
        }
    }

    /// Whether a column without a value gets a default.
    pub(super) fn has_default(&self, place: usize) -> bool {
        self.defaults[place].is_some()
    }

    /// Makes the table that rows are written to first.
    pub(super) fn create(&self, typed: &[(String, &'static str)]) -> Option<String> {
        match &self.first {
            First::Table => None,
            First::Renamed(name) => {
                let columns = typed.iter().map(|(column, kind)| {
                    let column = quoted(column);
                    if kind.is_empty() {
                        column
                    } else {
                        format!("{column} {kind}")
                    }
                });
                let columns: Vec<_> = columns.collect();
                Some(format!(
                    "CREATE TABLE {} ({})",
                    quoted(name),
                    columns.join(", ")
                ))
            }
            First::Moved(name) => {
                let columns = quoted_list((1..=self.columns.len()).map(place_name));
                Some(format!(
                    "CREATE TABLE {} (record INTEGER PRIMARY KEY, line, {columns})",
                    quoted(name)
                ))
            }
        }
    }

    /// Moves the rows behind record ?1 up to record ?2 to the table.
    pub(super) fn moves(&self) -> &str {
        &self.write
    }
}

fn place_name(place: usize) -> String {
    format!("c{place}")
}

fn quoted_list<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> String {
    let names = names.into_iter().map(|name| quoted(name.as_ref()));
    names.collect::<Vec<_>>().join(", ")
}

fn unknown(table: &Table, name: &str) -> Unsuited {
    let own = table.columns.iter().map(|column| column.name.as_str());
    let shown: String = name.chars().take(100).collect();
    let table = &table.name;
    match nearest(own, name) {
        Some(near) => format!("the table `{table}` has no column `{shown}`; is `{near}` meant?"),
        None => format!("the table `{table}` has no column `{shown}`"),
    }
}

/// The columns that make a row the same as one that is there.
fn conflict_keys(
    table: &Table,
    columns: &[FileColumn],
    import: &TableImport,
) -> Result<Vec<String>, Unsuited> {
    if import.mode != WriteMode::Upsert {
        return Ok(Vec::new());
    }
    let keys = match import.on_conflict.as_slice() {
        [] if table.primary_key.is_empty() => {
            return Err(format!(
                "the table `{}` has no primary key; name the columns of a UNIQUE key with \
                 on_conflict=",
                table.name
            ));
        }
        [] => table.primary_key.clone(),
        named => {
            let names = named.iter().map(|name| {
                let column = table.column(name).ok_or_else(|| unknown(table, name))?;
                Ok(column.name.clone())
            });
            names.collect::<Result<Vec<_>, Unsuited>>()?
        }
    };
    for key in &keys {
        if !columns
            .iter()
            .any(|column| column.name.eq_ignore_ascii_case(key))
        {
            return Err(format!("mode=upsert needs the column `{key}` in the file"));
        }
    }
    Ok(keys)
}

fn on_conflict(columns: &[FileColumn], keys: &[String]) -> String {
    let is_key = |name: &str| keys.iter().any(|key| key.eq_ignore_ascii_case(name));
    let changes = columns.iter().filter(|column| !is_key(&column.name));
    let changes = changes.map(|column| {
        let name = quoted(&column.name);
        format!("{name} = excluded.{name}")
    });
    let changes: Vec<_> = changes.collect();
    let keys = quoted_list(keys);
    match changes.is_empty() {
        true => format!(" ON CONFLICT ({keys}) DO NOTHING"),
        false => format!(" ON CONFLICT ({keys}) DO UPDATE SET {}", changes.join(", ")),
    }
}
