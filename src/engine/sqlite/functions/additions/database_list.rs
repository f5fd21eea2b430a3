//! The table behind `PRAGMA database_list`, without the path of the file.
#![expect(
    unsafe_code,
    reason = "rusqlite asks whoever writes a virtual table to promise how its memory is laid out"
)]
use rusqlite::vtab::{
    Context, Filters, IndexInfo, Module, VTab, VTabConfig, VTabConnection, VTabCursor,
    sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Result};
use std::borrow::Cow;
use std::ffi::{CStr, c_int};

pub(crate) fn add_to(connection: &Connection) -> Result<()> {
    const MODULE: &Module<'static, DatabaseList> = &Module::eponymous_only_module();
    // SQLite makes a table of its own of a PRAGMA where no module has that name.
    connection.create_module(c"pragma_database_list", MODULE, None)
}

#[repr(C)]
struct DatabaseList {
    base: sqlite3_vtab,
}

#[derive(Default)]
#[repr(C)]
struct Row {
    base: sqlite3_vtab_cursor,
    is_over: bool,
}

// SAFETY: `base` is the first field, and the layout is C's.
unsafe impl VTab<'_> for DatabaseList {
    type Aux = ();
    type Cursor = Row;

    fn connect(
        db: &mut VTabConnection,
        _aux: Option<&()>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _arguments: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        db.config(VTabConfig::Innocuous)?;
        let base = sqlite3_vtab::default();
        Ok((c"CREATE TABLE x(seq, name, file)".into(), Self { base }))
    }

    fn best_index(&self, _info: &mut IndexInfo) -> Result<bool> {
        Ok(true)
    }

    fn open(&mut self) -> Result<Row> {
        Ok(Row::default())
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
        match column {
            0 => context.set_result(0),
            1 => context.set_result("main"),
            _ => context.set_result(""),
        }
    }

    fn rowid(&self) -> Result<i64> {
        Ok(0)
    }
}
