//! Statements that give room back, which run also where there is none.

/// Statements that begin so give room back, or take none.
const MAKE_ROOM: &[&str] = &["delete", "truncate", "drop", "vacuum"];

/// Whether a statement gives room back.
pub(super) fn makes_room(sql: &str) -> bool {
    let sql = sql.trim_start();
    let word = sql.bytes().take_while(u8::is_ascii_alphabetic).count();
    let first = &sql[..word];
    MAKE_ROOM
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_room_back_is_told_by_its_first_word() {
        for sql in [
            "DELETE FROM t",
            " truncate t",
            "drop table t",
            "VACUUM FULL",
            "Vacuum",
        ] {
            assert!(makes_room(sql), "{sql}");
        }
        for sql in [
            "INSERT INTO t",
            "deleted",
            "",
            "/* x */ DELETE FROM t",
            "SELECT 1",
        ] {
            assert!(!makes_room(sql), "{sql}");
        }
    }
}
