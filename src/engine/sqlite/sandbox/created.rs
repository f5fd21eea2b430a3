//! Looks into what a statement made of the schema, before it is kept.
//!
//! SQLite stores triggers and views without resolving what is in them, so one that calls a refused
//! function would be made, and would then break every statement that touches its table. The same
//! holds for texts in double quotes, which are names here.
//!
//! And it lets indexes and foreign keys be tied to the tables in which FTS5 and R*Tree keep their
//! insides. A write of FTS5 into such a table then opens a savepoint, for which FTS5 writes what
//! it holds, which opens a savepoint: that has no end but the stack's, and the process's with it.
use super::authorizer::Created;
use super::memory::Budget;
use super::role::Refused;
use super::watch::Watch;
use crate::engine::sql::quoted;
use crate::engine::sqlite::connection::SqliteConnection;
use crate::engine::sqlite::error::SqlError;
use crate::engine::sqlite::syntax::stored::shadows_of;
use rusqlite::{Connection, OptionalExtension as _};

/// Most memory for a look, in bytes. Views that each read the one before them twice double with
/// each, and take all that they may.
const LOOK_BYTES: i64 = 16 << 20;

impl SqliteConnection {
    /// Refuses what the last statements made, if no statement could use it. Called before they are kept.
    ///
    /// # Errors
    /// [`SqlError::NotAllowed`], naming what is in it; [`SqlError::Sql`] for a text in double
    /// quotes.
    pub(crate) fn look_into_created(&self, created: &[Created]) -> Result<(), SqlError> {
        let watch = Watch::under(&self.interrupts);
        let budget = Budget::of(LOOK_BYTES);
        let looked = self.look_into_each(created);
        drop((budget, watch));
        looked
    }

    fn look_into_each(&self, created: &[Created]) -> Result<(), SqlError> {
        for it in created {
            let uses = match it {
                Created::View { name } => vec![format!("SELECT * FROM {}", quoted(name))],
                Created::Trigger { table, .. } => {
                    self.as_internal(|sqlite| uses_of(sqlite, table).unwrap_or_default())
                }
            };
            for use_of_it in uses {
                self.recorder.take();
                // Whether it can be prepared at all is the client's affair: a trigger may name
                // tables that come later, and a view of views may be too large to be looked at.
                let error = self.inner.prepare(&use_of_it).err();
                if let Some(Refused::NotAllowed(what)) = self.recorder.take().refused {
                    return Err(SqlError::NotAllowed { what });
                }
                let Some(SqlError::Sql { message, .. }) =
                    error.map(|error| SqlError::from_sqlite(&error, None))
                else {
                    continue;
                };
                // What a schema may not name is told before the authorizer is asked.
                if message.starts_with("unsafe use of") {
                    let what = message.split(" in ").next().unwrap_or_default();
                    let what = what.to_owned();
                    return Err(SqlError::NotAllowed { what });
                }
                if let Some(name) = text_in_double_quotes(&message)
                    && self.is_written_in(it, name)
                {
                    let text = name.trim_matches('"').replace('\'', "''");
                    let hint = format!("{name} is a name; a text is written '{text}'");
                    return Err(SqlError::Sql {
                        message,
                        hint: Some(hint),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether the fault is in what was made. A trigger shares its table with others, which may
    /// have been made elsewhere; a view has no others beside it.
    fn is_written_in(&self, created: &Created, words: &str) -> bool {
        let Created::Trigger { name, .. } = created else {
            return true;
        };
        let question = "SELECT instr(sql, ?2) > 0 FROM sqlite_schema \
                        WHERE type = 'trigger' AND name = ?1 COLLATE NOCASE";
        self.as_internal(|sqlite| sqlite.query_row(question, [name, words], |row| row.get(0)))
            .unwrap_or(false)
    }

    /// Refuses indexes, triggers and foreign keys that are tied to the insides of a virtual table.
    ///
    /// # Errors
    /// [`SqlError::NotAllowed`], naming the one that was found.
    pub(crate) fn look_for_ties_to_insides(&self) -> Result<(), SqlError> {
        let found = self.as_internal(|sqlite| {
            // SQLite's own list of tables works the columns of all views out, which may take for
            // ever.
            let mut tables = sqlite.prepare_cached(VIRTUAL_TABLES)?;
            let tables = tables.query_map([], |row| {
                let (name, sql) = (row.get_ref(0)?.as_bytes()?, row.get_ref(1)?.as_bytes()?);
                let [name, sql] = [name, sql].map(String::from_utf8_lossy);
                Ok(shadows_of(&name, &sql).collect::<Vec<String>>())
            })?;
            let insides = tables.collect::<rusqlite::Result<Vec<_>>>()?.concat();
            // Most databases have none, and are asked no more than that.
            if insides.is_empty() {
                return Ok(None);
            }
            let insides = serde_json::Value::from(insides).to_string();
            let mut ties = sqlite.prepare_cached(A_TIE_TO_INSIDES)?;
            ties.query_row([insides], |row| row.get::<_, String>(0))
                .optional()
        });
        match found {
            Ok(None) => Ok(()),
            Ok(Some(tie)) => Err(SqlError::NotAllowed {
                what: format!("{tie} is tied to the insides of a virtual table"),
            }),
            Err(error) => Err(SqlError::from_sqlite(&error, self.interrupts.interrupt())),
        }
    }
}

const VIRTUAL_TABLES: &str = "SELECT CAST(name AS TEXT), CAST(sql AS TEXT) FROM sqlite_schema \
     WHERE type = 'table' AND rootpage = 0 AND sql IS NOT NULL";

/// SQLite's own indexes of keys have no SQL.
const A_TIE_TO_INSIDES: &str = "
    WITH inside(name) AS MATERIALIZED (SELECT value FROM json_each(?1))
    SELECT 'the ' || type || ' ' || m.name FROM sqlite_schema m
      JOIN inside ON inside.name = m.tbl_name COLLATE NOCASE
      WHERE m.type IN ('index', 'trigger') AND m.sql IS NOT NULL
    UNION ALL
    SELECT 'a foreign key of ' || m.name FROM sqlite_schema m, pragma_foreign_key_list(m.name) k
      JOIN inside ON inside.name = k.\"table\" COLLATE NOCASE
      WHERE m.type = 'table'
    LIMIT 1";

/// What stands in double quotes where SQLite took it for a name and found none.
fn text_in_double_quotes(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("no such column: ")?;
    let (name, advice) = rest.split_once(" - ")?;
    advice.contains("string literal").then_some(name)
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
