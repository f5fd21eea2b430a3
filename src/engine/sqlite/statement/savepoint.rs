//! Statements that are kept together or not at all, in a transaction that is open.
use crate::engine::sql::{Form, Keep, Statement};
use crate::engine::sqlite::{Answer, ExecutionLimits, SqlError, SqliteConnection};

/// Runs statements in a savepoint. Where one fails, the savepoint is undone if there still is a
/// transaction; where that fails too, there is none.
///
/// # Errors
/// The first failure, with the place of its statement.
pub(crate) fn run_in_savepoint(
    sqlite: &mut SqliteConnection,
    statements: &[Statement],
    form: &Form,
    limits: ExecutionLimits,
    foreign_keys: ForeignKeys,
    keep: Keep,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    in_savepoint(sqlite, |sqlite| {
        let answers = run_held(sqlite, statements, form, limits, foreign_keys)?;
        let affected = answers.iter().map(|answer| answer.rows_affected).sum();
        match keep.most_affected {
            Some(most) if affected > most => {
                return Err((0, SqlError::TooManyAffected { affected, most }));
            }
            _ => {}
        }
        let end = match keep.is_kept {
            true => End::Release,
            false => End::Undo,
        };
        Ok((answers, end))
    })
}

/// What becomes of the savepoint of statements that ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Release,
    /// What was changed in it is taken back.
    Undo,
    /// It stays until the transaction ends.
    Leave,
}

/// Does `work` in a savepoint, as [`run_in_savepoint`] does.
///
/// # Errors
/// Those of `work`.
pub(crate) fn in_savepoint<T>(
    sqlite: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> Result<(T, End), (usize, SqlError)>,
) -> Result<T, (usize, SqlError)> {
    sqlite
        .command("SAVEPOINT request;")
        .map_err(|error| (0, error))?;
    match work(sqlite) {
        Ok((answers, End::Leave)) => Ok(answers),
        Ok((answers, End::Release)) => match sqlite.command("RELEASE request;") {
            Ok(()) => Ok(answers),
            Err(error) => {
                roll_back(sqlite);
                Err((0, error))
            }
        },
        Ok((answers, End::Undo)) => {
            undo(sqlite);
            Ok(answers)
        }
        Err(failure) => {
            if !sqlite.is_autocommit() {
                undo(sqlite);
            }
            Err(failure)
        }
    }
}

/// Takes back what was changed since the savepoint; the whole transaction, where that fails.
fn undo(sqlite: &mut SqliteConnection) {
    let undone = sqlite
        .command("ROLLBACK TO request;")
        .and_then(|()| sqlite.command("RELEASE request;"));
    if undone.is_err() {
        roll_back(sqlite);
    }
}

/// Runs statements without a savepoint. Where one fails, what they have changed is still there.
///
/// # Errors
/// The first failure, with the place of its statement.
pub(crate) fn run_held(
    sqlite: &mut SqliteConnection,
    statements: &[Statement],
    form: &Form,
    limits: ExecutionLimits,
    foreign_keys: ForeignKeys,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    sqlite.set_limits(limits);
    let mut broken_by = None;
    let result = run_all(sqlite, statements, form, |sqlite, index| {
        let answer = sqlite.run(&statements[index], form)?;
        if foreign_keys == ForeignKeys::Now {
            let is_broken = sqlite.has_deferred_violations();
            broken_by = is_broken.then(|| broken_by.unwrap_or(index));
        }
        Ok(answer)
    });
    sqlite.clear_limits();
    match broken_by {
        // Left alone it would fail the COMMIT of all.
        Some(index) if result.is_ok() => Err((index, SqlError::DeferredForeignKey)),
        _ => result,
    }
}

/// When foreign keys that are checked at the end of a transaction have to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForeignKeys {
    /// Once the statements are through.
    Now,
    /// When the transaction is committed.
    AtCommit,
}

/// Runs statements by their places until one fails; their answers together are held to the bound of
/// one.
pub(crate) fn run_all(
    sqlite: &mut SqliteConnection,
    statements: &[Statement],
    form: &Form,
    mut run: impl FnMut(&mut SqliteConnection, usize) -> Result<Answer, SqlError>,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    let mut answers = Vec::with_capacity(statements.len());
    let mut bytes = 0;
    for index in 0..statements.len() {
        let answer = run(sqlite, index).map_err(|error| (index, error))?;
        bytes += answer.body.len();
        if index > 0 && bytes > form.max_bytes {
            let limit = format!("{} bytes", form.max_bytes);
            return Err((index, SqlError::ResultTooLarge { limit }));
        }
        answers.push(answer);
    }
    Ok(answers)
}

/// Ends the transaction, if SQLite has not done so. Should even that fail, the connection is
/// spoiled and closing it ends the transaction.
pub(crate) fn roll_back(sqlite: &mut SqliteConnection) {
    if !sqlite.is_autocommit() && sqlite.command("ROLLBACK;").is_err() {
        sqlite.spoil();
    }
}
