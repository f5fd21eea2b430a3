//! Splits SQL text into statements as it is read, by SQLite's own rules.
//!
//! What a statement is, `sqlite3_complete` says: a semicolon ends one, unless it stands in a string,
//! a name, a comment, or in a trigger, which ends with `;END;`. No more than one statement and one
//! portion of the text are in memory.
use memchr::{memchr, memchr_iter, memchr2};
use std::io::{self, Read};

/// Bytes that are read at a time.
const PORTION_BYTES: usize = 256 << 10;
/// A buffer that grew past this for one statement is given back behind it.
const KEPT_BYTES: usize = 4 << 20;
/// Longest statement. SQLite's own limit is 1 GB; it needs its text, and the values in it.
pub(super) const LONGEST_STATEMENT: usize = 256 << 20;

const NO_BACKSLASH: &str = "; a backslash does not escape a quote in SQLite, as it does in MySQL: \
                            write '' for one";

/// Reads statements from a text.
pub(super) struct Splitter<R> {
    input: R,
    buffer: Vec<u8>,
    /// Where the next statement begins.
    start: usize,
    /// Up to where it was looked at.
    seen: usize,
    /// The line on which it begins.
    line: u64,
    lexer: Lexer,
    state: State,
    has_ended: bool,
    /// Bytes that are read at a time.
    portion: usize,
}

/// One statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'b> {
    pub(super) sql: &'b [u8],
    /// The line, from 1, on which its first word stands.
    pub(super) line: u64,
    /// Whether a semicolon ends it.
    pub(super) is_complete: bool,
}

/// Why there is no further statement.
#[derive(Debug, thiserror::Error)]
pub(super) enum SplitError {
    #[error("line {line}: the statement is longer than {LONGEST_STATEMENT} bytes")]
    TooLong { line: u64 },
    #[error("the text ends inside {what} of the statement that begins on line {line}{hint}")]
    EndsInside {
        what: &'static str,
        line: u64,
        hint: &'static str,
    },
    #[error(transparent)]
    Unreadable(#[from] io::Error),
}

/// Where in a token the text was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lexer {
    Between,
    /// In what this byte ends: a string or a name.
    Quoted(u8),
    LineComment,
    BlockComment,
}

/// The states of `sqlite3_complete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Normal,
    Explain,
    Create,
    Trigger,
    Semicolon,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Semicolon,
    Other,
    Explain,
    Create,
    Temp,
    Trigger,
    End,
}

impl State {
    /// The state behind a token; `None` where a statement ends.
    fn behind(self, token: Token) -> Option<Self> {
        use State::{Create, End, Explain, Normal, Semicolon, Start, Trigger};
        Some(match (self, token) {
            (Trigger | Semicolon, Token::Semicolon) => Semicolon,
            (_, Token::Semicolon) => return None,
            (Semicolon, Token::End) => End,
            (Trigger | Semicolon | End, _) => Trigger,
            (Start, Token::Explain) => Explain,
            (Start | Explain, Token::Create) => Create,
            (Explain, Token::Explain) => Explain,
            // EXPLAIN QUERY PLAN.
            (Explain, Token::Other) => Explain,
            (Create, Token::Temp) => Create,
            (Create, Token::Trigger) => Trigger,
            (Start | Normal | Explain | Create, _) => Normal,
        })
    }
}

