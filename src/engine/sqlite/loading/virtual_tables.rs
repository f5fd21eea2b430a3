//! Virtual tables of a dump: made from their declaration, and filled from the content that the dump
//! has of them. Their own index, which a dump has as well, is built anew: what is in it is not
//! trusted.
//!
//! `sqlite3 .dump` writes a declaration as a row of `sqlite_schema`, other programs as a statement.
//! Behind it come the tables in which the virtual table keeps its data, as ordinary ones.
use super::outcome::refused;
use super::outcome::{Notes, failure_of, shortened};
use super::target::Target;
use super::words::{Word, Words};
use crate::engine::loading::LoadOrder;
use crate::engine::sqlite::syntax::stored::shadows_of_module;
use crate::runtime::child::ChildFailure;
use rusqlite::{Connection, OptionalExtension as _};
use std::collections::BTreeMap;

/// Characters of a name that a text shows.
const SHOWN_NAME: usize = 100;

/// Those of a load.
#[derive(Debug, Default)]
pub(super) struct VirtualTables {
    /// By their names in lower case.
    filled: BTreeMap<String, VirtualTable>,
    /// Declarations of those that tell of another's index, with their lines: they are made last.
    of_indexes: Vec<(Vec<u8>, u64)>,
}

#[derive(Debug)]
struct VirtualTable {
    name: String,
    module: Module,
    line: u64,
    /// Whether it has no content of its own: `content=''`.
    is_contentless: bool,
    /// Whether its content is in another table: `content='t'`.
    is_external: bool,
    /// Whether it was declared by a row of `sqlite_schema`: its content follows in its shadow tables.
    is_of_schema: bool,
    /// Whether the dump has rows of it beside, as Python's iterdump writes them: without rowids.
    has_own_rows: bool,
    /// Whether the dump has its shadow tables.
    is_dumped: bool,
    /// Whether the dump has rows of its content.
    has_content: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Module {
    Fts5,
    /// FTS3 or FTS4.
    Fts,
    RTree,
}

impl Module {
    fn of(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "fts5" => Some(Self::Fts5),
            "fts3" | "fts4" => Some(Self::Fts),
            "rtree" | "rtree_i32" => Some(Self::RTree),
            _ => None,
        }
    }

    /// What its shadow tables are called behind its own name and `_`.
    fn shadows(self) -> &'static [&'static str] {
        match self {
            Self::Fts5 => shadows_of_module("fts5"),
            Self::Fts => shadows_of_module("fts4"),
            Self::RTree => shadows_of_module("rtree"),
        }
    }
}

impl VirtualTables {
    /// Takes a statement that declares a virtual table in a dump's way, or is about the tables in
    /// which one keeps its data; `false` for any other.
    pub(super) fn take(
        &mut self,
        sql: &[u8],
        line: u64,
        target: &Target,
    ) -> Result<bool, ChildFailure> {
        let mut words = Words::of(sql);
        if words.pass(&["INSERT"]) {
            while words.pass(&["OR"]) {
                words.next();
            }
            if !words.pass(&["INTO"]) {
                return Ok(false);
            }
            let Some(table) = words.table() else {
                return Ok(false);
            };
            if is_schema_table(&table) {
                let declaration = declaration_in(words).ok_or_else(|| {
                    refused(
                        line,
                        "only virtual tables may be written into sqlite_schema, as \
                         `sqlite3 .dump` writes them",
                    )
                })?;
                return self.declare(declaration.as_bytes(), line, true, target);
            }
            // Most tables are no shadow of any: they are told at once.
            return if self.filled.is_empty() {
                Ok(false)
            } else {
                self.insert(&table, sql, line, target)
            };
        }
        if words.pass(&["CREATE", "VIRTUAL", "TABLE"]) {
            return self.declare(sql, line, false, target);
        }
        if words.pass(&["DELETE", "FROM"]) {
            return Ok(makes_way_for_declaration(words));
        }
        // Before it is made, as APSW's shell writes; it was made with its virtual table.
        if !self.filled.is_empty() && words.pass(&["DROP", "TABLE", "IF", "EXISTS"]) {
            let table = words.table();
            return Ok(table.is_some_and(|table| self.shadow(&table).is_some()));
        }
        if self.filled.is_empty() || !words.pass(&["CREATE", "TABLE"]) {
            return Ok(false);
        }
        words.pass(&["IF", "NOT", "EXISTS"]);
        let declared = words.clone();
        let Some(table) = words.table() else {
            return Ok(false);
        };
        let Some((virtual_table, shadow)) = self.shadow(&table) else {
            return Ok(false);
        };
        virtual_table.is_dumped = true;
        if virtual_table.module == Module::RTree {
            // What the dump has of it is kept aside, and read when it is whole.
            // Temporary tables are found before others of their name.
            if shadow == "parent" {
                return Ok(true);
            }
            let sql = format!(
                "CREATE TEMP TABLE {}",
                String::from_utf8_lossy(declared.rest())
            );
            let made = target.sqlite.execute_batch(&sql);
            made.map_err(|error| refused(line, &error.to_string()))?;
        }
        Ok(true)
    }

