//! Tables behind PRAGMAs whose own answer would not do: `database_list` has the path of the file,
//! and two settings differ between connections that read and those that write, which no client
//! tells apart.
#![expect(
    unsafe_code,
    reason = "rusqlite asks whoever writes a virtual table to promise how its memory is laid out"
)]
use rusqlite::types::Null;
use rusqlite::vtab::{
    Context, Filters, IndexInfo, Module, VTab, VTabConfig, VTabConnection, VTabCursor,
    sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error, Result};
use std::borrow::Cow;
use std::ffi::{CStr, c_int};

/// Tables of one row.
const TABLES: &[(&CStr, PragmaTable)] = &[
    (
        c"pragma_database_list",
        PragmaTable {
            columns: c"CREATE TABLE x(seq, name, file)",
            row: &[Cell::Integer(0), Cell::Text("main"), Cell::Text("")],
        },
    ),
    (
        // Whether a request may write is said by its token.
        c"pragma_query_only",
        PragmaTable {
            columns: c"CREATE TABLE x(query_only)",
            row: &[Cell::Integer(0)],
        },
    ),
    (
        // MEMORY, where reads have what is temporary.
        c"pragma_temp_store",
        PragmaTable {
            columns: c"CREATE TABLE x(temp_store)",
            row: &[Cell::Integer(2)],
        },
    ),
];

struct PragmaTable {
    columns: &'static CStr,
    row: &'static [Cell],
}

#[derive(Clone, Copy)]
enum Cell {
    Integer(i64),
    Text(&'static str),
}

pub(super) fn add_to(connection: &Connection) -> Result<()> {
    const MODULE: &Module<'static, OneRow> = &Module::eponymous_only_module();
    // SQLite makes a table of its own of a PRAGMA where no module has that name.
    for (name, table) in TABLES {
        connection.create_module(*name, MODULE, Some(table))?;
    }
    Ok(())
}

#[repr(C)]
struct OneRow {
    base: sqlite3_vtab,
    row: &'static [Cell],
}

#[repr(C)]
struct Row {
    base: sqlite3_vtab_cursor,
    row: &'static [Cell],
    is_over: bool,
}

// SAFETY: `base` is the first field, and the layout is C's.
unsafe impl VTab<'_> for OneRow {
    type Aux = &'static PragmaTable;
    type Cursor = Row;

    fn connect(
        db: &mut VTabConnection,
        table: Option<&&'static PragmaTable>,
        _module: &[u8],
        _database: &[u8],
        _name: &[u8],
        _arguments: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        db.config(VTabConfig::Innocuous)?;
        let table = table.ok_or(Error::InvalidQuery)?;
        let made = Self {
            base: sqlite3_vtab::default(),
            row: table.row,
        };
        Ok((table.columns.into(), made))
    }

    fn best_index(&self, _info: &mut IndexInfo) -> Result<bool> {
        Ok(true)
    }

    fn open(&mut self) -> Result<Row> {
        Ok(Row {
            base: sqlite3_vtab_cursor::default(),
            row: self.row,
            is_over: false,
        })
    }
}

// SAFETY: as above.
unsafe impl VTabCursor for Row {
    fn filter(&mut self, _plan: c_int, _text: Option<&str>, _values: &Filters<'_>) -> Result<()> {
        self.is_over = false;
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        self.is_over = true;
        Ok(())
    }

    fn eof(&self) -> bool {
        self.is_over
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let cell = usize::try_from(column).ok().and_then(|it| self.row.get(it));
        match cell {
            Some(Cell::Integer(number)) => context.set_result(number),
            Some(Cell::Text(text)) => context.set_result(text),
            None => context.set_result(Null),
        }
    }

    fn rowid(&self) -> Result<i64> {
        Ok(0)
    }
}
