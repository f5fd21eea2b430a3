//! What may help with an error: the nearest name in the schema, the bound that was passed, what is full.
use super::first_word::without_end;
use crate::engine::sql::{HINT_OF_LONG_VALUES, VALUE_TOO_LONG};
use crate::engine::sqlite::connection::SqliteConnection;
use crate::engine::sqlite::error::SqlError;
use crate::engine::sqlite::sandbox::watch;
use rusqlite::Connection;

/// `did you mean "users"?` for a message that names a table or column that is not in `schema`; of
/// a pattern that is too long, how long it may be.
pub(super) fn for_message(sqlite: &Connection, schema: &str, message: &str) -> Option<String> {
    let nearest = |question: &str, wrong| {
        let question = question.replace("sqlite_schema", schema);
        nearest(sqlite, &question, wrong)
    };
    if message == "LIKE or GLOB pattern too complex" {
        return Some(
            "a pattern has at most 50,000 bytes, and at most 50 in a CHECK that ALTER TABLE adds \
             to a table with rows"
                .to_owned(),
        );
    }
    if message == VALUE_TOO_LONG {
        return Some(HINT_OF_LONG_VALUES.to_owned());
    }
    if let Some(hint) = for_contentless(message) {
        return Some(hint);
    }
    if let Some(table) = message.strip_prefix("no such table: ") {
        let table = table.strip_prefix("main.").unwrap_or(table);
        return nearest(TABLES, table);
    }
    let column = message.strip_prefix("no such column: ").or_else(|| {
        let (_, name) = message.split_once(" has no column named ")?;
        Some(name)
    })?;
    // SQLite itself goes on with " - should this be a string literal in single-quotes?".
    let column = column.split(" - ").next()?.trim_matches('"');
    let column = column.rsplit('.').next()?;
    nearest(COLUMNS, column)
}

/// What to do with a statement that is a command of the `sqlite3` shell.
pub(super) fn for_shell_command(sql: &str) -> Option<String> {
    let command = sql.strip_prefix('.')?;
    let length = command.bytes().take_while(u8::is_ascii_alphanumeric);
    let command = &command[..length.take(LONGEST_NAME).count()];
    (!command.is_empty()).then(|| {
        format!("`.{command}` is a command of the sqlite3 shell, not SQL: remove the line")
    })
}

/// What works in place of what FTS5 refuses on a table that keeps no rows.
fn for_contentless(message: &str) -> Option<String> {
    let (_, table) = message.split_once("contentless fts5 table: ").unzip();
    let (_, subset) = message
        .split_once("fts5 contentless-delete table: ")
        .unzip();
    Some(match (table, subset) {
        (Some(table), _) => format!(
            "{table} keeps an index and no rows: INSERT INTO {table}({table}, rowid, …) VALUES \
             ('delete', …) with the values that the row was inserted with, then insert the new \
             ones; or make the table with contentless_delete=1"
        ),
        (_, Some(table)) => format!("{table} keeps no values: set every column in UPDATE"),
        _ if message.starts_with("'rebuild' may not be used") => {
            "the table keeps no rows to make its index from: empty it with 'delete-all', and \
             insert the rows again"
                .to_owned()
        }
        _ if message.starts_with("'delete' may not be used") => {
            "DELETE FROM the table WHERE rowid = …".to_owned()
        }
        _ => return None,
    })
}

/// At most this many names are compared: a hint is not worth more.
const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') LIMIT 200";
const COLUMNS: &str = "SELECT c.name FROM \
     (SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') LIMIT 50) t, \
     pragma_table_info(t.name) c LIMIT 500";

fn nearest(sqlite: &Connection, question: &str, wrong: &str) -> Option<String> {
    if wrong.len() > LONGEST_NAME {
        return None;
    }
    let wrong = wrong.to_lowercase();
    // A name of one or two letters is as near to any other.
    let farthest = (wrong.chars().count() / 3).min(3);
    let mut names = sqlite.prepare(question).ok()?;
    let names = names.query_map([], |row| row.get::<_, String>(0)).ok()?;
    names
        .filter_map(Result::ok)
        .filter(|it| it.len() <= LONGEST_NAME)
        .map(|it| (strsim::osa_distance(&it.to_lowercase(), &wrong), it))
        .min()
        // The very word is there, elsewhere: another one is not meant.
        .filter(|(distance, _)| (1..=farthest).contains(distance))
        .map(|(_, it)| format!("did you mean \"{it}\"?"))
}

