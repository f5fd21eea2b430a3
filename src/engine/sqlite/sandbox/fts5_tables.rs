//! What FTS5 tables need beside what SQLite does for them.
use crate::engine::sql::quoted;
use crate::engine::sqlite::connection::SqliteConnection;
use crate::engine::sqlite::error::SqlError;
use crate::engine::sqlite::syntax::stored::virtual_module;

impl SqliteConnection {
    /// What is said where an FTS5 table's index does not fit its rows: a user's error where the
    /// table keeps no rows itself, since its user keeps the two together.
    pub(crate) fn index_does_not_fit(&self, message: &str, sql: &str) -> SqlError {
        let Some((table, made)) = self.table_with_foreign_rows(sql) else {
            return SqlError::Damaged;
        };
        // SQLite says of such a table that the file is malformed, which it is not.
        let message = match message.strip_prefix("fts5: ") {
            Some(message) => format!("{message}; the FTS5 table {table} has it"),
            None => format!("the FTS5 table {table} does not fit the rows that it was made from"),
        };
        let made = made.to_lowercase().replace(char::is_whitespace, "");
        let keeps_index_alone = made.contains("content=''") || made.contains("content=\"\"");
        let hint = match keeps_index_alone {
            true => format!(
                "'delete' takes the very values that the row was inserted with; INSERT INTO \
                 {table}({table}) VALUES ('delete-all') empties an index that is wrong already, to \
                 be filled anew"
            ),
            false => {
                format!("INSERT INTO {table}({table}) VALUES ('rebuild') makes its index anew")
            }
        };
        let hint = Some(hint);
        SqlError::Sql { message, hint }
    }

    /// The FTS5 table of this statement that keeps no rows itself, and the SQL that made it.
    fn table_with_foreign_rows(&self, sql: &str) -> Option<(String, String)> {
        // The statement may have come from the cache, so the authorizer did not see its tables.
        let _ = self.inner.prepare(sql);
        let seen = self.recorder.take();
        let question = "SELECT sql FROM sqlite_schema f WHERE f.name = ?1 COLLATE NOCASE \
                          AND f.rootpage = 0 AND f.sql LIKE '%fts5%' AND NOT EXISTS \
                          (SELECT 1 FROM sqlite_schema \
                           WHERE name = f.name || '_content' COLLATE NOCASE AND rootpage > 0)";
        self.as_internal(|internal| {
            let mut question = internal.prepare(question).ok()?;
            seen.tables.into_iter().find_map(|table| {
                let made = question.query_row([&table], |row| row.get(0)).ok()?;
                Some((table, made))
            })
        })
    }

    /// Lets SQLite make ready what it needs of every R*Tree: statements that write are among it, which
    /// a reader may not prepare.
    pub(crate) fn connect_rtrees(&self) {
        let names = "SELECT name, sql FROM sqlite_schema WHERE rootpage = 0 AND sql LIKE '%rtree%'";
        self.as_internal(|internal| {
            let listed = internal.prepare(names).and_then(|mut names| {
                let rows = names.query_map([], |row| row.try_into())?;
                rows.collect::<Result<Vec<(String, String)>, _>>()
            });
            for (name, sql) in listed.unwrap_or_default() {
                let module = virtual_module(&sql).unwrap_or_default();
                if ["rtree", "rtree_i32"]
                    .iter()
                    .any(|it| it.eq_ignore_ascii_case(&module))
                {
                    // What is wrong with it, its columns say.
                    let _ = internal.prepare(&format!("SELECT 1 FROM {}", quoted(&name)));
                }
            }
        });
    }

    /// Lets every FTS5 table see what other connections have written. FTS5 does that itself when it
    /// is read, and not when a PRAGMA checks it.
    pub(crate) fn refresh_fts5_tables(&self) {
        let names = "SELECT name FROM sqlite_schema WHERE rootpage = 0 AND sql LIKE '%fts5%'";
        self.as_internal(|internal| {
            let names = internal.prepare(names).and_then(|mut names| {
                let rows = names.query_map([], |row| row.get::<_, String>(0))?;
                rows.collect::<Result<Vec<_>, _>>()
            });
            for name in names.unwrap_or_default() {
                let read = format!("SELECT rowid FROM {} LIMIT 1", quoted(&name));
                // What is wrong with it, the check says.
                let _ = internal.query_row(&read, [], |_| Ok(()));
            }
        });
    }
}
