//! The tables `databases` and `labels`: every database there ever was.
use crate::clock::timestamp::Timestamp;
use crate::domain::database::{Database, DatabaseState};
use crate::domain::event::Event;
use crate::domain::event::recorded::RecordedEvent;
use crate::domain::ids::{DatabaseId, Sequence};
use crate::domain::name::name_key;
use crate::projections::control_db::listing::page::{Order, Page, Window};
use crate::projections::control_db::listing::{Listing, find, sequence_in, stored};
use crate::projections::control_db::storage::StorageError;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, named_params};

/// Which databases are wanted; what is `None` does not matter. Those that were purged or
/// abandoned are never listed.
#[derive(Debug, Clone, Default)]
pub struct DatabaseFilter {
    /// Those in this state at a moment: whether a time to live has ended, the clock says.
    pub state: Option<(DatabaseState, Timestamp)>,
    /// Those that carry one of these labels, key and value; any where there is none.
    pub labels: Vec<(String, String)>,
    /// Those with this in their name, without regard to case.
    pub name_part: Option<String>,
    /// Which way.
    pub order: Order,
}

/// A database and what the rules do not keep of it.
#[derive(Debug)]
pub(crate) struct DatabaseRow {
    requested: Sequence,
    database: Database,
    removed: Option<Removal>,
}

#[derive(Debug)]
struct Removal {
    state: String,
    at: Timestamp,
}

impl DatabaseRow {
    /// The row that an event begins, where it begins one.
    pub(crate) fn begun_by(recorded: &RecordedEvent) -> Option<Self> {
        let database = if let Event::DatabaseRequested(it) = &recorded.event {
            Database::begun_by(it, recorded)
        } else if let Event::DatabaseKept(it) = &recorded.event {
            Database::kept_by(it, recorded)
        } else {
            return None;
        };
        Some(Self {
            requested: recorded.sequence,
            database,
            removed: None,
        })
    }

    pub(crate) fn id(&self) -> DatabaseId {
        self.database.id
    }

    /// Follows one of its own events; the job that removed it still ends afterwards.
    pub(crate) fn evolve(&mut self, recorded: &RecordedEvent) {
        self.database.evolve(recorded);
        let state = if matches!(recorded.event, Event::DatabasePurged(_)) {
            "purged"
        } else if matches!(recorded.event, Event::DatabaseAbandoned(_)) {
            "abandoned"
        } else {
            return;
        };
        self.removed = Some(Removal {
            state: state.to_owned(),
            at: recorded.commit.time,
        });
    }

    fn state(&self) -> &str {
        match &self.removed {
            Some(removal) => &removal.state,
            None => self.database.state().as_str(),
        }
    }
}

/// The database as it was last stored.
pub(crate) fn load(
    connection: &Connection,
    id: DatabaseId,
) -> Result<Option<DatabaseRow>, StorageError> {
    let sql = "SELECT requested, document, state, removed_at FROM databases WHERE id = ?";
    find(connection, sql, id.to_string(), |row| {
        let removed_at: Option<String> = row.get(3)?;
        let removed = match removed_at {
            None => None,
            Some(time) => Some(Removal {
                state: row.get(2)?,
                at: time
                    .parse()
                    .map_err(|_| StorageError::Untrue(format!("`{time}` is no time")))?,
            }),
        };
        Ok(DatabaseRow {
            requested: sequence_in(row, 0)?,
            database: database_in(row)?,
            removed,
        })
    })
}

/// Stores a database, for the first time or again.
pub(crate) fn store(connection: &Connection, row: &DatabaseRow) -> Result<(), StorageError> {
    let database = &row.database;
    let mut statement = connection.prepare_cached(
        "INSERT INTO databases (requested, id, name, name_key, dns_label, engine, state, worker,
                                protected, expires_at, created_at, removed_at, sequence, document)
         VALUES (:requested, :id, :name, :name_key, :dns_label, :engine, :state, :worker,
                 :protected, :expires_at, :created_at, :removed_at, :sequence, :document)
         ON CONFLICT (requested) DO UPDATE SET
             dns_label = excluded.dns_label, state = excluded.state, worker = excluded.worker,
             protected = excluded.protected, expires_at = excluded.expires_at,
             removed_at = excluded.removed_at, sequence = excluded.sequence,
             document = excluded.document",
    )?;
    statement.execute(named_params! {
        ":requested": stored(row.requested.0),
        ":id": database.id.to_string(),
        ":name": database.name.as_str(),
        ":name_key": database.name.key(),
        ":dns_label": database.dns_label,
        ":engine": database.engine.0,
        ":state": row.state(),
        ":worker": database.worker,
        ":protected": database.protected,
        ":expires_at": database.expires_at.map(|it| it.to_string()),
        ":created_at": database.created_at.to_string(),
        ":removed_at": row.removed.as_ref().map(|it| it.at.to_string()),
        ":sequence": stored(database.sequence.0),
        ":document": serde_json::to_string(database)?,
    })?;
    store_labels(connection, row)
}

