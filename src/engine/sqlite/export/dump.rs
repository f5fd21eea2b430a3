//! A database as SQL, as `.dump` of the `sqlite3` shell writes it.
//!
//! Tables with their rows come first, in the order in which they were made; then the counters of
//! AUTOINCREMENT, indexes, views, full-text tables whose rows are elsewhere, triggers: each behind
//! what it needs, and what reacts to rows behind all of them.
use super::error::{ExportError, is_of_the_schema, sqlite_words};
use super::literals::{insert_into, literal};
use super::virtual_tables::{Contents, VirtualTable};
use crate::engine::sql::schema::quoted;
use crate::engine::sqlite::syntax::stored::shadows_of;
use crate::engine::sqlite::syntax::tokens::tokens;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::collections::HashSet;
use std::io::{self, Write};

/// Bytes that are written at a time.
const PIECE_BYTES: usize = 128 << 10;

/// The longest value that fits into a statement of any SQLite: a BLOB takes two digits a byte, of
/// the 10^9 bytes that a statement may have.
const LONGEST_VALUE: usize = 480_000_000;

/// Names that a row's number may have.
const ROW_NUMBER_NAMES: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// Writes all that is in a database. Returns the names of tables whose rows are left out.
pub(super) fn dump(sqlite: &Connection, out: &mut dyn Write) -> Result<Vec<String>, ExportError> {
    let mut dump = Dump {
        sqlite,
        out,
        buffer: Vec::with_capacity(2 * PIECE_BYTES),
    };
    let left_out = dump.all().map_err(DumpError::told)?;
    dump.flush()?;
    Ok(left_out)
}

struct Dump<'d> {
    sqlite: &'d Connection,
    out: &'d mut dyn Write,
    buffer: Vec<u8>,
}

/// A table or a view, and what made it.
struct Object {
    name: String,
    sql: String,
}

enum DumpError {
    Sqlite(rusqlite::Error),
    Io(io::Error),
    NoForm(String),
}

