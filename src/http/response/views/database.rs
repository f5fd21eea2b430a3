//! Databases as the API shows them.
use crate::clock::timestamp::Timestamp;
use crate::domain::database::{Condition, Database, Durability, Labels, Limits};
use crate::http::Gateway;
use serde::Serialize;
use utoipa::ToSchema;

/// A database.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Database)]
pub(crate) struct DatabaseView {
    #[schema(value_type = String, format = Uuid)]
    id: String,
    name: String,
    /// The host name it answers to.
    #[schema(example = "shop.db.localhost")]
    host: String,
    engine: String,
    /// The node that has its files and its worker; null before the forge has one.
    #[schema(value_type = Option<String>, format = Uuid)]
    node: Option<String>,
    /// As the clock has it: `expired` from the moment on. Earlier states tell what their events
    /// do.
    #[schema(value_type = String, example = "ready")]
    state: &'static str,
    /// What is dedicated to it; null while it is to have none.
    worker: Option<WorkerView>,
    /// The size of its file; null where there is none.
    size_bytes: Option<u64>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    labels: Labels,
    limits: LimitsView,
    /// What an answered write survives: `full` is a loss of power.
    #[schema(value_type = String, example = "full")]
    durability: Durability,
    /// When it goes to the trash by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When the trash lets go of it; only while it is there.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    purge_at: Option<Timestamp>,
    /// Why its worker cannot be kept running; only while that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    degraded: Option<String>,
    /// Whether the reconciler's last look found its file missing; only while that is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    data_missing: bool,
    protected: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The last event about it; its `ETag` is `"e<sequence>"`.
    sequence: u64,
}

/// A worker.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
struct WorkerView {
    /// Its id under the runtime; null until it runs for the first time.
    id: Option<String>,
    /// `starting`, `healthy`, `unhealthy`, `exited` or `missing`; `recorded` in an earlier state,
    /// whose workers nobody can look at.
    state: &'static str,
}

/// What a database may use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limits)]
struct LimitsView {
    /// Most bytes its file may grow to.
    size_bytes: u64,
    /// Most bytes of memory for its worker.
    memory_bytes: u64,
    /// Thousandths of a processor for its worker.
    cpu_millis: u32,
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

    /// The database as the log alone tells it: nobody looks at a worker or a file of the past.
    pub(crate) fn recorded_view(&self, database: &Database) -> DatabaseView {
        let worker = |id: &String| WorkerView {
            id: Some(id.clone()),
            state: "recorded",
        };
        let Limits {
            size_bytes: largest,
            memory_bytes,
            cpu_millis,
        } = database.limits;
        DatabaseView {
            id: database.id.to_string(),
            name: database.name.to_string(),
            host: format!("{}.{}", database.dns_label, self.config.domain),
            engine: database.engine.to_string(),
            node: self
                .service
                .control
                .present()
                .state
                .node_of(database)
                .map(|node| node.to_string()),
            state: database.state().as_str(),
            worker: database.worker.as_ref().map(worker),
            size_bytes: None,
            labels: database.labels.clone(),
            limits: LimitsView {
                size_bytes: largest,
                memory_bytes,
                cpu_millis,
            },
            durability: database.durability,
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