impl<R: Read> Splitter<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            seen: 0,
            line: 1,
            lexer: Lexer::Between,
            state: State::Start,
            has_ended: false,
            portion: PORTION_BYTES,
        }
    }

    /// The next statement, without the comments and blanks in front of it; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Piece<'_>>, SplitError> {
        loop {
            if let Some(end) = self.look() {
                return Ok(Some(self.taken(end, true)));
            }
            if self.has_ended {
                return self.rest();
            }
            self.read_more()?;
        }
    }

    /// What is left at the end of the text.
    fn rest(&mut self) -> Result<Option<Piece<'_>>, SplitError> {
        let end = self.buffer.len();
        let what = match self.lexer {
            Lexer::Quoted(_) => Some("a string or a name"),
            Lexer::BlockComment => Some("a comment"),
            Lexer::Between | Lexer::LineComment
                if matches!(self.state, State::Trigger | State::Semicolon) =>
            {
                Some("the trigger")
            }
            Lexer::Between | Lexer::LineComment => None,
        };
        let piece = self.taken(end, false);
        if let Some(what) = what {
            let has_backslash = memchr::memmem::find(piece.sql, b"\\'").is_some();
            return Err(SplitError::EndsInside {
                what,
                line: piece.line,
                hint: if has_backslash { NO_BACKSLASH } else { "" },
            });
        }
        Ok((!piece.sql.is_empty()).then_some(piece))
    }

    fn taken(&mut self, end: usize, is_complete: bool) -> Piece<'_> {
        let whole = &self.buffer[self.start..end];
        let blank = blank_in_front(whole);
        let line = self.line + memchr_iter(b'\n', &whole[..blank]).count() as u64;
        self.line += memchr_iter(b'\n', whole).count() as u64;
        let from = self.start + blank;
        self.start = end;
        self.seen = self.seen.max(end);
        self.state = State::Start;
        Piece {
            sql: &self.buffer[from..end],
            line,
            is_complete,
        }
    }

    fn read_more(&mut self) -> Result<(), SplitError> {
        self.buffer.drain(..self.start);
        self.seen -= self.start;
        self.start = 0;
        if self.buffer.len() > LONGEST_STATEMENT {
            return Err(SplitError::TooLong { line: self.line });
        }
        if self.buffer.capacity() > KEPT_BYTES && self.buffer.len() < PORTION_BYTES {
            self.buffer.shrink_to(PORTION_BYTES);
        }
        let before = self.buffer.len();
        // A long statement is read in longer portions: the buffer is moved less often.
        let portion = self.portion.max(before / 4);
        let mut portion = (&mut self.input).take(portion as u64);
        let read = portion.read_to_end(&mut self.buffer)?;
        self.has_ended = read == 0;
        Ok(())
    }

    /// Looks at what was not looked at yet, up to the end of a statement.
    fn look(&mut self) -> Option<usize> {
        while self.seen < self.buffer.len() {
            let rest = &self.buffer[self.seen..];
            match self.lexer {
                Lexer::Quoted(quote) => self.skip_to(memchr(quote, rest), 1),
                Lexer::LineComment => self.skip_to(memchr(b'\n', rest), 1),
                Lexer::BlockComment => {
                    let end = memchr::memmem::find(rest, b"*/");
                    if end.is_none() && !self.has_ended {
                        // Its end may be cut.
                        self.seen += rest.len() - 1;
                        return None;
                    }
                    self.skip_to(end, 2);
                }
                Lexer::Between => {
                    if let Some(end) = self.look_at_token()? {
                        return Some(end);
                    }
                }
            }
        }
        None
    }

    fn skip_to(&mut self, end: Option<usize>, length: usize) {
        match end {
            Some(end) => {
                self.seen += end + length;
                self.lexer = Lexer::Between;
            }
            None => self.seen = self.buffer.len(),
        }
    }

    /// Looks at one token. `None`: more text is needed; `Some(Some(end))`: a statement ends.
    #[expect(clippy::option_option, reason = "the outer one is for `?`")]
    fn look_at_token(&mut self) -> Option<Option<usize>> {
        let rest = &self.buffer[self.seen..];
        let first = rest[0];
        let token = match first {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0c => {
                self.seen += 1;
                return Some(None);
            }
            b';' => {
                self.seen += 1;
                Token::Semicolon
            }
            b'\'' | b'"' | b'`' => {
                self.lexer = Lexer::Quoted(first);
                self.seen += 1;
                Token::Other
            }
            b'[' => {
                self.lexer = Lexer::Quoted(b']');
                self.seen += 1;
                Token::Other
            }
            b'-' | b'/' => match rest.get(1) {
                None if !self.has_ended => return None,
                Some(b'-') if first == b'-' => {
                    self.lexer = Lexer::LineComment;
                    self.seen += 2;
                    return Some(None);
                }
                Some(b'*') if first == b'/' => {
                    self.lexer = Lexer::BlockComment;
                    self.seen += 2;
                    return Some(None);
                }
                _ => {
                    self.seen += 1;
                    Token::Other
                }
            },
            _ if is_word(first) => {
                let length = rest.iter().position(|byte| !is_word(*byte));
                if length.is_none() && !self.has_ended && rest.len() < PORTION_BYTES {
                    return None;
                }
                let length = length.unwrap_or(rest.len());
                let token = word(&rest[..length]);
                self.seen += length;
                token
            }
            _ => {
                self.seen += 1;
                Token::Other
            }
        };
        match self.state.behind(token) {
            Some(state) => {
                self.state = state;
                if state == State::Normal {
                    self.skip_plain();
                }
                Some(None)
            }
            None => Some(Some(self.seen)),
        }
    }

    /// In an ordinary statement nothing but quotes, comments and the semicolon matters.
    fn skip_plain(&mut self) {
        if self.lexer != Lexer::Between {
            return;
        }
        let rest = &self.buffer[self.seen..];
        let matters = |byte: &u8| matches!(byte, b';' | b'\'' | b'"' | b'`' | b'[' | b'-' | b'/');
        // Most of a dump is quoted, or has its next quote near.
        let near = memchr2(b'\'', b';', rest).unwrap_or(rest.len());
        let next = rest[..near].iter().position(matters);
        self.seen += next.unwrap_or(near);
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn word(text: &[u8]) -> Token {
    let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
    match text.len() {
        3 if is("END") => Token::End,
        4 if is("TEMP") => Token::Temp,
        6 if is("CREATE") => Token::Create,
        7 if is("TRIGGER") => Token::Trigger,
        7 if is("EXPLAIN") => Token::Explain,
        9 if is("TEMPORARY") => Token::Temp,
        _ => Token::Other,
    }
}

/// How many bytes of comments and blanks stand in front of the first word.
pub(super) fn blank_in_front(sql: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let rest = &sql[at..];
        let skipped = match rest {
            [b' ' | b'\t' | b'\n' | b'\r' | 0x0c, ..] => 1,
            // A mark of byte order, in front of the whole text.
            [0xef, 0xbb, 0xbf, ..] => 3,
            [b'-', b'-', ..] => memchr(b'\n', rest).map_or(rest.len(), |end| end + 1),
            [b'/', b'*', ..] => memchr::memmem::find(rest, b"*/").map_or(rest.len(), |end| end + 2),
            _ => return at,
        };
        at += skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<(u64, String)> {
        let mut splitter = Splitter::new(text.as_bytes());
        let mut pieces = Vec::new();
        while let Some(piece) = splitter.next().unwrap() {
            pieces.push((piece.line, String::from_utf8(piece.sql.to_vec()).unwrap()));
        }
        pieces
    }

    #[test]
    fn a_semicolon_ends_a_statement_unless_it_is_inside_of_something() {
        let trigger = "CREATE TEMP TRIGGER r AFTER INSERT ON t BEGIN\n  SELECT CASE 1 WHEN 2 THEN ';' END;\n  DELETE FROM t; END;";
        let text = format!(
            "-- a dump; of shop\nSELECT 'a;''b', \"c;d\", [e;f], `g;h`;\n/* ; */ SELECT 1 -- ;\n;;\n{trigger}\nEXPLAIN QUERY PLAN SELECT 1;CREATE TABLE \"end\"(a);SELECT 2"
        );
        let pieces = split(&text);
        let expected = [
            (2, "SELECT 'a;''b', \"c;d\", [e;f], `g;h`;"),
            (3, "SELECT 1 -- ;\n;"),
            (4, ";"),
            (5, trigger),
            (8, "EXPLAIN QUERY PLAN SELECT 1;"),
            (8, "CREATE TABLE \"end\"(a);"),
            (8, "SELECT 2"),
        ];
        let expected = expected.map(|(line, sql)| (line, sql.to_owned()));
        assert_eq!(pieces, expected);
    }

    #[test]
    fn a_text_is_split_alike_however_its_bytes_arrive() {
        let text = "/**/CREATE TRIGGER a UPDATE ON b BEGIN SELECT 1; END;--x\nINSERT INTO t VALUES('it''s; ok',X'00', 1/2, 3-1);\n\u{fe0f}SELECT \"é;\"; BEGIN; END; COMMIT";
        let whole = split(text);
        assert_eq!(whole.len(), 6, "{whole:?}");
        let mut splitter = Splitter::new(text.as_bytes());
        splitter.portion = 1;
        for (line, sql) in whole {
            let piece = splitter.next().unwrap().unwrap();
            assert_eq!((piece.line, piece.sql), (line, sql.as_bytes()));
        }
        assert!(splitter.next().unwrap().is_none());
    }

    #[test]
    fn a_text_that_ends_too_early_says_where() {
        for (text, what) in [
            ("SELECT 1;\nSELECT 'it", "a string"),
            (
                "\n\nCREATE TRIGGER a UPDATE ON b BEGIN SELECT 1;",
                "trigger",
            ),
            ("SELECT 1; /* and", "comment"),
        ] {
            let mut splitter = Splitter::new(text.as_bytes());
            let error = loop {
                match splitter.next() {
                    Ok(piece) => assert!(piece.is_some(), "{text}"),
                    Err(error) => break error.to_string(),
                }
            };
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn a_long_statement_is_one_and_its_memory_is_given_back() {
        let long = format!("INSERT INTO t VALUES(X'{}');\n", "ab".repeat(3 << 20));
        let text = format!("{long}{}", "SELECT 1;\n".repeat(100_000));
        let mut splitter = Splitter::new(text.as_bytes());
        assert_eq!(splitter.next().unwrap().unwrap().sql.len() + 1, long.len());
        let mut count = 0;
        while splitter.next().unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 100_000);
        assert!(splitter.buffer.capacity() <= KEPT_BYTES);
    }
}
