//! What a statement may do, told from its words.
use super::known_functions::is_known;
use super::tokens::{Token, tokens};

/// What a statement may do. A guess on the safe side: what is not known may do anything that the
/// role may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Nature {
    /// It only reads, and calls nothing that could do more.
    pub(in super::super) only_reads: bool,
    /// It may change something and return rows, so that its answer may be refused when it has run.
    pub(in super::super) is_undone_with_its_answer: bool,
    /// It may be part of a transaction.
    pub(in super::super) fits_a_transaction: bool,
    /// What it may leave in its session.
    pub(in super::super) remains: Remains,
    /// It begins or ends transactions or savepoints, by its first word in capitals.
    pub(in super::super) control: Option<&'static str>,
    /// It reads or writes a stream of its client's.
    pub(in super::super) is_copy: bool,
    /// It begins as a statement that reads does.
    pub(in super::super) begins_like_a_read: bool,
}

/// What a statement may leave in its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Remains {
    Nothing,
    /// Settings, locks, cursors and the like, but no prepared statements.
    Settings,
    /// All that a session can keep, prepared statements too.
    Anything,
}

/// First words of statements that begin or end transactions.
const CONTROL: &[&str] = &[
    "ABORT",
    "BEGIN",
    "COMMIT",
    "END",
    "PREPARE",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "START",
];

impl Nature {
    /// Of one statement.
    pub(in super::super) fn of(sql: &str) -> Self {
        let mut words = tokens(sql).filter(|(token, _)| *token != Token::Semicolon);
        // In front there may be parentheses: `(SELECT 1) UNION …`.
        let first = words.find(|(token, _)| *token != Token::Open);
        let first = first.map_or("", |(_, word)| word).to_ascii_lowercase();
        let mut seen = Seen::default();
        for token in words {
            seen.token(token);
        }
        let control = CONTROL.iter().find(|word| first.eq_ignore_ascii_case(word));
        let control = control.copied();
        // `PREPARE x AS …` prepares a statement; `PREPARE TRANSACTION` is refused by the server.
        let control = control.filter(|word| *word != "PREPARE");
        let begins_like_a_read = matches!(
            first.as_str(),
            "select" | "values" | "table" | "with" | "show" | "explain"
        );
        let is_query = begins_like_a_read
            || matches!(first.as_str(), "insert" | "update" | "delete" | "merge");
        let changes = seen.changes || !begins_like_a_read;
        let only_reads = begins_like_a_read && !changes && !seen.calls_others && !seen.locks;
        Self {
            only_reads,
            is_undone_with_its_answer: match first.as_str() {
                "select" | "values" | "table" | "with" | "explain" => !only_reads,
                "insert" | "update" | "delete" | "merge" => seen.returns || seen.calls_others,
                "call" | "do" | "execute" => true,
                _ => false,
            },
            fits_a_transaction: is_query || matches!(first.as_str(), "call" | "do" | "execute"),
            remains: match (
                is_query,
                seen.calls_others || seen.changes && first == "select",
            ) {
                (true, false) => Remains::Nothing,
                (true, true) => Remains::Settings,
                (false, _) => Remains::Anything,
            },
            control,
            is_copy: first == "copy",
            begins_like_a_read,
        }
    }
}

#[derive(Debug)]
struct Seen<'t> {
    /// A word that changes something: part of WITH or EXPLAIN, or SELECT INTO.
    changes: bool,
    locks: bool,
    returns: bool,
    /// It calls functions that are not known.
    calls_others: bool,
    before: (Token, &'t str),
    /// What stood in front of the name before, and whether that has a schema.
    in_front: (Token, &'t str),
    is_qualified: bool,
}

impl Default for Seen<'_> {
    fn default() -> Self {
        Self {
            changes: false,
            locks: false,
            returns: false,
            calls_others: false,
            before: (Token::Other, ""),
            in_front: (Token::Other, ""),
            is_qualified: false,
        }
    }
}

impl<'t> Seen<'t> {
    fn token(&mut self, (token, word): (Token, &'t str)) {
        let (kind_before, before) = self.before;
        let is = |other: &str| token == Token::Word && word.eq_ignore_ascii_case(other);
        let was = |other: &str| kind_before == Token::Word && before.eq_ignore_ascii_case(other);
        match token {
            // The columns of INSERT INTO t(…) are no call.
            Token::Open if self.in_front.1.eq_ignore_ascii_case("into") => {}
            Token::Open => {
                self.calls_others |= match kind_before {
                    Token::Word => self.is_qualified || !is_known(before),
                    Token::Name => true,
                    _ => false,
                };
            }
            Token::Word | Token::Name if kind_before == Token::Dot => self.is_qualified = true,
            Token::Word | Token::Name => {
                self.is_qualified = false;
                self.in_front = self.before;
            }
            _ => {}
        }
        let changes = ["insert", "update", "delete", "merge", "into"];
        self.changes |= !was("for") && changes.iter().any(|it| is(it));
        // FOR UPDATE, FOR SHARE, FOR NO KEY UPDATE
        self.locks |= was("for") && ["update", "share", "no", "key"].iter().any(|it| is(it));
        self.returns |= is("returning");
        self.before = (token, word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_only_reads_is_known_by_its_words() {
        for reads in [
            "SELECT 1",
            "select count(*), lower(name) from t where id in (1, 2)",
            "WITH x AS (SELECT 1) SELECT * FROM x",
            "VALUES (1)",
            "-- update\n (SELECT 'delete (now)')",
            "EXPLAIN SELECT 1",
        ] {
            let nature = Nature::of(reads);
            assert!(nature.only_reads, "{reads}");
            assert_eq!(nature.remains, Remains::Nothing, "{reads}");
        }
        for more in [
            "SELECT set_config('a.b', 'c', false)",
            "SELECT \"f\"(1)",
            "SELECT public.count(1), f (2)",
            "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
            "SELECT * INTO TEMP y FROM t",
            "SELECT * FROM t FOR UPDATE",
            "INSERT INTO t VALUES (1)",
            "CREATE TABLE t (a int)",
            "EXPLAIN ANALYZE INSERT INTO t VALUES (1)",
            "",
        ] {
            assert!(!Nature::of(more).only_reads, "{more}");
        }
    }

    #[test]
    fn what_a_statement_leaves_in_its_session_is_told_by_its_first_word_and_its_calls() {
        for (sql, remains) in [
            ("INSERT INTO t VALUES ($1) RETURNING id", Remains::Nothing),
            (
                "INSERT INTO s.t (a, \"b\") VALUES ($1, $2)",
                Remains::Nothing,
            ),
            ("UPDATE t SET a = f(a)", Remains::Settings),
            ("SELECT * INTO TEMP y FROM t", Remains::Settings),
            ("SET search_path = x", Remains::Anything),
            ("PREPARE x AS SELECT 1", Remains::Anything),
            ("DO $$ BEGIN END $$", Remains::Anything),
        ] {
            assert_eq!(Nature::of(sql).remains, remains, "{sql}");
        }
        assert_eq!(Nature::of("begin").control, Some("BEGIN"));
        assert_eq!(Nature::of("/* */ Commit").control, Some("COMMIT"));
        assert_eq!(Nature::of("PREPARE x AS SELECT 1").control, None);
        assert!(Nature::of("copy t to stdout").is_copy);
    }
}
