//! Looks whether the schema of a file needs only what the gateway has.
use super::outcome::shortened;
use crate::engine::sql::schema::quoted;
use crate::engine::sqlite::functions::additions;
use crate::engine::sqlite::limits::LIMITS;
use rusqlite::Connection;
use rusqlite::limits::Limit;
use std::sync::Arc;

/// Characters of a name that are shown.
const SHOWN_NAME: usize = 100;

/// What of it cannot be served; `None` for nothing. SQLite resolves collations and functions when
/// a statement makes a table or an index, and not when it reads a schema: so all of them are made
/// once more, in memory.
///
/// # Errors
/// When the schema cannot be read.
pub(super) fn fault(sqlite: &Connection) -> rusqlite::Result<Option<String>> {
    let again = again()?;
    let mut virtual_tables: Vec<String> = Vec::new();
    // Virtual tables first, so that their own tables are known; indexes behind tables.
    let mut objects = sqlite.prepare(
        "SELECT type, name, tbl_name, CAST(sql AS TEXT), typeof(sql) FROM sqlite_schema
          WHERE sql IS NOT NULL AND type IN ('table', 'index')
          ORDER BY sql NOT LIKE 'create virtual table%', type DESC",
    )?;
    let mut rows = objects.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, name, table, sql, stored): (String, String, String, String, String) =
            row.try_into()?;
        let shown = shortened(&name, SHOWN_NAME);
        // SQLite writes the first word itself, and leaves out what begins otherwise when it copies.
        if !sql.starts_with("CREATE ") || stored != "text" {
            return Ok(Some(format!(
                "the entry of `{shown}` in sqlite_schema was edited: send what `sqlite3 FILE .dump` \
                 writes instead"
            )));
        }
        if sql.starts_with("CREATE VIRTUAL TABLE") {
            let read = format!("SELECT * FROM {}", quoted(&name));
            if let Err(error) = sqlite.prepare(&read) {
                return Ok(Some(format!(
                    "the virtual table `{shown}` cannot be served: {}; remove it from the file first",
                    words_of(&error)
                )));
            }
            virtual_tables.push(name);
            continue;
        }
        let is_shadow = (virtual_tables.iter()).any(|module| {
            table
                .strip_prefix(module.as_str())
                .is_some_and(|it| it.starts_with('_'))
        });
        if is_shadow || name.starts_with("sqlite_") {
            continue;
        }
        if let Err(error) = again.execute_batch(&sql) {
            return Ok(Some(format!(
                "the {kind} `{shown}` cannot be served: {}; change it in the file first",
                words_of(&error)
            )));
        }
    }
    Ok(None)
}

/// An empty database with what the gateway's have.
fn again() -> rusqlite::Result<Connection> {
    let again = Connection::open_in_memory()?;
    additions::add_to(&again, &Arc::default())?;
    for (limit, value) in LIMITS {
        if matches!(limit, Limit::SQLITE_LIMIT_COLUMN) {
            again.set_limit(*limit, *value)?;
        }
    }
    Ok(again)
}

/// SQLite's own words, without the statement that rusqlite repeats.
fn words_of(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(said)) => said.clone(),
        other => other.to_string(),
    }
}
