//! What FTS5 tables need beside what SQLite does for them.
use super::created::quoted;
use crate::engine::sqlite::connection::SqliteConnection;

impl SqliteConnection {
    /// The FTS5 table of this statement that keeps no rows itself: its user keeps its index and the
    /// rows elsewhere together, and may fail to.
    pub(crate) fn table_with_foreign_rows(&self, sql: &str) -> Option<String> {
        // What ran may have come from the cache, and nobody saw its tables.
        let _ = self.inner.prepare(sql);
        let seen = self.recorder.take();
        let question = "SELECT 1 FROM sqlite_schema f WHERE f.name = ?1 COLLATE NOCASE \
                          AND f.rootpage = 0 AND f.sql LIKE '%fts5%' AND NOT EXISTS \
                          (SELECT 1 FROM sqlite_schema \
                           WHERE name = f.name || '_content' COLLATE NOCASE AND rootpage > 0)";
        self.as_house(|house| {
            let mut question = house.prepare(question).ok()?;
            (seen.tables.into_iter()).find(|table| question.exists([table]).unwrap_or(false))
        })
    }

    /// Lets every FTS5 table see what other connections have written. FTS5 does that itself when it
    /// is read, and not when a PRAGMA checks it.
    pub(crate) fn refresh_fts5_tables(&self) {
        let names = "SELECT name FROM sqlite_schema WHERE rootpage = 0 AND sql LIKE '%fts5%'";
        self.as_house(|house| {
            let names = house.prepare(names).and_then(|mut names| {
                let rows = names.query_map([], |row| row.get::<_, String>(0))?;
                rows.collect::<Result<Vec<_>, _>>()
            });
            for name in names.unwrap_or_default() {
                let read = format!("SELECT rowid FROM {} LIMIT 1", quoted(&name));
                // What is wrong with it, the check says.
                let _ = house.query_row(&read, [], |_| Ok(()));
            }
        });
    }
}
