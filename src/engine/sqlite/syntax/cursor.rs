//! A place among the tokens of a text.
use super::tokens::{SqlToken, tokens};
use std::borrow::Cow;
use std::ops::Range;

/// Reads tokens one after another.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'t> {
    text: &'t str,
    tokens: Vec<SqlToken>,
    at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            tokens: tokens(text),
            at: 0,
        }
    }

    /// The token that comes after `ahead` others.
    fn peek(&self, ahead: usize) -> Option<&SqlToken> {
        self.tokens.get(self.at + ahead)
    }

    /// The next token, which is passed.
    pub(super) fn next(&mut self) -> Option<SqlToken> {
        let token = self.tokens.get(self.at).cloned();
        self.at += usize::from(token.is_some());
        token
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    pub(super) fn sees_word(&self, word: &str) -> bool {
        self.sees_words(&[word])
    }

    /// Whether these bare words come next.
    pub(super) fn sees_words(&self, words: &[&str]) -> bool {
        let sees = |(ahead, word): (usize, &&str)| {
            let token = self.peek(ahead);
            token.is_some_and(|token| token.is_word(self.text, word))
        };
        words.iter().enumerate().all(sees)
    }

    pub(super) fn sees_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.sees_word(word))
    }

    pub(super) fn sees_sign(&self, sign: u8) -> bool {
        self.peek(0).is_some_and(|token| token.is_sign(sign))
    }

    /// Passes these bare words, if they come next.
    pub(super) fn pass_words(&mut self, words: &[&str]) -> bool {
        let sees = self.sees_words(words);
        if sees {
            self.at += words.len();
        }
        sees
    }

    pub(super) fn pass_word(&mut self, word: &str) -> bool {
        self.pass_words(&[word])
    }

    pub(super) fn pass_sign(&mut self, sign: u8) -> bool {
        let sees = self.sees_sign(sign);
        self.at += usize::from(sees);
        sees
    }

    /// Passes a name, if anything but a sign comes next.
    pub(super) fn pass_name(&mut self) -> Option<(Cow<'t, str>, Range<usize>)> {
        use super::tokens::TokenKind;
        let token = self.peek(0)?.clone();
        if !matches!(
            token.kind,
            TokenKind::Word | TokenKind::QuotedName | TokenKind::Text
        ) {
            return None;
        }
        self.at += 1;
        Some((token.name(self.text), token.place))
    }

    /// Passes what is in parentheses, if they come next, and tells where it is, without them.
    pub(super) fn pass_parentheses(&mut self) -> Option<Range<usize>> {
        if !self.sees_sign(b'(') {
            return None;
        }
        let begin = self.next()?.place.end;
        let mut depth = 1_usize;
        while let Some(token) = self.next() {
            depth += usize::from(token.is_sign(b'('));
            depth -= usize::from(token.is_sign(b')'));
            if depth == 0 {
                return Some(begin..token.place.start);
            }
        }
        None
    }

    /// Where the next token begins; the end of the text when there is none.
    pub(super) fn begin(&self) -> usize {
        self.peek(0)
            .map_or(self.text.len(), |token| token.place.start)
    }

    /// Where the last token ended.
    pub(super) fn end(&self) -> usize {
        let last = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        last.map_or(0, |token| token.place.end)
    }
}
