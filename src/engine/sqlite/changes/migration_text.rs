//! What the statements of a migration are: those that run, and those about the transaction that a
//! migration is anyway.
use crate::engine::sqlite::syntax::tokens::{SqlToken, tokens};

/// What becomes of a statement of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Run,
    /// BEGIN, COMMIT and END: the migration is one transaction.
    Skip,
    /// `PRAGMA foreign_keys`: set before the transaction begins.
    ForeignKeys(bool),
    /// `PRAGMA legacy_alter_table`: likewise.
    LegacyAlterTable(bool),
    /// It cannot be done in a transaction, or ends it.
    Refuse(&'static str),
}

/// What becomes of `statement`.
pub(super) fn step(statement: &str) -> Step {
    let tokens = tokens(statement);
    let is = |at: usize, word: &str| {
        let token: Option<&SqlToken> = tokens.get(at);
        token.is_some_and(|token| token.is_word(statement, word))
    };
    if is(0, "BEGIN") || is(0, "COMMIT") || is(0, "END") {
        return Step::Skip;
    }
    if is(0, "ROLLBACK") && !is(1, "TO") && !is(2, "TO") {
        return Step::Refuse(
            "ROLLBACK: a migration is one transaction, which is rolled back when a statement fails",
        );
    }
    if is(0, "VACUUM") {
        return Step::Refuse("VACUUM, which cannot run in a transaction");
    }
    if is(0, "ATTACH") || is(0, "DETACH") {
        return Step::Refuse("ATTACH and DETACH; a migration is for one database");
    }
    if !is(0, "PRAGMA") {
        return Step::Run;
    }
    let name_at = match tokens.get(2) {
        Some(dot) if dot.is_sign(b'.') => 3,
        _ => 1,
    };
    let Some(name) = tokens.get(name_at) else {
        return Step::Run;
    };
    let name = name.name(statement).to_ascii_lowercase();
    let value = tokens.get(name_at + 2).map(|value| value.name(statement));
    match (name.as_str(), value) {
        ("foreign_keys", Some(value)) => Step::ForeignKeys(is_on(&value)),
        ("legacy_alter_table", Some(value)) => Step::LegacyAlterTable(is_on(&value)),
        ("journal_mode" | "synchronous" | "locking_mode", Some(_)) => Step::Skip,
        _ => Step::Run,
    }
}

/// The table that a statement drops.
pub(super) fn dropped_table(statement: &str) -> Option<String> {
    let tokens = tokens(statement);
    let words = |words: &[&str]| {
        let mut words = words.iter().enumerate();
        words.all(|(at, word)| tokens.get(at).is_some_and(|it| it.is_word(statement, word)))
    };
    let has_table = words(&["DROP", "TABLE"]);
    has_table.then(|| tokens.last().map(|name| lower_name(name, statement)))?
}

/// The name that a statement gives to a table.
pub(super) fn given_name(statement: &str) -> Option<String> {
    let tokens = tokens(statement);
    let [.., rename, to, name] = tokens.as_slice() else {
        return None;
    };
    let is_rename = tokens
        .first()
        .is_some_and(|it| it.is_word(statement, "ALTER"))
        && rename.is_word(statement, "RENAME")
        && to.is_word(statement, "TO");
    is_rename.then(|| lower_name(name, statement))
}

fn lower_name(name: &SqlToken, statement: &str) -> String {
    name.name(statement).to_ascii_lowercase()
}

/// What SQLite takes for *on*.
fn is_on(value: &str) -> bool {
    let is = |word: &str| value.eq_ignore_ascii_case(word);
    is("on")
        || is("yes")
        || is("true")
        || value.parse::<i64>().is_ok_and(|number| number & 0xff != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_about_the_transaction_are_told_from_those_that_run() {
        for (statement, becomes) in [
            ("BEGIN", Step::Skip),
            ("begin immediate transaction", Step::Skip),
            ("/* x */ COMMIT", Step::Skip),
            ("END TRANSACTION", Step::Skip),
            ("PRAGMA foreign_keys=OFF", Step::ForeignKeys(false)),
            ("pragma main.Foreign_Keys ( 1 )", Step::ForeignKeys(true)),
            ("PRAGMA foreign_keys = 'off'", Step::ForeignKeys(false)),
            ("PRAGMA foreign_keys", Step::Run),
            ("PRAGMA defer_foreign_keys=ON", Step::Run),
            ("PRAGMA legacy_alter_table=ON", Step::LegacyAlterTable(true)),
            ("PRAGMA journal_mode = WAL", Step::Skip),
            ("SAVEPOINT a", Step::Run),
            ("ROLLBACK TO a", Step::Run),
            ("ROLLBACK TRANSACTION TO SAVEPOINT a", Step::Run),
            ("CREATE TABLE begin_x (a)", Step::Run),
            ("\"BEGIN\"", Step::Run),
        ] {
            assert_eq!(step(statement), becomes, "{statement}");
        }
        for statement in ["ROLLBACK", "VACUUM INTO 'x'", "ATTACH 'a' AS b"] {
            assert!(matches!(step(statement), Step::Refuse(_)), "{statement}");
        }
    }
}
