//! Pieces of SQL that clients send: a type, a default, a constraint, a condition.

/// Whether `sql` is one piece: put between commas or parentheses of a statement, it stays there.
///
/// Its quotes and parentheses are closed, and outside of them it has no comma. It has no comment,
/// no end of a statement and no parameter.
pub(super) fn is_one_piece(sql: &str) -> bool {
    let bytes = sql.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let behind = &bytes[at + 1..];
        at += 1;
        match byte {
            b'\'' | b'"' | b'`' | b'[' => {
                // A doubled quote is the end of one text and the beginning of the next.
                let end = if byte == b'[' { b']' } else { byte };
                match memchr::memchr(end, behind) {
                    Some(length) => at += length + 1,
                    None => return false,
                }
            }
            b'(' => depth += 1,
            b')' => match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            },
            b',' if depth == 0 => return false,
            b';' | b'?' | b':' | b'@' | b'$' | b'#' | b'\0' => return false,
            b'-' if behind.first() == Some(&b'-') => return false,
            b'/' if behind.first() == Some(&b'*') => return false,
            _ => {}
        }
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_leave_its_place_in_a_statement_is_no_piece() {
        for sql in [
            "INT); DROP TABLE t; --",
            "INT, evil INT",
            "1) STRICT",
            "'it's'",
            "\"a",
            "[a",
            "`a",
            "(1",
            "1 -- why",
            "1 /* why */",
            "1; SELECT 2",
            "?",
            ":a",
            "@a",
            "($a(()), evil INT)",
            "a\0b",
        ] {
            assert!(!is_one_piece(sql), "{sql}");
        }
    }

    #[test]
    fn what_stays_in_its_place_is_a_piece() {
        for sql in [
            "",
            "TEXT",
            "DECIMAL(10,2) CHECK(v>0)",
            "INTEGER PRIMARY KEY AUTOINCREMENT",
            "'it''s; -- (or ?)'",
            "[odd ' name]",
            "(datetime('now'))",
            "-5",
            "a - -1 / 2",
            "price > 100 AND name LIKE 'a%'",
        ] {
            assert!(is_one_piece(sql), "{sql}");
        }
    }
}