impl Dump<'_> {
    fn all(&mut self) -> Result<Vec<String>, DumpError> {
        self.text("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n");
        for mark in ["application_id", "user_version"] {
            let value: i64 = self
                .sqlite
                .pragma_query_value(None, mark, |row| row.get(0))?;
            if value != 0 {
                self.text(&format!("PRAGMA {mark}={value};\n"));
            }
        }
        let mut of_views = Vec::new();
        let mut left_out = Vec::new();
        let tables = self.objects("table")?;
        // SQLite's own list of tables works the columns of all views out, which may take for ever.
        let shadows: HashSet<String> = (tables.iter())
            .flat_map(|table| shadows_of(&table.name, &table.sql))
            .collect();
        for table in tables {
            match VirtualTable::of(&table.sql) {
                _ if shadows.contains(&table.name.to_ascii_lowercase()) => {}
                Some(_) if let Some(why) = self.why_unreadable(&table.name)? => {
                    let [name, why] = [&table.name, &why].map(|it| it.escape_debug().to_string());
                    self.text(&format!(
                        "-- A table that cannot be read: {why}\n-- {name}\n"
                    ));
                    left_out.push(table.name);
                }
                None => {
                    self.statement(&table.sql)?;
                    self.rows_of_table(&table.name)?;
                }
                Some(made) => match made.contents() {
                    Contents::Own => {
                        self.statement(&table.sql)?;
                        self.settings_of(&table.name, &made)?;
                        self.rows_of_virtual_table(&table.name, &made)?;
                    }
                    Contents::Derived => self.statement(&table.sql)?,
                    Contents::Elsewhere => of_views.push((table, made)),
                    Contents::Unknown => {
                        let name = table.name.escape_debug();
                        self.text(&format!(
                            "-- The table below keeps an index alone: its rows cannot be written.\n\
                             -- {name}\n"
                        ));
                        self.statement(&table.sql)?;
                        left_out.push(table.name);
                    }
                },
            }
        }
        self.sequences()?;
        for kind in ["index", "view"] {
            for object in self.objects(kind)? {
                self.statement(&object.sql)?;
            }
        }
        for (table, made) in of_views {
            self.statement(&table.sql)?;
            self.settings_of(&table.name, &made)?;
            self.command(&table.name, "rebuild");
        }
        for trigger in self.objects("trigger")? {
            self.statement(&trigger.sql)?;
        }
        self.text("COMMIT;\n");
        Ok(left_out)
    }

    /// What is wrong with a virtual table, where SQLite says something: its module is missing, or
    /// the table that it tells of.
    fn why_unreadable(&self, table: &str) -> rusqlite::Result<Option<String>> {
        let question = format!("SELECT * FROM {} LIMIT 1", quoted(table));
        let read = (self.sqlite.prepare(&question))
            .and_then(|mut question| question.query([])?.next().map(|_| ()));
        match read {
            Err(error) if is_of_the_schema(&error) => Ok(Some(sqlite_words(&error))),
            other => other.map(|()| None),
        }
    }

    /// Objects of a type but SQLite's own, in the order in which they were made.
    fn objects(&self, of_type: &str) -> rusqlite::Result<Vec<Object>> {
        // A text may be kept as a BLOB, which SQLite reads as well.
        let list = "SELECT CAST(name AS TEXT), CAST(sql AS TEXT) FROM sqlite_schema \
                    WHERE type = ?1 AND sql IS NOT NULL \
                    AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid";
        let mut list = self.sqlite.prepare(list)?;
        let objects = list.query_map([of_type], |row| {
            Ok(Object {
                name: row.get(0)?,
                sql: row.get(1)?,
            })
        })?;
        objects.collect()
    }

    /// The rows of an ordinary table. Their numbers are written where they would be others
    /// otherwise.
    fn rows_of_table(&mut self, table: &str) -> Result<(), DumpError> {
        let columns = self.columns(table)?;
        let stored = columns.iter().filter(|column| !column.is_generated);
        let mut names: Vec<String> = stored.map(|column| column.name.clone()).collect();
        let number = self.number_to_write(table, &columns)?;
        let is_all = number.is_none() && names.len() == columns.len();
        if let Some(number) = number {
            names.insert(0, number.to_owned());
        }
        self.rows(table, &names, !is_all)
    }

    /// By which name the numbers of a table's rows have to be written, if they have to.
    fn number_to_write(
        &self,
        table: &str,
        columns: &[Column],
    ) -> rusqlite::Result<Option<&'static str>> {
        let is_taken =
            |name: &str| (columns.iter()).any(|column| column.name.eq_ignore_ascii_case(name));
        let Some(name) = ROW_NUMBER_NAMES.into_iter().find(|name| !is_taken(name)) else {
            return Ok(None);
        };
        let has_key = columns.iter().any(|column| column.is_in_key);
        let key_has_index = || {
            let index = "SELECT count(*) FROM pragma_index_list(?1) WHERE origin = 'pk'";
            (self.sqlite).query_row(index, [table], |row| row.get::<_, i64>(0))
        };
        if has_key && key_has_index()? == 0 {
            return Ok(None); // a column stands for the number
        }
        let question = format!(
            "SELECT count(*), min({name}), max({name}) FROM {}",
            quoted(table)
        );
        let asked = self.sqlite.query_row(&question, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        });
        let (count, least, most): (i64, Option<i64>, Option<i64>) = match asked {
            Ok(numbers) => numbers,
            // A table WITHOUT ROWID.
            Err(rusqlite::Error::SqliteFailure(..) | rusqlite::Error::SqlInputError { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let are_given_so = count == 0 || (least == Some(1) && most == Some(count));
        Ok((!are_given_so).then_some(name))
    }

    fn columns(&self, table: &str) -> rusqlite::Result<Vec<Column>> {
        let list = "SELECT name, hidden, pk FROM pragma_table_xinfo(?1)";
        let mut list = self.sqlite.prepare_cached(list)?;
        let columns = list.query_map([table], |row| {
            let hidden: i64 = row.get(1)?;
            Ok(Column {
                name: row.get(0)?,
                is_hidden: hidden == 1,
                is_generated: hidden > 1,
                is_in_key: row.get::<_, i64>(2)? > 0,
            })
        })?;
        columns.collect()
    }

    fn rows_of_virtual_table(&mut self, table: &str, made: &VirtualTable) -> Result<(), DumpError> {
        let columns = self.columns(table)?;
        let visible = columns.iter().filter(|column| !column.is_hidden);
        let mut names: Vec<String> = visible.map(|column| column.name.clone()).collect();
        if made.numbers_rows() {
            names.insert(0, "rowid".to_owned());
        }
        names.extend(made.hidden_column().map(str::to_owned));
        self.rows(table, &names, true)
    }

    /// Every row of a table, an INSERT each.
    fn rows(&mut self, table: &str, names: &[String], lists: bool) -> Result<(), DumpError> {
        let columns: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let question = format!("SELECT {} FROM {}", columns.join(","), quoted(table));
        let mut insert = Vec::new();
        insert_into(&mut insert, table, if lists { names } else { &[] });
        let sqlite = self.sqlite;
        let mut question = sqlite.prepare(&question)?;
        let mut rows = question.query([])?;
        while let Some(row) = rows.next()? {
            self.buffer.extend_from_slice(&insert);
            for (place, name) in names.iter().enumerate() {
                if place > 0 {
                    self.buffer.push(b',');
                }
                let value = row.get_ref(place)?;
                refuse_too_long(&value, table, name)?;
                let out = &mut *self.out;
                literal(&mut self.buffer, &value, |buffer| pass(out, buffer))?;
            }
            self.buffer.extend_from_slice(b");\n");
            pass(self.out, &mut self.buffer)?;
        }
        Ok(())
    }

    /// The last numbers that AUTOINCREMENT gave.
    fn sequences(&mut self) -> Result<(), DumpError> {
        let is_there = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'";
        let is_there: i64 = self.sqlite.query_row(is_there, [], |row| row.get(0))?;
        if is_there == 0 {
            return Ok(());
        }
        self.text("DELETE FROM sqlite_sequence;\n");
        let names = ["name".to_owned(), "seq".to_owned()];
        self.rows("sqlite_sequence", &names, false)
    }

    /// What was set on a full-text table with INSERTs of its own.
    fn settings_of(&mut self, table: &str, made: &VirtualTable) -> Result<(), DumpError> {
        if !made.has_settings() {
            return Ok(());
        }
        let settings = quoted(&format!("{table}_config"));
        let question = format!("SELECT k, v FROM {settings} WHERE k <> 'version' ORDER BY k");
        let sqlite = self.sqlite;
        let mut question = sqlite.prepare(&question)?;
        let mut rows = question.query([])?;
        let mut insert = Vec::new();
        insert_into(&mut insert, table, &[table.to_owned(), "rank".to_owned()]);
        while let Some(row) = rows.next()? {
            self.buffer.extend_from_slice(&insert);
            for (place, mark) in [b"".as_slice(), b","].into_iter().enumerate() {
                self.buffer.extend_from_slice(mark);
                let out = &mut *self.out;
                literal(&mut self.buffer, &row.get_ref(place)?, |buffer| {
                    pass(out, buffer)
                })?;
            }
            self.buffer.extend_from_slice(b");\n");
        }
        Ok(())
    }

    /// A command to a full-text table.
    fn command(&mut self, table: &str, command: &str) {
        insert_into(&mut self.buffer, table, &[table.to_owned()]);
        self.text(&format!("'{command}');\n"));
    }

    /// A statement of the schema. A comment at its end must not hide the semicolon.
    fn statement(&mut self, sql: &str) -> io::Result<()> {
        let end = tokens(sql).last().map_or(0, |token| token.place.end);
        let (statement, comment) = sql.split_at(end);
        self.text(statement);
        // SQLite takes a comment that has no end, too.
        if comment.contains("--") && !comment.contains("/*") {
            self.text(comment);
            self.text("\n");
        }
        self.text(";\n");
        pass(self.out, &mut self.buffer)
    }

    fn text(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        self.out.flush()
    }
}

struct Column {
    name: String,
    is_hidden: bool,
    is_generated: bool,
    is_in_key: bool,
}

/// Writes what was gathered, once it is worth it.
fn pass(out: &mut dyn Write, buffer: &mut Vec<u8>) -> io::Result<()> {
    if buffer.len() >= PIECE_BYTES {
        out.write_all(buffer)?;
        buffer.clear();
    }
    Ok(())
}

fn refuse_too_long(value: &ValueRef<'_>, table: &str, column: &str) -> Result<(), DumpError> {
    let (ValueRef::Text(bytes) | ValueRef::Blob(bytes)) = value else {
        return Ok(());
    };
    if bytes.len() <= LONGEST_VALUE {
        return Ok(());
    }
    Err(DumpError::NoForm(format!(
        "a value of column `{column}` of table `{table}` has {} bytes, which is more than a \
         statement of SQL can hold",
        bytes.len()
    )))
}

impl DumpError {
    fn told(self) -> ExportError {
        match self {
            Self::Sqlite(error) => ExportError::of_sqlite("read the database", &error),
            Self::Io(error) => error.into(),
            Self::NoForm(detail) => ExportError::NoForm(detail),
        }
    }
}

impl From<rusqlite::Error> for DumpError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<io::Error> for DumpError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
