//! Databases as the API shows them.
use crate::clock::timestamp::Timestamp;
use crate::domain::database::{Condition, Database, Durability, Isolation, Labels, Limits};
use crate::http::Gateway;
use crate::http::openapi::words;
use serde::Serialize;
use utoipa::ToSchema;

/// A database.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Database)]
pub(crate) struct DatabaseView {
    #[schema(value_type = String, format = Uuid)]
    id: String,
    name: String,
    /// Host name.
    #[schema(example = "shop.db.localhost")]
    host: String,
    #[schema(value_type = words::EngineName)]
    engine: String,
    /// The node that has its files and worker; null before the first start with nodes.
    #[schema(value_type = Option<String>, format = Uuid, required = true)]
    node: Option<String>,
    /// Current state; `expired` as soon as the time to live ends.
    #[schema(value_type = words::DatabaseState, example = "ready")]
    state: &'static str,
    /// Its worker; null if it has none.
    #[schema(required = true)]
    worker: Option<WorkerView>,
    /// Size of its file in bytes; null if there is none.
    #[schema(required = true)]
    size_bytes: Option<u64>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    labels: Labels,
    limits: LimitsView,
    /// `full`: acknowledged writes survive a power failure; `relaxed`: they may not.
    #[schema(value_type = words::Durability, example = "full")]
    durability: Durability,
    /// Which process answers its SQL.
    #[schema(value_type = words::Isolation, example = "gateway")]
    isolation: Isolation,
    /// When it expires and is moved to the trash.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    expires_at: Option<Timestamp>,
    /// When it is permanently deleted; only while it is in the trash.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    purge_at: Option<Timestamp>,
    /// Why its worker keeps failing; only while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    degraded: Option<String>,
    /// Whether its file is missing; only while it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    data_missing: bool,
    protected: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Last event about it; its `ETag` is `"e<sequence>"`.
    sequence: u64,
}

/// A worker.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
struct WorkerView {
    /// Container or process id; null until it first starts.
    #[schema(required = true)]
    id: Option<String>,
    /// `starting`, `healthy`, `unhealthy`, `exited` or `missing`; `recorded` in past states, where
    /// the actual state is unknown.
    #[schema(value_type = words::WorkerState)]
    state: &'static str,
}

/// Resource limits of a database.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limits)]
pub(crate) struct LimitsView {
    /// Maximum size of the database file, in bytes.
    size_bytes: u64,
    /// Memory limit of the worker, in bytes.
    memory_bytes: u64,
    /// CPU limit of the worker, in thousandths of a CPU.
    cpu_millis: u32,
}

impl From<Limits> for LimitsView {
    fn from(limits: Limits) -> Self {
        let Limits {
            size_bytes,
            memory_bytes,
            cpu_millis,
        } = limits;
        Self {
            size_bytes,
            memory_bytes,
            cpu_millis,
        }
    }
}

impl Gateway {
    /// The database, with what was last seen of its worker and its file.
    pub(crate) fn view(&self, database: &Database) -> DatabaseView {
        DatabaseView {
            worker: self.worker_of(database),
            size_bytes: self.service.size_of(database),
            data_missing: self
                .service
                .workers
                .drift
                .last()
                .misses_file_of(database.id),
            state: database
                .state_at(self.service.control.clock().now())
                .as_str(),
            ..self.recorded_view(database)
        }
    }

    /// The database as recorded in the event log, without the actual worker and file.
    pub(crate) fn recorded_view(&self, database: &Database) -> DatabaseView {
        let worker = |id: &String| WorkerView {
            id: Some(id.clone()),
            state: "recorded",
        };
        DatabaseView {
            id: database.id.to_string(),
            name: database.name.to_string(),
            host: format!("{}.{}", database.dns_label, self.config.domain),
            engine: database.engine.to_string(),
            node: self
                .service
                .control
                .current()
                .state
                .node_of(database)
                .map(|node| node.to_string()),
            state: database.state().as_str(),
            worker: database.worker.as_ref().map(worker),
            size_bytes: None,
            labels: database.labels.clone(),
            limits: database.limits.into(),
            durability: database.durability,
            isolation: self.service.data.engines().isolation_of(database),
            expires_at: database.expires_at,
            purge_at: match database.condition {
                Condition::Trashed { purge_at } => Some(purge_at),
                Condition::Creating
                | Condition::Ready
                | Condition::Stopped
                | Condition::Purging => None,
            },
            degraded: database.degraded.clone(),
            data_missing: false,
            protected: database.protected,
            created_at: database.created_at,
            sequence: database.sequence.0,
        }
    }

    /// Its worker: what the log knows of it, and how it was last seen.
    fn worker_of(&self, database: &Database) -> Option<WorkerView> {
        let state = match (self.service.workers.get(database.id), &database.worker) {
            (Some(seen), _) => seen.as_str(),
            (None, Some(_)) => "missing",
            (None, None) => match database.condition {
                Condition::Creating | Condition::Ready => "starting",
                Condition::Stopped | Condition::Trashed { .. } | Condition::Purging => return None,
            },
        };
        let id = database.worker.clone();
        Some(WorkerView { id, state })
    }
}