    /// Makes a virtual table of one of the modules that are known; `false` for another, which
    /// SQLite judges.
    fn declare(
        &mut self,
        sql: &[u8],
        line: u64,
        is_of_schema: bool,
        target: &Target,
    ) -> Result<bool, ChildFailure> {
        let mut words = Words::of(sql);
        let is_one = words.pass(&["CREATE", "VIRTUAL", "TABLE"]);
        words.pass(&["IF", "NOT", "EXISTS"]);
        let name = words.table().filter(|_| is_one);
        let module = words.pass(&["USING"]).then(|| words.next()).flatten();
        let module = module.as_ref().and_then(Word::name);
        let (Some(name), Some(module_name)) = (name, module) else {
            return Err(refused(
                line,
                "the declaration of a virtual table is not understood",
            ));
        };
        let shown = shortened(&name, SHOWN_NAME);
        if module_name.eq_ignore_ascii_case("fts5vocab") {
            // It tells of another table's index, and has nothing of its own.
            self.of_indexes.push((sql.to_owned(), line));
            return Ok(true);
        }
        let Some(module) = Module::of(module_name) else {
            return Err(refused(
                line,
                &format!(
                    "virtual table `{shown}` needs the module `{}`, which is not available here: \
                     leave the table out of the dump",
                    shortened(module_name, SHOWN_NAME)
                ),
            ));
        };
        let content = content_option(words);
        let text =
            std::str::from_utf8(sql).map_err(|_| refused(line, "the declaration is not UTF-8"))?;
        target
            .sqlite
            .execute_batch(text)
            .map_err(|error| refused(line, &format!("virtual table `{shown}`: {error}")))?;
        let virtual_table = VirtualTable {
            module,
            line,
            is_contentless: content.as_deref() == Some(""),
            is_external: content.is_some_and(|it| !it.is_empty()),
            is_of_schema,
            has_own_rows: false,
            is_dumped: false,
            has_content: false,
            name: name.clone(),
        };
        self.filled.insert(name.to_ascii_lowercase(), virtual_table);
        Ok(true)
    }

