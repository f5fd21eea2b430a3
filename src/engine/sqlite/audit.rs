//! SQL on the forge's own history: read-only, and seeing nothing of `control.db` but its views.
//!
//! Each question opens the file for itself: it may have been made anew since the last one, and
//! opening takes less than the questions that people have. In WAL mode a reader never holds up the
//! one who writes; it keeps the WAL from being cut, and its deadline ends that.
use super::open::circuit_breaker::Bench;
use super::readers::reads::finished;
use super::threads::concurrency_limiter::Turns;
use super::threads::on_thread::held;
use super::{Answer, Hold, SqlError, SqliteConnection, TextOf};
use crate::data::{Call, DataPlane, begins_like_a_write};
use crate::engine::sql::Statement;
use crate::engine::sql::{QueryAnswer, QueryError, QueryRequest};
use crate::projections::control_db::{AUDIT_TABLES, AUDIT_VIEWS, ControlDb, EventTexts};
use std::path::Path;
use std::sync::Arc;

/// Questions at once: what people ask of a history reads much of it, and the machine is there for
/// their databases.
const AT_ONCE: usize = 2;
/// Questions that wait for their turn.
const WAITING: usize = 32;

/// Who may ask, and whether a question does not end.
#[derive(Debug)]
pub(crate) struct History {
    turns: Turns,
    bench: Arc<Bench>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            turns: Turns::new("answers about the history", AT_ONCE, WAITING),
            bench: Arc::default(),
        }
    }
}

impl DataPlane {
    /// Runs one statement on the history in `control_db`.
    ///
    /// # Errors
    /// As [`Self::query`]; whatever changes something is [`QueryError::ReadOnly`].
    pub async fn query_history(
        &self,
        control_db: &ControlDb,
        request: QueryRequest,
    ) -> Result<QueryAnswer, QueryError> {
        let call = self.call(&request.options);
        self.refuse_early(&request.sql)?;
        if begins_like_a_write(&request.sql) {
            return Err(QueryError::ReadOnly);
        }
        if let Some(reason) = self.history.bench.reason() {
            return Err(QueryError::Benched { reason });
        }
        let turn = self.history.turns.take(call.deadline).await?;
        let file = control_db.path().to_owned();
        let texts = control_db.event_texts();
        let asked = self.on_thread(&self.history.bench, &call, move |ticket| {
            let answer = ask(&file, texts, request, held(&call, ticket), &call);
            drop(turn); // the next question may go on
            answer
        });
        finished(asked.await?, &call)
    }
}

fn ask(
    control_db: &Path,
    mut texts: EventTexts,
    request: QueryRequest,
    hold: Hold,
    call: &Call,
) -> Result<Answer, SqlError> {
    let text_of = move |sequence, field: &str| {
        let text = texts.field(sequence, field);
        text.map_err(|error| error.to_string())
    };
    let text_of: TextOf = Box::new(text_of);
    let mut views = SqliteConnection::open_views(control_db, AUDIT_VIEWS, AUDIT_TABLES, text_of)?;
    let statement = Statement {
        sql: request.sql.into(),
        params: request.params,
        ..Statement::default()
    };
    views.hold(hold);
    let answer = views.run(&statement, &call.form);
    views.release();
    answer
}
