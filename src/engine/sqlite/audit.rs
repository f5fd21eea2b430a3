//! SQL that sees nothing but views of a file of the gateway's own: read-only.
//!
//! Each question opens the file for itself: it may have been made anew since the last one, and
//! opening takes less than the questions that people have. In WAL mode a reader never holds up the
//! one who writes; it keeps the WAL from being cut, and its deadline ends that.
use super::executor::SqliteExecutor;
use super::readers::reads::finished;
use super::sandbox::audit_role::TextOf;
use super::sandbox::execution_limits::ExecutionLimits;
use super::statement::first_word::begins_like_a_write;
use super::threads::on_thread::limits_of;
use super::{Answer, SqlError, SqliteConnection};
use crate::engine::sql::executor::Call;
use crate::engine::sql::{QueryAnswer, QueryError, Statement};
use std::fmt;
use std::path::PathBuf;

/// Views of a file, which are all that SQL sees of it.
pub struct Views {
    /// The file.
    pub file: PathBuf,
    /// What makes the views: temporary ones of the tables' names.
    pub views: &'static str,
    /// The tables that they show.
    pub tables: &'static [&'static str],
    /// Answers the views' function `text_of(key, field)`.
    pub text_of: TextOf,
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Views")
            .field("file", &self.file)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

impl SqliteExecutor {
    /// Runs one statement on `views`.
    ///
    /// # Errors
    /// As [`Self::query`]; whatever changes something is [`QueryError::ReadOnly`].
    pub async fn query_views(
        &self,
        views: Views,
        call: &Call,
        statement: Statement,
    ) -> Result<QueryAnswer, QueryError> {
        if begins_like_a_write(&statement.sql) {
            return Err(QueryError::ReadOnly);
        }
        if let Some(reason) = self.audit_breaker.reason() {
            return Err(QueryError::Unavailable { reason });
        }
        let turn = self.audit_turns.take(call.deadline).await?;
        let call_of_it = *call;
        let asked = self.on_thread(&self.audit_breaker, call, move |cancellation| {
            let answer = ask(
                views,
                &statement,
                limits_of(&call_of_it, cancellation),
                &call_of_it,
            );
            drop(turn); // the next question may go on
            answer
        });
        finished(asked.await?, call)
    }
}

fn ask(
    views: Views,
    statement: &Statement,
    limits: ExecutionLimits,
    call: &Call,
) -> Result<Answer, SqlError> {
    let Views {
        file,
        views,
        tables,
        text_of,
    } = views;
    let mut views = SqliteConnection::open_views(&file, views, tables, text_of)?;
    views.set_limits(limits);
    let answer = views.run(statement, &call.form);
    views.clear_limits();
    answer
}
