//! Texts in double quotes. SQLite's shell and most libraries take `"x"` for a text where nothing has
//! that name; the gateway takes it for a name. A table keeps its CHECKs and DEFAULTs as they were
//! understood, but triggers and views are understood again each time: they get single quotes.
use super::outcome::{Notes, shortened};
use crate::engine::sqlite::syntax::edits::Edits;
use crate::engine::sqlite::syntax::tokens::{SqlToken, TokenKind, tokens};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::collections::HashSet;

/// Characters of a name that a note shows.
const SHOWN_NAME: usize = 100;

/// Names that every table has.
const OF_EVERY_TABLE: &[&str] = &["rowid", "oid", "_rowid_", "new", "old"];

/// Words behind which an expression may begin. Behind any other word stands a name.
const BEFORE_EXPRESSION: &[&str] = &[
    "ALL",
    "AND",
    "BETWEEN",
    "BY",
    "CASE",
    "DISTINCT",
    "ELSE",
    "ESCAPE",
    "GLOB",
    "HAVING",
    "IS",
    "LIKE",
    "LIMIT",
    "MATCH",
    "NOT",
    "OFFSET",
    "ON",
    "OR",
    "REGEXP",
    "RETURNING",
    "SELECT",
    "THEN",
    "WHEN",
    "WHERE",
];

/// Words that follow a name or a value and are no name themselves.
const CLAUSES: &[&str] = &[
    "AFTER",
    "AND",
    "AS",
    "ASC",
    "BEFORE",
    "BEGIN",
    "BETWEEN",
    "COLLATE",
    "CROSS",
    "DELETE",
    "DESC",
    "DO",
    "ELSE",
    "END",
    "ESCAPE",
    "EXCEPT",
    "FILTER",
    "FOR",
    "FROM",
    "FULL",
    "GLOB",
    "GROUP",
    "HAVING",
    "IN",
    "INDEXED",
    "INNER",
    "INSERT",
    "INSTEAD",
    "INTERSECT",
    "IS",
    "ISNULL",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MATCH",
    "NATURAL",
    "NOT",
    "NOTNULL",
    "OF",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "REGEXP",
    "RETURNING",
    "RIGHT",
    "SELECT",
    "SET",
    "THEN",
    "UNION",
    "UPDATE",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
];

/// A trigger or a view.
struct Object {
    row: i64,
    kind: String,
    name: String,
    sql: String,
}

/// Puts the texts of triggers and views into single quotes. Notes which.
///
/// # Errors
/// When the schema cannot be read or written.
pub(super) fn mend(sqlite: &Connection, notes: &mut Notes) -> rusqlite::Result<()> {
    let objects = objects(sqlite)?;
    if objects.is_empty() {
        return Ok(());
    }
    let mut names = names(sqlite)?;
    for object in &objects {
        names.extend(aliases(&object.sql));
    }
    let mut mended = Vec::new();
    for object in &objects {
        if let Some((sql, texts)) = with_single_quotes(&object.sql, &names) {
            notes.add(format!(
                "The {} `{}` has texts in double quotes; they are in single quotes now: {}",
                object.kind,
                shortened(&object.name, SHOWN_NAME),
                texts.join(", ")
            ));
            mended.push((object.row, sql));
        }
    }
    if mended.is_empty() {
        return Ok(());
    }
    sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true)?;
    let mut update = sqlite.prepare("UPDATE sqlite_schema SET sql = ?2 WHERE rowid = ?1")?;
    for change in mended {
        update.execute(change)?;
    }
    drop(update);
    // It is read anew, so that what was written is what is checked.
    sqlite.execute_batch("PRAGMA writable_schema = RESET")?;
    sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false)?;
    Ok(())
}

/// The triggers and views that have something in double quotes.
fn objects(sqlite: &Connection) -> rusqlite::Result<Vec<Object>> {
    let mut objects = sqlite.prepare(
        "SELECT rowid, type, name, sql FROM sqlite_schema
          WHERE type IN ('trigger', 'view') AND typeof(sql) = 'text' AND instr(sql, '\"')",
    )?;
    let objects = objects.query_map([], |row| {
        Ok(Object {
            row: row.get(0)?,
            kind: row.get(1)?,
            name: row.get(2)?,
            sql: row.get(3)?,
        })
    })?;
    objects.collect()
}

/// The names of all objects and of the columns of all tables, in lower case.
fn names(sqlite: &Connection) -> rusqlite::Result<HashSet<String>> {
    let mut list = sqlite.prepare(
        "SELECT lower(name) FROM sqlite_schema
         UNION SELECT lower(its.name) FROM sqlite_schema AS made, pragma_table_xinfo(made.name) AS its
          WHERE made.type = 'table'",
    )?;
    let found = list.query_map([], |row| row.get(0))?;
    let mut names: HashSet<String> = found.collect::<rusqlite::Result<_>>()?;
    names.extend(OF_EVERY_TABLE.iter().map(|name| (*name).to_owned()));
    Ok(names)
}

