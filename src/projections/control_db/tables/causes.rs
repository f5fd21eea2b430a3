//! Why an event happened: the chain of causes, up to the request at its beginning.
use crate::domain::ids::Sequence;
use crate::projections::control_db::listing::{sequence_in, stored};
use crate::projections::control_db::storage::StorageError;
use rusqlite::{Connection, Row};

/// Most causes that are told of one event. Chains are short: a step of a job is caused by the
/// command that asked for the job, that by a plan, that by an undo.
pub const MAX_CAUSES: usize = 32;

/// An event that caused another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Its place in the log.
    pub sequence: Sequence,
    /// When it happened, as text.
    pub time: String,
    /// Which thing happened: `job_enqueued`.
    pub kind: String,
    /// The actor who caused it.
    pub actor: String,
    /// The request that caused it.
    pub request_id: String,
    /// The event that caused it in turn.
    pub causation: Option<Sequence>,
}

/// A cause is always earlier than what it caused, so the walk ends by itself.
const WALK: &str = "
    WITH RECURSIVE chain (sequence, depth) AS (
        SELECT causation, 1 FROM events WHERE sequence = ?1
        UNION ALL
        SELECT causation, depth + 1
        FROM chain JOIN events USING (sequence)
        WHERE depth < ?2
    )
    SELECT events.sequence, time, kind, actor, request_id, causation
    FROM chain JOIN events USING (sequence)
    ORDER BY depth";

/// The causes of the event with this sequence, the nearest first.
pub(crate) fn of(connection: &Connection, sequence: Sequence) -> Result<Vec<Cause>, StorageError> {
    let mut statement = connection.prepare_cached(WALK)?;
    let mut rows = statement.query((stored(sequence.0), stored(MAX_CAUSES as u64)))?;
    let mut causes = Vec::new();
    while let Some(row) = rows.next()? {
        causes.push(cause_in(row)?);
    }
    Ok(causes)
}

fn cause_in(row: &Row<'_>) -> Result<Cause, StorageError> {
    let is_first = row.get_ref(5)? == rusqlite::types::ValueRef::Null;
    Ok(Cause {
        sequence: sequence_in(row, 0)?,
        time: row.get(1)?,
        kind: row.get(2)?,
        actor: row.get(3)?,
        request_id: row.get(4)?,
        causation: (!is_first).then(|| sequence_in(row, 5)).transpose()?,
    })
}
