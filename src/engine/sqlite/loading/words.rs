//! Looks at the first words of a statement: what a loader does itself, and what names mean.
use super::splitter::blank_in_front;

/// The words and names of a statement, one after the other, without comments and blanks.
#[derive(Debug, Clone)]
pub(super) struct Words<'s> {
    rest: &'s [u8],
}

/// A word, a name or a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// Not quoted: a keyword, a name or a number.
    Bare(String),
    /// A quoted name, or a text: SQLite takes `'t'` for a name where one has to stand.
    Quoted(String),
    Sign(u8),
}

/// A longer name is none that the loader looks for.
const LONGEST_WORD: usize = 1 << 20;

impl Word {
    /// Whether it is this keyword.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Bare(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// What it names.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Bare(name) | Self::Quoted(name) => Some(name),
            Self::Sign(_) => None,
        }
    }
}

impl<'s> Words<'s> {
    pub(super) fn of(sql: &'s [u8]) -> Self {
        Self { rest: sql }
    }

    /// What was not passed yet.
    pub(super) fn rest(&self) -> &'s [u8] {
        self.rest
    }

    /// Whether the next words are these keywords; they are passed then.
    pub(super) fn pass(&mut self, keywords: &[&str]) -> bool {
        let mut ahead = self.clone();
        let are = keywords
            .iter()
            .all(|keyword| ahead.next().is_some_and(|word| word.is(keyword)));
        if are {
            *self = ahead;
        }
        are
    }

    /// Passes a table's name, without that of its schema.
    pub(super) fn table(&mut self) -> Option<String> {
        let name = self.next()?;
        let mut ahead = self.clone();
        let name = if ahead.next() == Some(Word::Sign(b'.')) {
            *self = ahead;
            self.next()?
        } else {
            name
        };
        name.name().map(str::to_owned)
    }
}

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        let rest = &self.rest[blank_in_front(self.rest)..];
        let first = *rest.first()?;
        let quote = match first {
            b'\'' | b'"' | b'`' => Some(first),
            b'[' => Some(b']'),
            _ => None,
        };
        if let Some(quote) = quote {
            let mut name = Vec::new();
            let mut at = 1;
            while let Some(byte) = rest.get(at).filter(|_| at < LONGEST_WORD) {
                at += 1;
                if *byte == quote {
                    if quote == b']' || rest.get(at) != Some(&quote) {
                        break;
                    }
                    at += 1;
                }
                name.push(*byte);
            }
            self.rest = &rest[at..];
            return Some(Word::Quoted(String::from_utf8_lossy(&name).into_owned()));
        }
        let is_word = |byte: &u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || *byte >= 0x80
        };
        let length = rest
            .iter()
            .take(LONGEST_WORD)
            .take_while(|byte| is_word(byte))
            .count();
        if length == 0 {
            self.rest = &rest[1..];
            return Some(Word::Sign(first));
        }
        let (word, behind) = rest.split_at(length);
        self.rest = behind;
        Some(Word::Bare(String::from_utf8_lossy(word).into_owned()))
    }
}

/// What to do with a statement that SQLite does not know: which other system's it is.
pub(super) fn foreign_dialect(sql: &[u8]) -> Option<&'static str> {
    /// Bytes of a statement that are looked at.
    const LOOKED_AT: usize = 64 << 10;
    let text = String::from_utf8_lossy(&sql[..sql.len().min(LOOKED_AT)]).to_ascii_uppercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    let mut words = Words::of(sql);
    let begins = |words: &mut Words<'_>, with: &[&[&str]]| with.iter().any(|it| words.pass(it));
    if text.contains("FROM STDIN")
        || has(&[
            "OWNER TO ",
            "::REGCLASS",
            "NEXTVAL(",
            "SET SEARCH_PATH",
            "PG_CATALOG.",
            "WITHOUT TIME ZONE",
            "WITH TIME ZONE",
            "CHARACTER VARYING",
        ])
        || begins(
            &mut words,
            &[
                &["CREATE", "EXTENSION"],
                &["CREATE", "SEQUENCE"],
                &["CREATE", "TYPE"],
                &["CREATE", "SCHEMA"],
                &["COMMENT", "ON"],
                &["SET", "statement_timeout"],
                &["SET", "client_encoding"],
                &["COPY"],
            ],
        )
    {
        return Some(
            "this is PostgreSQL's; convert the dump first, for example with `pg_dump --inserts \
             --no-owner` and a converter to SQLite, or export the tables as CSV",
        );
    }
    if has(&[
        "ENGINE=",
        "ENGINE =",
        "AUTO_INCREMENT",
        " UNSIGNED",
        "CHARACTER SET",
        "COLLATE UTF8",
        "COLLATE=UTF8",
        "ON UPDATE CURRENT_TIMESTAMP",
    ]) || begins(
        &mut words,
        &[
            &["LOCK", "TABLES"],
            &["UNLOCK", "TABLES"],
            &["SET"],
            &["USE"],
            &["CREATE", "DATABASE"],
            &["DELIMITER"],
        ],
    ) {
        return Some(
            "this is MySQL's; convert the dump first: `mysql2sqlite dump.sql`, or `pip install \
             mysql-to-sqlite3` writes a SQLite file, which can be imported",
        );
    }
    if has(&[
        " IDENTITY(",
        " NVARCHAR(MAX)",
        "[DBO].",
        "(N'",
        ",N'",
        ", N'",
    ]) || begins(&mut words, &[&["GO"], &["SET", "IDENTITY_INSERT"]])
    {
        return Some(
            "this is SQL Server's; export its tables as CSV, or convert the script to SQLite first",
        );
    }
    if begins(
        &mut words,
        &[&["DROP", "DATABASE"], &["CREATE", "USER"], &["GRANT"]],
    ) {
        return Some(
            "this is for a database server, such as MySQL or PostgreSQL: an import is one SQLite \
             database; send a dump for SQLite",
        );
    }
    if has(&[
        "(INF,", ",INF,", ",INF)", "(-INF,", ",-INF,", ",-INF)", "(INF)",
    ]) {
        return Some("write infinity as 9e999: `Inf` is a name to SQLite");
    }
    if text.contains("\\'") {
        return Some(
            "a backslash does not escape a quote in SQLite: write '' for one; MySQL writes it so with \
             `SET sql_mode='NO_BACKSLASH_ESCAPES'`",
        );
    }
    None
}
