//! Earlier moments of the history, folded off the threads that answer requests.
use super::Gateway;
use super::response::error::{ErrorCode, Problem};
use crate::control::Present;
use crate::control::past::{Moment, fold_on};
use crate::domain::ids::Sequence;
use crate::domain::state::State;
use std::sync::Arc;
use std::time::Duration;

/// Folds at once: each keeps a core and the log's reader busy, and commands need both.
pub(super) const FOLDS: usize = 1;

/// Folds that may wait for their turn.
pub(super) const WAITING: usize = 64;

/// The longest that a fold waits for its turn.
const TURN_WAIT: Duration = Duration::from_secs(10);

/// What the query parameter `name` says: a sequence or a time.
///
/// # Errors
/// When it is neither.
pub(super) fn moment(name: &str, text: &str) -> Result<Moment, Problem> {
    let sequence = text.parse().map(|it| Moment::Sequence(Sequence(it)));
    sequence
        .or_else(|_| text.parse().map(Moment::Time))
        .map_err(|_| {
            Problem::invalid(format!("`{name}` is neither a sequence nor a time."))
                .hint("a sequence is a whole number such as 42, a time 2026-03-01T12:00:00Z")
        })
}

impl Gateway {
    /// The states at these moments, each not before the one in front of it.
    ///
    /// # Errors
    /// When a moment is still to come, too many folds wait, or the log cannot be read.
    pub(super) async fn past<const N: usize>(
        self: &Arc<Self>,
        present: &Present,
        moments: [Moment; N],
    ) -> Result<[State; N], Problem> {
        for moment in moments {
            self.check_is_past(present, moment)?;
        }
        let turn = tokio::time::timeout(TURN_WAIT, self.folds.take()).await;
        let Ok(Ok(turn)) = turn else {
            let detail = "Too many earlier states are being folded; try again.";
            return Err(Problem::new(ErrorCode::Overloaded, detail));
        };
        let log = self.control.log().clone();
        let fold = move || {
            // Held until the fold has ended, whoever has gone away meanwhile.
            let _turn = turn;
            let mut state = State::default();
            let mut states = [const { None }; N];
            for (moment, place) in moments.into_iter().zip(&mut states) {
                if !fold_on(log.as_ref(), &mut state, moment).map_err(Problem::internal)? {
                    let detail = "`to` lies before `from`.";
                    return Err(Problem::invalid(detail).hint("exchange them"));
                }
                *place = Some(state.clone());
            }
            Ok(states.map(|it| it.expect("every place was filled")))
        };
        let states = tokio::task::spawn_blocking(fold).await;
        states.map_err(Problem::internal)?
    }

    fn check_is_past(&self, present: &Present, moment: Moment) -> Result<(), Problem> {
        let head = present.head.sequence;
        let now = self.control.clock().now().max(present.head.time);
        let is_past = match moment {
            Moment::Sequence(it) => it <= head,
            Moment::Time(it) => it <= now,
        };
        if is_past {
            return Ok(());
        }
        let detail = format!("The history ends at event {head}, and it is {now}.");
        Err(Problem::new(ErrorCode::EventNotFound, detail)
            .hint("leave `at` out for the present state"))
    }
}