/// Longer names are not compared: the work grows with the square.
const LONGEST_NAME: usize = 64;

impl SqliteConnection {
    /// What SQLite means by a full database: the size limit, the disk, or an AUTOINCREMENT that has
    /// no number left. The transaction is rolled back by then, and what led to it may be gone.
    pub(super) fn what_is_full(&self, sql: &str) -> SqlError {
        let largest_page = i64::from(watch::largest_page());
        let most_pages = self.as_internal(|internal| {
            internal.pragma_query_value(None, "max_page_count", |row| row.get::<_, i64>(0))
        });
        if most_pages.is_ok_and(|most| largest_page > most) {
            return SqlError::QuotaExceeded;
        }
        if !self.disk_has_room() {
            return SqlError::DiskFull;
        }
        let table = match self.tables_that_count(sql).as_deref() {
            Ok([]) => return SqlError::QuotaExceeded,
            Ok([table]) => format!("the table {table}"),
            Ok(_) | Err(_) => "a table of this statement".to_owned(),
        };
        SqlError::Constraint {
            message: format!(
                "{table} has given its largest AUTOINCREMENT number, {}; give the row a number \
                 yourself, or lower the table's entry in sqlite_sequence once that row is gone",
                i64::MAX
            ),
        }
    }

    /// The tables of this statement whose numbers AUTOINCREMENT gives.
    ///
    /// # Errors
    /// Where it cannot be prepared: its tables were made in the transaction that is gone.
    fn tables_that_count(&self, sql: &str) -> rusqlite::Result<Vec<String>> {
        // The statement may have come from the cache, so the authorizer did not see its tables.
        let prepared = self.inner.prepare(without_end(sql)).map(drop);
        let seen = self.recorder.take();
        prepared?;
        let question = "SELECT 1 FROM sqlite_schema WHERE type = 'table' \
                        AND name = ?1 COLLATE NOCASE AND sql LIKE '%autoincrement%'";
        self.as_internal(|internal| {
            let mut question = internal.prepare(question)?;
            let mut tables = seen.tables;
            tables.retain(|table| question.exists([table]).unwrap_or(false));
            Ok(tables)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(message: &str) -> Option<String> {
        let sqlite = Connection::open_in_memory().unwrap();
        sqlite
            .execute_batch("CREATE TABLE users (id, email); CREATE TABLE orders (total)")
            .unwrap();
        for_message(&sqlite, "sqlite_schema", message)
    }

    #[test]
    fn a_misspelt_table_or_column_is_answered_with_the_nearest_name() {
        let users = Some("did you mean \"users\"?".to_owned());
        assert_eq!(hint("no such table: usrs"), users);
        assert_eq!(hint("no such table: main.suers"), users);
        let email = Some("did you mean \"email\"?".to_owned());
        assert_eq!(hint("no such column: emial"), email);
        assert_eq!(hint("no such column: u.emil"), email);
        assert_eq!(hint("table users has no column named e_mail"), email);
        assert_eq!(
            hint("no such column: \"emai\" - should this be a string literal in single-quotes?"),
            email
        );
    }

    #[test]
    fn a_name_that_is_like_no_other_or_that_is_known_elsewhere_gets_no_hint() {
        for known in ["email", "o.EMAIL", "\"total\""] {
            assert_eq!(hint(&format!("no such column: {known}")), None);
        }
        assert_eq!(hint("table orders has no column named email"), None);
        assert_eq!(hint("no such table: invoices"), None);
        for short in ["x", "i", "ie", "di"] {
            assert_eq!(hint(&format!("no such column: {short}")), None);
        }
        assert_eq!(hint("near \"SELEC\": syntax error"), None);
    }
}
