//! Looks whether what was built is sound, and whether the gateway can serve it.
use super::outcome::{Notes, failure_of, internal, remove_left_over, shortened};
use super::quoted_text;
use super::served_schema;
use super::target::Target;
use crate::domain::database::Durability;
use crate::engine::loading::LoadOrder;
use crate::engine::sqlite::connection::{Profile, Role, SqliteConnection};
use crate::engine::sqlite::process::set_up_process;
use crate::runtime::child::{ChildFailure, ChildFailureCode};
use rusqlite::{Connection, ErrorCode};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Faults that `integrity_check` is asked for.
const ASKED_FAULTS: usize = 10;
/// Characters of them that are shown.
const SHOWN_FAULTS: usize = 600;
/// Rows with a wrong foreign key that are counted.
const COUNTED_VIOLATIONS: u64 = 1_000_000;

/// What was found.
pub(super) struct Checked {
    pub(super) tables: u64,
    pub(super) size_bytes: u64,
    pub(super) foreign_key_violations: u64,
    pub(super) notes: Notes,
}

/// Checks the database in `file`, and makes it one that the gateway serves.
pub(super) fn finish(order: &LoadOrder, file: &Path) -> Result<Checked, ChildFailure> {
    let mut notes = Notes::default();
    let target = Target::open(order, file).map_err(|failure| damaged(failure, file))?;
    let fault = target.own(served_schema::fault);
    if let Some(fault) = fault.map_err(|error| refusal_of(&error, order))? {
        return Err(ChildFailure::refused(fault));
    }
    let sound = target
        .own(integrity)
        .map_err(|error| refusal_of(&error, order))?;
    if let Some(faults) = sound {
        return Err(ChildFailure::refused(format!(
            "the database is damaged: {}; repair it with `sqlite3 FILE .recover`",
            shortened(&faults, SHOWN_FAULTS)
        )));
    }
    let mended = target.own(|sqlite| quoted_text::mend(sqlite, &mut notes));
    mended.map_err(|error| refusal_of(&error, order))?;
    let violations = target
        .own(foreign_key_violations)
        .map_err(|error| internal(&error, order));
    // A schema may have foreign keys that cannot be checked: to a table that is not there.
    let violations = violations.unwrap_or_else(|error| {
        notes.add(format!("Foreign keys could not be checked: {error}."));
        0
    });
    if violations > 0 {
        notes.add(format!(
            "{violations} rows violate a foreign key; `PRAGMA foreign_key_check` lists them."
        ));
    }
    let tables = target
        .own(|sqlite| {
            sqlite.query_row(
                "SELECT count(*) FROM sqlite_schema
                  WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
                [],
                |row| row.get::<_, i64>(0),
            )
        })
        .map_err(|error| internal(&error, order))?
        .cast_unsigned();
    target
        .own(|sqlite| {
            sqlite.pragma_update(None, "locking_mode", "NORMAL")?;
            // The mode changes with the next lock that is taken.
            let _: i64 =
                sqlite.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            let mode: String =
                sqlite.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
            if mode != "wal" {
                return Err(rusqlite::Error::InvalidQuery);
            }
            Ok(())
        })
        .map_err(|error| internal(&error, order))?;
    drop(target);
    let kept = keep(order, file).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => {
            ChildFailure::new(ChildFailureCode::DiskFull, "the disk is full")
        }
        _ => ChildFailure::internal(format!("the database cannot be kept: {error}")),
    });
    let size_bytes = kept?;
    serve(order)?;
    remove_left_over(order).map_err(|error| ChildFailure::internal(error.to_string()))?;
    Ok(Checked {
        tables,
        size_bytes,
        foreign_key_violations: violations,
        notes,
    })
}

/// What is wrong with it, in SQLite's words; `None` for nothing.
fn integrity(sqlite: &Connection) -> rusqlite::Result<Option<String>> {
    let mut statement = sqlite.prepare(&format!("PRAGMA integrity_check({ASKED_FAULTS})"))?;
    let faults = statement.query_map([], |row| row.get::<_, String>(0))?;
    let faults: Vec<String> = faults.collect::<rusqlite::Result<_>>()?;
    Ok((faults != ["ok"]).then(|| faults.join("; ")))
}

fn foreign_key_violations(sqlite: &Connection) -> rusqlite::Result<u64> {
    let mut statement = sqlite.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    let mut count = 0;
    while count < COUNTED_VIOLATIONS && rows.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Makes it its owner's alone, and writes it to the disk. Returns its bytes.
fn keep(order: &LoadOrder, file: &Path) -> io::Result<u64> {
    remove_left_over(order)?;
    fs::set_permissions(file, Permissions::from_mode(0o600))?;
    let file = File::open(file)?;
    file.sync_all()?;
    File::open(&order.target)?.sync_all()?;
    Ok(file.metadata()?.len())
}

/// Opens it as the gateway will: what ends the process, or cannot be opened there, shows here.
fn serve(order: &LoadOrder) -> Result<(), ChildFailure> {
    set_up_process();
    let profile = Profile {
        role: Role::Writer,
        durability: Durability::Relaxed,
        size_bytes: order.size_bytes,
        cached_statements: 0,
    };
    SqliteConnection::open(&order.target, profile).map_err(|error| {
        ChildFailure::refused(format!("the database cannot be served: {error}"))
    })?;
    Ok(())
}

fn damaged(failure: ChildFailure, file: &Path) -> ChildFailure {
    if failure.code != ChildFailureCode::Internal || !file.exists() {
        return failure;
    }
    ChildFailure::refused(format!("the database is damaged: {}", failure.detail))
}

/// What a check that failed says about the file.
fn refusal_of(error: &rusqlite::Error, order: &LoadOrder) -> ChildFailure {
    if let Some(failure) = failure_of(error, order) {
        return failure;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ChildFailure::refused(
            format!("the database is damaged: {error}; repair it with `sqlite3 FILE .recover`"),
        ),
        // A collation or a function of the program that wrote it.
        Some(ErrorCode::Unknown) => ChildFailure::refused(format!(
            "the database cannot be checked: {error}; it needs what only the program that wrote \
             it has"
        )),
        _ => internal(error, order),
    }
}