/// The names that a statement itself gives, in lower case: what stands behind a name, a value or a
/// parenthesis, with `AS` or without, and the columns of a view or a common table.
fn aliases(sql: &str) -> Vec<String> {
    let tokens = tokens(sql);
    let gives_names = |place: usize| {
        let before = place.checked_sub(1).map(|before| &tokens[before]);
        before.is_some_and(|before| !may_stand_before_text(before, sql))
    };
    let mut names = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let may_be_name = match token.kind {
            TokenKind::QuotedName => true,
            TokenKind::Word => !CLAUSES.iter().any(|word| token.is_word(sql, word)),
            TokenKind::Text | TokenKind::Value | TokenKind::Sign(_) => false,
        };
        if may_be_name && gives_names(place) {
            names.push(token.name(sql).to_ascii_lowercase());
        }
    }
    // `v("a", "b") AS SELECT`: all that is in parentheses before an AS.
    let mut at = 0;
    while let Some(open) = (at..tokens.len()).find(|place| tokens[*place].is_sign(b'(')) {
        let close = (open..tokens.len()).find(|place| tokens[*place].is_sign(b')'));
        let Some(close) = close else { break };
        if (tokens.get(close + 1)).is_some_and(|next| next.is_word(sql, "AS")) {
            let inside = &tokens[open + 1..close];
            names.extend(inside.iter().map(|it| it.name(sql).to_ascii_lowercase()));
        }
        at = open + 1;
    }
    names
}

/// The statement with its texts in single quotes, and these; `None` when it has none in double ones.
fn with_single_quotes(sql: &str, names: &HashSet<String>) -> Option<(String, Vec<String>)> {
    let tokens = tokens(sql);
    let mut edits = Edits::of(sql);
    let mut texts = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let written = &sql[token.place.clone()];
        if token.kind != TokenKind::QuotedName || !written.starts_with('"') {
            continue;
        }
        let before = place.checked_sub(1).map(|before| &tokens[before]);
        let next = tokens.get(place + 1);
        let is_called = next.is_some_and(|next| next.is_sign(b'.') || next.is_sign(b'('));
        let text = token.name(sql);
        // `"max(a)"` may be the name of a column of a view.
        let is_name = names.contains(&text.to_ascii_lowercase()) || text.contains('(');
        if is_called || is_name || !before.is_some_and(|it| may_stand_before_text(it, sql)) {
            continue;
        }
        let text = format!("'{}'", text.replace('\'', "''"));
        edits.replace(token.place.clone(), text.clone());
        texts.push(text);
    }
    (!texts.is_empty()).then(|| (edits.done(), texts))
}

/// Whether an expression may begin behind this token.
fn may_stand_before_text(token: &SqlToken, sql: &str) -> bool {
    match token.kind {
        TokenKind::Word => BEFORE_EXPRESSION
            .iter()
            .any(|word| token.is_word(sql, word)),
        TokenKind::Sign(sign) => !matches!(sign, b')' | b'.' | b';'),
        TokenKind::QuotedName | TokenKind::Text | TokenKind::Value => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(sql: &str) -> Option<String> {
        let mut names: HashSet<String> = ["t", "a", "b"].map(str::to_owned).into();
        names.extend(aliases(sql));
        with_single_quotes(sql, &names).map(|(sql, _)| sql)
    }

    #[test]
    fn what_names_nothing_is_a_text() {
        for (sql, is) in [
            (
                "CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO t VALUES(\"it's\", 1); END",
                "CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO t VALUES('it''s', 1); END",
            ),
            (
                "CREATE VIEW v AS SELECT \"on\" AS x, a FROM t WHERE b IN (\"on\", \"A\")",
                "CREATE VIEW v AS SELECT 'on' AS x, a FROM t WHERE b IN ('on', \"A\")",
            ),
            (
                "CREATE VIEW v AS SELECT CASE WHEN a LIKE \"x%\" THEN \"y\" ELSE b END FROM t",
                "CREATE VIEW v AS SELECT CASE WHEN a LIKE 'x%' THEN 'y' ELSE b END FROM t",
            ),
        ] {
            assert_eq!(mended(sql).as_deref(), Some(is));
        }
    }

    #[test]
    fn what_is_or_may_be_a_name_stays_one() {
        for sql in [
            "CREATE VIEW \"v\" AS SELECT \"t\".\"a\", \"b\" \"c\" FROM \"t\" ORDER BY \"c\"",
            "CREATE VIEW v(\"x\", \"y\") AS SELECT a, b FROM t WHERE \"x\" = 1",
            "CREATE VIEW v AS WITH \"w\"(\"z\") AS (SELECT a FROM t) SELECT \"z\" FROM \"w\"",
            "CREATE VIEW v AS SELECT x.\"d\" FROM (SELECT a \"d\" FROM t) \"x\" WHERE \"d\" > 1",
            "CREATE VIEW v AS SELECT \"max(a)\" FROM w",
            "CREATE VIEW v AS SELECT [x], `y` FROM t",
        ] {
            assert_eq!(mended(sql), None, "{sql}");
        }
    }
}
