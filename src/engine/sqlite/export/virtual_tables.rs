//! What can be written of the rows of a virtual table, as its declaration tells.
use crate::engine::sqlite::syntax::stored::virtual_module;
use crate::engine::sqlite::syntax::tokens::{SqlToken, TokenKind, tokens, unquoted};

/// A virtual table, as it was declared.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct VirtualTable {
    /// In small letters.
    module: String,
    /// The value of a full-text table's option `content`.
    content: Option<String>,
    /// The hidden column of FTS4 in which each row's language is.
    language: Option<String>,
}

/// Modules that tell of an index.
const DERIVED: &[&str] = &["fts5vocab", "fts4aux", "fts3aux"];

/// Where the rows of a virtual table are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// In the table itself.
    Own,
    /// In another table's index: the module tells of it, and takes no rows.
    Derived,
    /// In another table or a view, from which the index is made anew.
    Elsewhere,
    /// Nowhere: there is an index alone.
    Unknown,
}

impl VirtualTable {
    /// What this statement makes; `None` when it makes no virtual table.
    pub(super) fn of(sql: &str) -> Option<Self> {
        let module = virtual_module(sql)?.to_ascii_lowercase();
        // FTS3 has no options: to it, they are columns.
        let option = |modules: &[&str], name| {
            let has_it = modules.contains(&module.as_str());
            has_it.then(|| option(sql, name)).flatten()
        };
        Some(Self {
            content: option(&["fts4", "fts5"], "content"),
            language: option(&["fts4"], "languageid"),
            module,
        })
    }

    pub(super) fn contents(&self) -> Contents {
        if DERIVED.contains(&self.module.as_str()) {
            return Contents::Derived;
        }
        match self.content.as_deref() {
            None => Contents::Own,
            Some("") => Contents::Unknown,
            Some(_) => Contents::Elsewhere,
        }
    }

    /// Whether its rows have numbers beside its columns.
    pub(super) fn numbers_rows(&self) -> bool {
        self.module.starts_with("fts")
    }

    /// The hidden column that its rows have a value in, too.
    pub(super) fn hidden_column(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// Whether it keeps settings of its own.
    pub(super) fn has_settings(&self) -> bool {
        self.module == "fts5"
    }
}

/// `x` of an argument `name = x`.
fn option(sql: &str, name: &str) -> Option<String> {
    let tokens = tokens(sql);
    let begins_argument = |place: usize| {
        (place.checked_sub(1)).is_some_and(|before| {
            let before: &SqlToken = &tokens[before];
            before.is_sign(b'(') || before.is_sign(b',')
        })
    };
    let place = (0..tokens.len()).find(|place| {
        tokens[*place].is_word(sql, name)
            && begins_argument(*place)
            && (tokens.get(place + 1)).is_some_and(|next| next.is_sign(b'='))
    })?;
    let value = tokens.get(place + 2)?;
    Some(match value.kind {
        TokenKind::Sign(_) => String::new(),
        _ => unquoted(&sql[value.place.clone()]).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_tells_where_the_rows_are() {
        for (sql, contents) in [
            ("CREATE VIRTUAL TABLE f USING fts5(a, b)", Contents::Own),
            (
                "CREATE VIRTUAL TABLE f USING fts5(content, tokenize='porter')",
                Contents::Own,
            ),
            (
                "CREATE VIRTUAL TABLE f USING FTS5(a, content = 't,x', content_rowid=id)",
                Contents::Elsewhere,
            ),
            (
                "CREATE VIRTUAL TABLE f USING fts5(a, content='')",
                Contents::Unknown,
            ),
            (
                "CREATE VIRTUAL TABLE f USING fts5(a, content=, detail=none)",
                Contents::Unknown,
            ),
            (
                "CREATE VIRTUAL TABLE f USING fts4(content=\"t\", a)",
                Contents::Elsewhere,
            ),
            (
                "CREATE VIRTUAL TABLE f USING fts3(a, content=\"t\")",
                Contents::Own,
            ),
            (
                "CREATE VIRTUAL TABLE r USING rtree(id, a, b)",
                Contents::Own,
            ),
            (
                "CREATE VIRTUAL TABLE v USING fts5vocab(f, row)",
                Contents::Derived,
            ),
        ] {
            assert_eq!(VirtualTable::of(sql).unwrap().contents(), contents, "{sql}");
        }
        assert_eq!(VirtualTable::of("CREATE TABLE content(content)"), None);
    }
}
