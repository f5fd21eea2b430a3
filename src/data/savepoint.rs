//! Statements that are kept together or not at all, in a transaction that is open.
use crate::engine::sqlite::{Answer, Form, Hold, SqlError, SqliteConnection, Statement};

/// Runs statements in a savepoint. Where one fails, the savepoint is undone if there still is a
/// transaction; where that fails too, there is none.
///
/// # Errors
/// The first failure, with the place of its statement.
pub(super) fn run_in_savepoint(
    sqlite: &mut SqliteConnection,
    statements: &[Statement],
    form: &Form,
    hold: Hold,
    foreign_keys: ForeignKeys,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    sqlite.command("SAVEPOINT request;").map_err(|it| (0, it))?;
    let result = run_held(sqlite, statements, form, hold, foreign_keys);
    match result {
        Ok(answers) => match sqlite.command("RELEASE request;") {
            Ok(()) => Ok(answers),
            Err(error) => {
                roll_back(sqlite);
                Err((0, error))
            }
        },
        Err(failure) => {
            if !sqlite.is_autocommit() {
                let undone = sqlite
                    .command("ROLLBACK TO request;")
                    .and_then(|()| sqlite.command("RELEASE request;"));
                if undone.is_err() {
                    roll_back(sqlite);
                }
            }
            Err(failure)
        }
    }
}

/// Runs statements without a savepoint. Where one fails, what they have changed is still there.
///
/// # Errors
/// The first failure, with the place of its statement.
pub(super) fn run_held(
    sqlite: &mut SqliteConnection,
    statements: &[Statement],
    form: &Form,
    hold: Hold,
    foreign_keys: ForeignKeys,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    sqlite.hold(hold);
    let result = run_all(sqlite, statements, form);
    sqlite.release();
    let answers = result?;
    if foreign_keys == ForeignKeys::Now && sqlite.has_deferred_violations() {
        // Left alone it would fail the COMMIT of all.
        return Err((statements.len() - 1, broken_foreign_key()));
    }
    Ok(answers)
}

/// When foreign keys that are checked at the end of a transaction have to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ForeignKeys {
    /// Once the statements are through.
    Now,
    /// When the transaction is committed.
    AtCommit,
}

/// Runs statements until one fails; their answers together are held to the bound of one.
pub(super) fn run_all(
    sqlite: &mut SqliteConnection,
    statements: &[Statement],
    form: &Form,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    let mut answers = Vec::with_capacity(statements.len());
    let mut bytes = 0;
    for (index, statement) in statements.iter().enumerate() {
        let answer = sqlite.run(statement, form).map_err(|it| (index, it))?;
        bytes += answer.body.len();
        if index > 0 && bytes > form.max_bytes {
            let limit = format!("{} bytes", form.max_bytes);
            return Err((index, SqlError::ResultTooLarge { limit }));
        }
        answers.push(answer);
    }
    Ok(answers)
}

/// What SQLite says at COMMIT.
pub(super) fn broken_foreign_key() -> SqlError {
    SqlError::Constraint {
        message: "FOREIGN KEY constraint failed".to_owned(),
    }
}

/// Ends the transaction, if SQLite has not done so. Should even that fail, the connection is
/// spoiled and closing it ends the transaction.
pub(super) fn roll_back(sqlite: &mut SqliteConnection) {
    if !sqlite.is_autocommit() && sqlite.command("ROLLBACK;").is_err() {
        sqlite.spoil();
    }
}
