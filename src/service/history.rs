//! Looks back: the state at earlier moments, and SQL on the history.
use super::Service;
use super::caller::{AccessDenied, Caller};
use super::freshness::FreshnessError;
use super::sql::{InvalidOption, check_options};
use crate::clock::timestamp::Timestamp;
use crate::control::CurrentState;
use crate::control::past::{Moment, fold_on};
use crate::data::{QueryAnswer, QueryError, QueryRequest};
use crate::domain::ids::Sequence;
use crate::domain::state::State;
use crate::event_log::ReadError;
use crate::projections::control_db;
use std::time::Duration;

/// The longest that a rebuild waits for its turn.
const TURN_WAIT: Duration = Duration::from_secs(10);

/// Why an earlier state cannot be shown.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PastError {
    /// The moment is still to come.
    #[error("that is in the future: the last event is {head}, the time is {now}")]
    NotYet {
        /// The last event.
        head: Sequence,
        /// The time.
        now: Timestamp,
    },
    /// The later moment lies before the earlier one.
    #[error("`to` is before `from`")]
    Reversed,
    /// Too many earlier states are being rebuilt.
    #[error("too many past states are being rebuilt; retry later")]
    TooMany,
    /// The log could not be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// The thread that rebuilt it ended early.
    #[error("rebuilding a past state was interrupted: {0}")]
    Interrupted(String),
}

/// Why a question to the history has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// The caller may not see the whole history.
    #[error(transparent)]
    Denied(#[from] AccessDenied),
    /// An option lies outside of its bounds.
    #[error(transparent)]
    Option(#[from] InvalidOption),
    /// The history is not there yet.
    #[error(transparent)]
    Fresh(#[from] FreshnessError),
    /// The file that holds the history is being built again.
    #[error(transparent)]
    Lists(#[from] control_db::ListError),
    /// The statement fails.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl Service {
    /// The states at these moments, each not before the one in front of it.
    ///
    /// # Errors
    /// When a moment is still to come, too many rebuilds wait, or the log cannot be read.
    pub async fn past<const N: usize>(
        &self,
        current: &CurrentState,
        moments: [Moment; N],
    ) -> Result<[State; N], PastError> {
        for moment in moments {
            self.check_is_past(current, moment)?;
        }
        let turn = tokio::time::timeout(TURN_WAIT, self.rebuilds.take()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(PastError::TooMany);
        };
        let log = self.control.log().clone();
        let rebuild = move || {
            // Held until the rebuild ends, even if the request was aborted.
            let _turn = turn;
            let mut state = State::default();
            let mut states = [const { None }; N];
            for (moment, place) in moments.into_iter().zip(&mut states) {
                if !fold_on(log.as_ref(), &mut state, moment)? {
                    return Err(PastError::Reversed);
                }
                *place = Some(state.clone());
            }
            Ok(states.map(|it| it.expect("every place was filled")))
        };
        let states = tokio::task::spawn_blocking(rebuild).await;
        states.map_err(|error| PastError::Interrupted(error.to_string()))?
    }

    /// Runs one statement that reads on the history, once that has reached `min_sequence`. Returns
    /// the last event that the answer has seen as well.
    ///
    /// # Errors
    /// When the caller may not, an option is out of bounds, the history is not there in time, or the statement fails.
    pub async fn query_history(
        &self,
        caller: &Caller,
        min_sequence: Option<Sequence>,
        request: QueryRequest,
    ) -> Result<(QueryAnswer, Sequence), AuditError> {
        caller.require_audit()?;
        check_options(&request.options, self.data.config())?;
        let current = self.listed_at(min_sequence).await?;
        let asked = self.data.query_history(&self.control_db, request);
        let answer = self.control_db.whole(asked).await??;
        Ok((answer, current.head.sequence))
    }

    fn check_is_past(&self, current: &CurrentState, moment: Moment) -> Result<(), PastError> {
        let head = current.head.sequence;
        let now = self.control.clock().now().max(current.head.time);
        let is_past = match moment {
            Moment::Sequence(it) => it <= head,
            Moment::Time(it) => it <= now,
        };
        if is_past {
            return Ok(());
        }
        Err(PastError::NotYet { head, now })
    }
}