    /// Takes a row of a shadow table: the content is kept, the rest of FTS is built anew.
    fn insert(
        &mut self,
        table: &str,
        sql: &[u8],
        line: u64,
        target: &Target,
    ) -> Result<bool, ChildFailure> {
        if let Some(own) = self.filled.get_mut(&table.to_ascii_lowercase()) {
            own.has_own_rows |= own.is_of_schema;
            return Ok(own.is_of_schema);
        }
        let Some((virtual_table, shadow)) = self.shadow(table) else {
            return Ok(false);
        };
        virtual_table.is_dumped = true;
        match (virtual_table.module, shadow) {
            (Module::Fts5 | Module::Fts, "content") | (Module::RTree, "rowid" | "node") => {
                virtual_table.has_content = true;
                Ok(false) // it is written where it belongs
            }
            (Module::Fts5, "config") => {
                let text = String::from_utf8_lossy(sql);
                // Its own settings; the version is that of the table that was made.
                if text.contains("'version'") {
                    return Ok(true);
                }
                let replacing = text.replacen("INSERT INTO", "REPLACE INTO", 1);
                target
                    .sqlite
                    .execute_batch(&replacing)
                    .map_err(|error| refused(line, &error.to_string()))?;
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    /// The virtual table whose shadow a table is, and which one.
    fn shadow(&mut self, table: &str) -> Option<(&mut VirtualTable, &'static str)> {
        let table = table.to_ascii_lowercase();
        let (own, kind) = table.rsplit_once('_')?;
        let virtual_table = self.filled.get_mut(own)?;
        let shadows = virtual_table.module.shadows().iter();
        let shadow = shadows.copied().find(|shadow| *shadow == kind)?;
        Some((virtual_table, shadow))
    }
}

/// Fills the virtual tables of which the dump has the content.
pub(super) fn rebuild(
    tables: VirtualTables,
    target: &Target,
    order: &LoadOrder,
    notes: &mut Notes,
) -> Result<(), ChildFailure> {
    for table in tables.filled.into_values() {
        let shown = shortened(&table.name, SHOWN_NAME);
        if table.has_own_rows && !table.has_content && !table.is_external && !table.is_contentless {
            return Err(refused(
                table.line,
                &format!(
                    "virtual table `{shown}`: the dump does not have its content (`{shown}_content`); \
                     write the dump with `sqlite3 FILE .dump`"
                ),
            ));
        }
        if !table.is_dumped {
            continue;
        }
        if table.is_contentless {
            return Err(refused(
                table.line,
                &format!(
                    "full-text table `{shown}` is contentless (`content=''`): a dump does not have \
                     what was indexed; leave it out of the dump, and fill it again after the import"
                ),
            ));
        }
        let filled = match table.module {
            Module::RTree if table.has_content => {
                target.own(|sqlite| fill_rtree(sqlite, &table.name))
            }
            Module::RTree => Ok(()),
            Module::Fts5 | Module::Fts if table.has_content || table.is_external => {
                let name = quoted(&table.name);
                let sql = format!("INSERT INTO {name}({name}) VALUES('rebuild')");
                target.own(|sqlite| sqlite.execute_batch(&sql))
            }
            Module::Fts5 | Module::Fts => Ok(()),
        };
        filled.map_err(|error| {
            failure_of(&error, order).unwrap_or_else(|| {
                refused(
                    table.line,
                    &format!("virtual table `{shown}` cannot be rebuilt: {error}"),
                )
            })
        })?;
        notes.add(format!(
            "Virtual table `{shown}` was rebuilt from its content."
        ));
    }
    for (sql, line) in tables.of_indexes {
        let made = target.sqlite.execute_batch(&String::from_utf8_lossy(&sql));
        made.map_err(|error| refused(line, &error.to_string()))?;
    }
    Ok(())
}

/// Puts the cells of an R*Tree's leaves into the tree that was made. A cell is a rowid and its
/// coordinates, 32 bits each; which node has it, the table of rowids says.
fn fill_rtree(sqlite: &Connection, name: &str) -> rusqlite::Result<()> {
    let (nodes, rowids) = (
        quoted(&format!("{name}_node")),
        quoted(&format!("{name}_rowid")),
    );
    let broken = |what: &str| {
        rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            Some(what.to_owned()),
        )
    };
    let own = quoted(name);
    let columns: Vec<String> = {
        let statement = sqlite.prepare(&format!("SELECT * FROM {own}"))?;
        let names = statement.column_names();
        names.into_iter().map(str::to_owned).collect()
    };
    let declared: String = sqlite.query_row(
        "SELECT sql FROM main.sqlite_schema WHERE name = ?1",
        [name],
        |row| row.get(0),
    )?;
    let is_integer = declared.to_ascii_lowercase().contains("rtree_i32");
    let auxiliary = {
        let fresh = format!("SELECT * FROM main.{}", quoted(&format!("{name}_rowid")));
        sqlite.prepare(&fresh)?.column_count().saturating_sub(2)
    };
    let coordinates = columns.len().saturating_sub(1 + auxiliary);
    let cell_bytes = 8 + 4 * coordinates;
    let places = vec!["?"; columns.len()].join(",");
    let mut insert = sqlite.prepare(&format!("INSERT INTO {own} VALUES({places})"))?;
    let mut node_of =
        sqlite.prepare(&format!("SELECT data FROM temp.{nodes} WHERE nodeno = ?1"))?;
    sqlite.execute_batch(&format!(
        "CREATE INDEX temp.{} ON {nodes}(nodeno)",
        quoted(&format!("{name}_by_nodeno"))
    ))?;
    let mut select = sqlite.prepare(&format!("SELECT * FROM temp.{rowids}"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (rowid, node): (i64, i64) = (row.get(0)?, row.get(1)?);
        let data: Option<Vec<u8>> = node_of.query_row([node], |row| row.get(0)).optional()?;
        let data = data.ok_or_else(|| broken("a node is missing"))?;
        let cells = data.get(4..).unwrap_or_default().chunks_exact(cell_bytes);
        let cell = cells
            .into_iter()
            .find(|cell| cell.get(..8) == Some(rowid.to_be_bytes().as_slice()))
            .ok_or_else(|| broken("a cell is missing"))?;
        let mut values: Vec<rusqlite::types::Value> = vec![rowid.into()];
        for coordinate in cell[8..].chunks_exact(4) {
            let bytes = [coordinate[0], coordinate[1], coordinate[2], coordinate[3]];
            values.push(if is_integer {
                i64::from(i32::from_be_bytes(bytes)).into()
            } else {
                f64::from(f32::from_be_bytes(bytes)).into()
            });
        }
        for place in 0..auxiliary {
            values.push(row.get(2 + place)?);
        }
        insert.execute(rusqlite::params_from_iter(values))?;
    }
    drop(rows);
    drop((select, node_of));
    sqlite.execute_batch(&format!(
        "DROP TABLE temp.{nodes}; DROP TABLE temp.{rowids}"
    ))
}

/// Makes the table in which SQLite counts for AUTOINCREMENT.
pub(super) const MAKE_SEQUENCE: &str =
    "CREATE TABLE _dbforge_sequence(id INTEGER PRIMARY KEY AUTOINCREMENT);
     DROP TABLE _dbforge_sequence";

/// Whether a statement declares that table, as dumps of the sqlite3 shell do since 3.53.
pub(super) fn declares_sequence(sql: &[u8]) -> bool {
    let mut words = Words::of(sql);
    if !words.pass(&["CREATE", "TABLE"]) {
        return false;
    }
    words.pass(&["IF", "NOT", "EXISTS"]);
    let table = words.table();
    table.is_some_and(|name| name.eq_ignore_ascii_case("sqlite_sequence"))
}

/// What makes a table of SQLite's own that a statement misses: dumps fill these.
pub(super) fn missing_own_table(said: &str) -> Option<&'static str> {
    if said.contains("no such table: sqlite_sequence") {
        return Some(MAKE_SEQUENCE);
    }
    said.contains("no such table: sqlite_stat")
        .then_some("ANALYZE sqlite_schema")
}

fn is_schema_table(name: &str) -> bool {
    ["sqlite_schema", "sqlite_master"]
        .iter()
        .any(|schema| name.eq_ignore_ascii_case(schema))
}

/// Whether this is how APSW's shell clears the place of a declaration that follows: `sqlite_schema
/// WHERE name='t' AND type='table'`. Nothing is there yet.
fn makes_way_for_declaration(mut words: Words<'_>) -> bool {
    words.table().is_some_and(|table| is_schema_table(&table))
        && words.pass(&["WHERE", "name"])
        && words.next() == Some(Word::Sign(b'='))
        && words.next().is_some()
        && words.pass(&["AND", "type"])
        && words.next() == Some(Word::Sign(b'='))
        && words.next() == Some(Word::Quoted("table".to_owned()))
}

/// The declaration in `(type,name,tbl_name,rootpage,sql)VALUES('table','f','f',0,'CREATE …')`.
fn declaration_in(words: Words<'_>) -> Option<String> {
    let words: Vec<Word> = words.take(64).collect();
    let values = words.iter().position(|word| word.is("VALUES"))?;
    let columns = ["type", "name", "tbl_name", "rootpage", "sql"];
    let named: Vec<&str> = words[..values].iter().filter_map(Word::name).collect();
    if !named.is_empty() && named != columns {
        return None;
    }
    let values: Vec<&Word> = words[values + 1..]
        .iter()
        .filter(|word| !matches!(word, Word::Sign(b'(' | b',' | b')' | b';')))
        .collect();
    match values.as_slice() {
        [
            Word::Quoted(kind),
            Word::Quoted(_),
            Word::Quoted(_),
            _,
            Word::Quoted(sql),
        ] if kind == "table" && Words::of(sql.as_bytes()).pass(&["CREATE", "VIRTUAL"]) => {
            Some(sql.clone())
        }
        _ => None,
    }
}

/// What the option `content` of a full-text table says.
fn content_option(mut words: Words<'_>) -> Option<String> {
    while let Some(word) = words.next() {
        let mut ahead = words.clone();
        if word.is("content") && ahead.next() == Some(Word::Sign(b'=')) {
            return match ahead.next()? {
                Word::Bare(name) | Word::Quoted(name) => Some(name),
                Word::Sign(_) => None,
            };
        }
    }
    None
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
