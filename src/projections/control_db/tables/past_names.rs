//! The names of databases, also of those that are gone.
use crate::domain::event::EventKind;
use crate::domain::ids::DatabaseId;
use crate::projections::control_db::{ControlDb, EventFilter, ListError, PageRequest};
use serde::Deserialize;

/// As much of a `database_requested` as tells the name.
#[derive(Deserialize)]
struct Requested {
    data: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl ControlDb {
    /// The name that a database was asked for with; it keeps it for ever. `None` where there
    /// never was one of that id.
    ///
    /// # Errors
    /// When the events cannot be read.
    pub async fn past_name(&self, database: DatabaseId) -> Result<Option<String>, ListError> {
        let filter = EventFilter {
            database: Some(database),
            kind: Some(EventKind::DatabaseRequested),
            ..EventFilter::default()
        };
        let first = PageRequest {
            limit: 1,
            cursor: None,
        };
        let page = self.list_events(filter, first).await?;
        let requested = page.items.first();
        Ok(requested.and_then(|it| {
            let requested: Requested = serde_json::from_str(&it.json).ok()?;
            Some(requested.data.name)
        }))
    }
}
