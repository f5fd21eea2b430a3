//! What stored statements besides CREATE TABLE tell: of indexes, triggers and virtual tables.
use super::cursor::Cursor;
use super::tokens::{SqlToken, tokens};
use std::ops::Range;

/// A CREATE INDEX: what it sorts by, and the condition of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexText {
    /// One for each column or expression, without `ASC` and `DESC`.
    pub(crate) columns: Vec<Range<usize>>,
    pub(crate) condition: Option<Range<usize>>,
}

impl IndexText {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut cursor = Cursor::new(text);
        if !cursor.pass_word("CREATE") {
            return None;
        }
        cursor.pass_word("UNIQUE");
        if !cursor.pass_word("INDEX") {
            return None;
        }
        cursor.pass_words(&["IF", "NOT", "EXISTS"]);
        cursor.pass_name()?;
        if cursor.pass_sign(b'.') {
            cursor.pass_name()?;
        }
        if !cursor.pass_word("ON") {
            return None;
        }
        cursor.pass_name()?;
        let list = cursor.pass_parentheses()?;
        let columns = parts(text, list);
        let condition = cursor.pass_word("WHERE").then(|| {
            let begin = cursor.begin();
            while cursor.next().is_some() {}
            begin..cursor.end()
        });
        Some(Self { columns, condition })
    }
}

/// What is between the commas of a list, without what says the order.
fn parts(text: &str, list: Range<usize>) -> Vec<Range<usize>> {
    let inner = &text[list.clone()];
    let mut parts = Vec::new();
    let (mut depth, mut part): (usize, Vec<SqlToken>) = (0, Vec::new());
    let mut close = |part: &mut Vec<SqlToken>| {
        let says_order =
            |token: &SqlToken| token.is_word(inner, "ASC") || token.is_word(inner, "DESC");
        if part.last().is_some_and(says_order) {
            part.pop();
        }
        if let (Some(first), Some(last)) = (part.first(), part.last()) {
            parts.push(list.start + first.place.start..list.start + last.place.end);
        }
        part.clear();
    };
    for token in tokens(inner) {
        if depth == 0 && token.is_sign(b',') {
            close(&mut part);
            continue;
        }
        depth += usize::from(token.is_sign(b'('));
        depth = depth.saturating_sub(usize::from(token.is_sign(b')')));
        part.push(token);
    }
    close(&mut part);
    parts
}

/// When a trigger acts, in SQL's words: `BEFORE UPDATE OF a, b`.
pub(crate) fn trigger_event(text: &str) -> Option<String> {
    let mut cursor = Cursor::new(text);
    let is_create = cursor.pass_word("CREATE");
    let _ = cursor.pass_word("TEMP") || cursor.pass_word("TEMPORARY");
    if !is_create || !cursor.pass_word("TRIGGER") {
        return None;
    }
    cursor.pass_words(&["IF", "NOT", "EXISTS"]);
    cursor.pass_name()?;
    if cursor.pass_sign(b'.') {
        cursor.pass_name()?;
    }
    let when = if cursor.pass_words(&["INSTEAD", "OF"]) {
        "INSTEAD OF"
    } else if cursor.pass_word("AFTER") {
        "AFTER"
    } else {
        cursor.pass_word("BEFORE");
        "BEFORE"
    };
    let event = if cursor.pass_word("DELETE") {
        "DELETE".to_owned()
    } else if cursor.pass_word("INSERT") {
        "INSERT".to_owned()
    } else if cursor.pass_word("UPDATE") {
        let mut event = "UPDATE".to_owned();
        if cursor.pass_word("OF") {
            let begin = cursor.begin();
            cursor.pass_name()?;
            while cursor.pass_sign(b',') {
                cursor.pass_name()?;
            }
            event.push_str(" OF ");
            event.push_str(&text[begin..cursor.end()]);
        }
        event
    } else {
        return None;
    };
    Some(format!("{when} {event}"))
}

/// The module of a virtual table; `None` when the statement makes none.
pub(crate) fn virtual_module(text: &str) -> Option<String> {
    let mut cursor = Cursor::new(text);
    if !cursor.pass_words(&["CREATE", "VIRTUAL", "TABLE"]) {
        return None;
    }
    cursor.pass_words(&["IF", "NOT", "EXISTS"]);
    cursor.pass_name()?;
    if cursor.pass_sign(b'.') {
        cursor.pass_name()?;
    }
    cursor.pass_word("USING");
    Some(cursor.pass_name()?.0.into_owned())
}

/// What virtual tables call the tables in which they keep their data, behind their own name.
const SHADOWS: &[(&[&str], &[&str])] = &[
    (&["fts5"], &["data", "idx", "content", "docsize", "config"]),
    (
        &["fts3", "fts4"],
        &["content", "segments", "segdir", "docsize", "stat"],
    ),
    (&["rtree", "rtree_i32"], &["node", "parent", "rowid"]),
];

/// The ends of the names of the tables in which this module keeps its data.
pub(crate) fn shadows_of_module(module: &str) -> &'static [&'static str] {
    let is = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(module));
    let known = SHADOWS.iter().find(|(names, _)| is(names));
    known.map(|(_, ends)| *ends).unwrap_or_default()
}

/// The names, in lower case, of the tables in which the virtual table keeps its data that `sql`
/// declares; none where it declares none.
pub(crate) fn shadows_of(name: &str, sql: &str) -> impl Iterator<Item = String> {
    let module = virtual_module(sql);
    let ends = module.as_deref().map(shadows_of_module).unwrap_or_default();
    let name = name.to_ascii_lowercase();
    ends.iter().map(move |end| format!("{name}_{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_tells_its_expressions_and_its_condition() {
        let text = "CREATE UNIQUE INDEX \"i ON\" ON t (lower(a, ',') COLLATE nocase DESC, [b,c] ASC) \
            WHERE a > 'x' AND b";
        let index = IndexText::parse(text).unwrap();
        let columns: Vec<&str> = index.columns.iter().map(|it| &text[it.clone()]).collect();
        assert_eq!(columns, ["lower(a, ',') COLLATE nocase", "[b,c]"]);
        assert_eq!(&text[index.condition.unwrap()], "a > 'x' AND b");
        assert_eq!(IndexText::parse("CREATE TABLE t(a)"), None);
    }

    #[test]
    fn a_trigger_tells_when_it_acts() {
        for (text, event) in [
            (
                "CREATE TRIGGER a INSERT ON t BEGIN SELECT 1; END",
                "BEFORE INSERT",
            ),
            (
                "CREATE TRIGGER \"of\" AFTER UPDATE OF a, \"b,\" ON t BEGIN SELECT 1; END",
                "AFTER UPDATE OF a, \"b,\"",
            ),
            (
                "CREATE TRIGGER main.c INSTEAD OF DELETE ON v BEGIN SELECT 1; END",
                "INSTEAD OF DELETE",
            ),
        ] {
            assert_eq!(trigger_event(text).as_deref(), Some(event));
        }
    }

    #[test]
    fn a_virtual_table_tells_its_module() {
        let text = "CREATE VIRTUAL TABLE \"f\" USING fts5(a, content='')";
        assert_eq!(virtual_module(text).as_deref(), Some("fts5"));
        assert_eq!(virtual_module("CREATE TABLE virtual(a)"), None);
    }
}
