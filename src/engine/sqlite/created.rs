//! Looks into triggers and views as they are made.
//!
//! SQLite stores them without resolving what is in them, so one that calls a refused function
//! would be made, and would then break every statement that touches its table.
use super::authorizer::{Created, Refused};
use super::connection::SqliteConnection;
use super::error::SqlError;
use rusqlite::Connection;

impl SqliteConnection {
    /// Refuses what the last statements made, if nobody could use it. Called before they are kept.
    ///
    /// # Errors
    /// [`SqlError::NotAllowed`], naming what is in it.
    pub(super) fn look_into_created(&self, created: &[Created]) -> Result<(), SqlError> {
        for it in created {
            let uses = match it {
                Created::View { name } => vec![format!("SELECT * FROM {}", quoted(name))],
                Created::Trigger { table } => {
                    self.as_house(|sqlite| uses_of(sqlite, table).unwrap_or_default())
                }
            };
            for use_of_it in uses {
                self.recorder.take();
                // Whether it can be prepared at all is the client's affair: a trigger may name
                // tables that come later.
                let message = self
                    .inner
                    .prepare(&use_of_it)
                    .err()
                    .map(|it| it.to_string());
                if let Some(Refused::NotAllowed(what)) = self.recorder.take().refused {
                    return Err(SqlError::NotAllowed { what });
                }
                // What a schema may not name is told before the authorizer is asked.
                if let Some(it) = message.filter(|it| it.starts_with("unsafe use of")) {
                    let what = it.split(" in ").next().unwrap_or_default().to_owned();
                    return Err(SqlError::NotAllowed { what });
                }
            }
        }
        Ok(())
    }
}

/// Statements that make every trigger of a table run.
fn uses_of(sqlite: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut columns = sqlite.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let columns: Vec<String> = columns
        .query_map([table], |row| row.get::<_, String>(0))?
        .map(|name| name.map(|it| format!("{0} = {0}", quoted(&it))))
        .collect::<Result<_, _>>()?;
    let table = quoted(table);
    Ok(vec![
        format!("INSERT INTO {table} DEFAULT VALUES"),
        format!("DELETE FROM {table}"),
        format!("UPDATE {table} SET {}", columns.join(", ")),
    ])
}

/// A name as SQL quotes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