/// One page of the databases that a filter lets through.
pub(crate) fn list(
    connection: &Connection,
    filter: &DatabaseFilter,
    window: &Window,
) -> Result<Page<Database>, StorageError> {
    listing(filter).read(connection, window, database_in)
}

fn listing(filter: &DatabaseFilter) -> Listing {
    let mut rest = Vec::new();
    let states: Option<Vec<&str>> = filter.state.map(|(state, now)| {
        let now = Value::from(now.to_string());
        if state == DatabaseState::Expired {
            rest.push(("expires_at <= ?", now));
            let states = DatabaseState::MAY_EXPIRE.iter();
            return states.map(|it| it.as_str()).collect();
        }
        if DatabaseState::MAY_EXPIRE.contains(&state) {
            rest.push(("ifnull(expires_at > ?, 1)", now));
        }
        vec![state.as_str()]
    });
    if let Some(part) = &filter.name_part {
        rest.push(("instr(name_key, ?) > 0", Value::from(name_key(part))));
    }
    let (from, key, lead, walks) = match (filter.labels.as_slice(), states) {
        (labels @ [_, ..], states) => {
            let words = states.map(|states| Value::from(states.join(" ")));
            rest.extend(words.map(|word| ("instr(?, state) > 0", word)));
            (
                "labels CROSS JOIN databases ON databases.requested = labels.database",
                "labels.database",
                "labels.key = ? AND labels.value = ?",
                labels
                    .iter()
                    .map(|(label, value)| vec![label.clone().into(), value.clone().into()])
                    .collect(),
            )
        }
        ([], Some(states)) => (
            "databases INDEXED BY databases_by_state",
            "requested",
            "state = ?",
            (states.into_iter())
                .map(|state| vec![Value::from(state.to_owned())])
                .collect(),
        ),
        ([], None) => (
            "databases INDEXED BY databases_kept",
            "requested",
            "removed_at IS NULL",
            vec![vec![]],
        ),
    };
    Listing {
        columns: "databases.requested, databases.document",
        from,
        key,
        lead,
        walks,
        rest,
        within: 0..=u64::MAX,
    }
}

/// Makes the labels those of the database: none once it is removed, so that no list finds it.
fn store_labels(connection: &Connection, row: &DatabaseRow) -> Result<(), StorageError> {
    let key = stored(row.requested.0);
    connection
        .prepare_cached("DELETE FROM labels WHERE database = ?")?
        .execute([&key])?;
    if row.removed.is_some() {
        return Ok(());
    }
    let mut insert = connection
        .prepare_cached("INSERT INTO labels (key, value, database) VALUES (?1, ?2, ?3)")?;
    for (label, value) in &row.database.labels {
        insert.execute((label, value, &key))?;
    }
    Ok(())
}

fn database_in(row: &Row<'_>) -> Result<Database, StorageError> {
    let document = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(serde_json::from_str(document)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::control_db::listing::tests::assert_walks;

    #[test]
    fn the_most_selective_part_of_a_filter_chooses_the_index() {
        let mut filter = DatabaseFilter {
            name_part: Some("shop".into()),
            ..DatabaseFilter::default()
        };
        assert_walks(&listing(&filter), "databases_kept");
        filter.state = Some((DatabaseState::Ready, Timestamp::from_millis(0)));
        assert_walks(&listing(&filter), "databases_by_state");
        filter.labels = vec![("team".into(), "blue".into())];
        assert_walks(&listing(&filter), "labels");
    }
}
