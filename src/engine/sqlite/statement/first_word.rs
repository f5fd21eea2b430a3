//! Guesses from the first word of a statement what it does.

/// Whether to try the line of writes first. A guess that saves a detour: a reader refuses what
/// writes, and the line takes what reads.
pub(crate) fn begins_like_a_write(sql: &str) -> bool {
    const WORDS: &[&str] = &[
        "insert", "update", "delete", "replace", "create", "drop", "alter", "reindex", "analyze",
    ];
    begins_with(sql, WORDS)
}

/// Whether it is certain to change nothing, whatever stands behind its first word.
pub(crate) fn begins_like_a_read(sql: &str) -> bool {
    begins_with(sql, &["select", "values", "explain"])
}

/// Whether it is `PRAGMA optimize`, which a reader answers without doing anything.
pub(crate) fn optimizes(sql: &str) -> bool {
    let Some((pragma, rest)) = without_comments(sql).split_at_checked("pragma".len()) else {
        return false;
    };
    let name = rest.trim_start().to_ascii_lowercase();
    let name = name.strip_prefix("main.").unwrap_or(&name);
    pragma.eq_ignore_ascii_case("pragma") && name.starts_with("optimize")
}

/// A statement from its first word on: behind what is blank, comments and statements of nothing.
fn without_comments(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        let behind = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n')
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/")
        } else if let Some(empty) = rest.strip_prefix(';') {
            Some(("", empty))
        } else {
            return rest;
        };
        // A comment without an end is all that there is.
        let Some((_, behind)) = behind else { return "" };
        rest = behind.trim_start();
    }
}

/// Whether the first word of a statement is one of these.
pub(crate) fn begins_with(sql: &str, words: &[&str]) -> bool {
    let first = first_word(sql);
    words.iter().any(|word| first.eq_ignore_ascii_case(word))
}

/// The first word of a statement, behind comments and statements of nothing.
fn first_word(sql: &str) -> &str {
    let rest = without_comments(sql);
    let end = rest.bytes().position(|byte| !byte.is_ascii_alphabetic());
    &rest[..end.unwrap_or(rest.len())]
}

/// A statement without the semicolons at its end.
pub(crate) fn without_end(sql: &str) -> &str {
    sql.trim_end_matches(|last: char| last == ';' || last.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_sent_by_its_first_word() {
        for write in [
            "INSERT INTO t VALUES (1)",
            " \n delete from t",
            "Create\tTable x(a)",
            "-- why\n /* and; */ ;DROP TABLE t",
        ] {
            assert!(begins_like_a_write(write), "{write}");
        }
        for read in [
            "SELECT 1",
            "",
            "with x as (select 1) insert into t select * from x",
            "INSERTED",
            "-- insert",
            "/* insert",
            "/* insert */ select 1",
        ] {
            assert!(!begins_like_a_write(read), "{read}");
        }
    }

    #[test]
    fn the_first_word_is_behind_comments_and_empty_statements() {
        for text in ["SELECT 1", " \n;/* a; */ -- b\nSELECT'x'", "SELECT"] {
            assert_eq!(first_word(text), "SELECT", "{text}");
        }
        for text in ["", " ; -- only", "/* open", "'SELECT'", "1"] {
            assert_eq!(first_word(text), "", "{text}");
        }
    }
}
